//! What an empty installation is filled with, so that the demo's pages show what they are for.
//!
//! The samples are data; [`seed`] sends them through the API like any other client.

use super::api::{Api, ApiError, NewFeedback, NewProject, NewWebhook};

/// The slug of the project that the sample site posts to.
pub const SITE_PROJECT: &str = "fernweh";

struct SampleProject {
    name: &'static str,
    slug: &'static str,
}

struct SampleFeedback {
    project: &'static str,
    message: &'static str,
    email: Option<&'static str>,
    url: Option<&'static str>,
    /// The statuses it went through after `NEW`.
    later_statuses: &'static [&'static str],
}

const PROJECTS: [SampleProject; 2] = [
    SampleProject {
        name: "Fernweh",
        slug: SITE_PROJECT,
    },
    SampleProject {
        name: "Larder",
        slug: "larder",
    },
];

/// Oldest first: the last is on top of the list.
const FEEDBACK: [SampleFeedback; 13] = [
    SampleFeedback {
        project: SITE_PROJECT,
        message: "The map opens on the wrong continent when I have no location turned on.",
        email: None,
        url: Some("https://fernweh.example/map"),
        later_statuses: &["REVIEWED", "RESOLVED"],
    },
    SampleFeedback {
        project: "larder",
        message: "Scaling a recipe from 4 to 3 people gives me “0.75 eggs”. Funny, but please round it.",
        email: Some("jonas@example.org"),
        url: Some("https://larder.example/recipes/plum-cake"),
        later_statuses: &["RESOLVED"],
    },
    SampleFeedback {
        project: SITE_PROJECT,
        message: "Love the offline mode. Wrote a whole week on a boat without a signal, and nothing was lost.",
        email: Some("ines@example.com"),
        url: None,
        later_statuses: &["REVIEWED"],
    },
    SampleFeedback {
        project: "larder",
        message: "The barcode scanner reads my oat milk as dog food. Every time.",
        email: None,
        url: Some("https://larder.example/scan"),
        later_statuses: &["REVIEWED"],
    },
    SampleFeedback {
        project: SITE_PROJECT,
        message: "写真を日付順に並べ替えたいです。今はアップロード順だけなので、長い旅行だと探すのが大変です。",
        email: Some("haruka@example.jp"),
        url: Some("https://fernweh.example/journal/photos"),
        later_statuses: &[],
    },
    SampleFeedback {
        project: SITE_PROJECT,
        message: "Typo on the prices page: “per moth”.",
        email: None,
        url: Some("https://fernweh.example/prices"),
        later_statuses: &["RESOLVED"],
    },
    SampleFeedback {
        project: "larder",
        message: "Could the shopping list be shared? My partner and I both buy butter. We have so much butter.",
        email: Some("marta.k@example.net"),
        url: None,
        later_statuses: &[],
    },
    SampleFeedback {
        project: SITE_PROJECT,
        message: "I exported our Iceland trip as a PDF to have it printed for my parents, who do not use a computer. It came out \
                  beautifully, with two exceptions that I would like to tell you about.\n\nFirst, the photos that I had turned \
                  upright in the app are lying on their side again in the PDF: it seems that the export takes the original \
                  file and forgets the rotation. It is only a few of them, but they are the portraits, so it shows.\n\n\
                  Second, the page numbers start again at 1 with each chapter. That is fine on a screen; in a book of 140 \
                  pages it made my mother think that pages were missing, and she wrote to me quite worried.\n\nOne number through \
                  the whole book, and upright photos, and it would be perfect. Thank you for making this. We \
                  have kept a paper journal for thirty years, and this is the first thing that could replace it.",
        email: Some("r.lindqvist@example.se"),
        url: Some("https://fernweh.example/journal/iceland/export"),
        later_statuses: &["REVIEWED"],
    },
    SampleFeedback {
        project: SITE_PROJECT,
        message: "The submit button is not working on my phone (older Android, Firefox). It does nothing, no error either.",
        email: Some("sam@example.com"),
        url: Some("https://fernweh.example/journal/new"),
        later_statuses: &[],
    },
    SampleFeedback {
        project: "larder",
        message: "Dark mode please 🙏",
        email: None,
        url: Some("https://larder.example/"),
        later_statuses: &["REVIEWED", "NEW"],
    },
    SampleFeedback {
        project: "larder",
        message: "“Use soon” told me about the spinach a day before it went bad. First time in my life that spinach made it onto a plate.",
        email: Some("theo@example.com"),
        url: None,
        later_statuses: &[],
    },
    SampleFeedback {
        project: SITE_PROJECT,
        message: "Pasting a link as <a href=\"…\"> shows the brackets in the entry. A plain link button would do.",
        email: None,
        url: Some("https://fernweh.example/journal/new"),
        later_statuses: &[],
    },
    SampleFeedback {
        project: SITE_PROJECT,
        message: "Could a stop on the route have a time as well as a date? We took three ferries in one day.",
        email: Some("kim@example.org"),
        url: Some("https://fernweh.example/journal/lofoten"),
        later_statuses: &[],
    },
];

/// Sent when the webhook is there, so that the receiver has something to show.
const FIRST_DELIVERED: SampleFeedback = SampleFeedback {
    project: SITE_PROJECT,
    message: "The new route view is a joy. I can see the whole summer in one line.",
    email: Some("ada@example.com"),
    url: Some("https://fernweh.example/journal/summer"),
    later_statuses: &[],
};

/// What was made.
#[derive(Debug)]
pub struct SampleData {
    /// The slug of the project that the sample site posts to.
    pub site_project: String,
    pub webhook_id: String,
    pub projects: usize,
    pub feedback: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("The demo's {what} could not be made. {source}")]
pub struct DemoError {
    what: &'static str,
    source: ApiError,
}

fn demo_error(what: &'static str) -> impl Fn(ApiError) -> DemoError {
    move |source| DemoError { what, source }
}

/// Fills an empty installation, and points a webhook at `endpoint`, signed with `secret`. Blocking.
///
/// The webhook is made last, so that the samples do not flood it; one more feedback follows it.
pub fn seed(api: &Api, endpoint: &str, secret: &str) -> Result<SampleData, DemoError> {
    for SampleProject { name, slug } in PROJECTS {
        api.create_project(&NewProject { name, slug })
            .map_err(demo_error("sample projects"))?;
    }
    for sample in &FEEDBACK {
        create_feedback(api, sample)?;
    }
    let webhook = NewWebhook {
        url: endpoint,
        description: "The demo's receiver",
        secret,
    };
    let webhook_id = api
        .create_webhook(&webhook)
        .map_err(demo_error("webhook to the receiver"))?
        .id;
    create_feedback(api, &FIRST_DELIVERED)?;
    Ok(SampleData {
        site_project: SITE_PROJECT.to_owned(),
        webhook_id,
        projects: PROJECTS.len(),
        feedback: FEEDBACK.len() + 1,
    })
}

fn create_feedback(api: &Api, sample: &SampleFeedback) -> Result<(), DemoError> {
    let feedback = NewFeedback {
        project: sample.project,
        message: sample.message,
        email: sample.email,
        url: sample.url,
    };
    let id = api
        .create_feedback(&feedback)
        .map_err(demo_error("sample feedback"))?
        .id;
    for status in sample.later_statuses {
        api.set_status(&id, status)
            .map_err(demo_error("sample statuses"))?;
    }
    Ok(())
}
