//! Sample data of the demo, sent through the API by [`create_samples`].

use super::api::{ApiClient, ApiError, FeedbackRequest, ProjectRequest, WebhookRequest};

/// The slug of the sample site's project.
pub const SITE_PROJECT_SLUG: &str = "fernweh";

struct SampleProject {
    name: &'static str,
    slug: &'static str,
}

struct SampleFeedback {
    project: &'static str,
    message: &'static str,
    email: Option<&'static str>,
    url: Option<&'static str>,
    /// The statuses to set after creation, in order.
    later_statuses: &'static [&'static str],
}

const SAMPLE_PROJECTS: [SampleProject; 2] = [
    SampleProject {
        name: "Fernweh",
        slug: SITE_PROJECT_SLUG,
    },
    SampleProject {
        name: "Larder",
        slug: "larder",
    },
];

/// The sample feedback that is created before the webhook, oldest first.
const SAMPLE_FEEDBACK: [SampleFeedback; 13] = [
    SampleFeedback {
        project: SITE_PROJECT_SLUG,
        message: "The map opens on the wrong continent when location services are off.",
        email: None,
        url: Some("https://fernweh.example/map"),
        later_statuses: &["REVIEWED", "RESOLVED"],
    },
    SampleFeedback {
        project: "larder",
        message: "Scaling a recipe from 4 to 3 people gives me “0.75 eggs”. Funny, but \
                  please round it.",
        email: Some("jonas@example.org"),
        url: Some("https://larder.example/recipes/plum-cake"),
        later_statuses: &["RESOLVED"],
    },
    SampleFeedback {
        project: SITE_PROJECT_SLUG,
        message: "I love the offline mode. I wrote for a whole week on a boat without a \
                  signal, and nothing was lost.",
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
        project: SITE_PROJECT_SLUG,
        message: "写真を日付順に並べ替えたいです。今はアップロード順だけなので、長い旅行だと探すのが大変です。",
        email: Some("haruka@example.jp"),
        url: Some("https://fernweh.example/journal/photos"),
        later_statuses: &[],
    },
    SampleFeedback {
        project: SITE_PROJECT_SLUG,
        message: "Typo on the pricing page: “per moth”.",
        email: None,
        url: Some("https://fernweh.example/pricing"),
        later_statuses: &["RESOLVED"],
    },
    SampleFeedback {
        project: "larder",
        message: "Could the shopping list be shared? My partner and I both buy butter. We \
                  have so much butter.",
        email: Some("marta.k@example.net"),
        url: None,
        later_statuses: &[],
    },
    SampleFeedback {
        project: SITE_PROJECT_SLUG,
        message: "I exported our Iceland trip as a PDF to have it printed for my parents, who \
                  don’t use a computer. It came out beautifully, apart from two problems.\n\n\
                  First, the photos that I rotated in the app are on their side again in the \
                  PDF. The export seems to use the original file and ignore the rotation. It’s \
                  only a few photos, but they are the portraits, so it’s noticeable.\n\n\
                  Second, the page numbers start again at 1 with each chapter. That’s fine on \
                  a screen, but in a book of 140 pages it made my mother think that pages were \
                  missing, and she wrote to me quite worried.\n\n\
                  With continuous page numbers and upright photos, it would be perfect. Thank \
                  you for making this. We have kept a paper journal for thirty years, and this \
                  is the first app that could replace it.",
        email: Some("r.lindqvist@example.se"),
        url: Some("https://fernweh.example/journal/iceland/export"),
        later_statuses: &["REVIEWED"],
    },
    SampleFeedback {
        project: SITE_PROJECT_SLUG,
        message: "The submit button is not working on my phone (older Android, Firefox). \
                  It does nothing, no error either.",
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
        message: "“Use soon” reminded me of the spinach a day before it went bad. First \
                  time in my life that spinach made it onto a plate.",
        email: Some("theo@example.com"),
        url: None,
        later_statuses: &[],
    },
    SampleFeedback {
        project: SITE_PROJECT_SLUG,
        message: "Pasting a link as <a href=\"…\"> shows the tag in the entry. A simple \
                  link button would be enough.",
        email: None,
        url: Some("https://fernweh.example/journal/new"),
        later_statuses: &[],
    },
    SampleFeedback {
        project: SITE_PROJECT_SLUG,
        message: "Could a stop on the route have a time as well as a date? We took three \
                  ferries in one day.",
        email: Some("kim@example.org"),
        url: Some("https://fernweh.example/journal/lofoten"),
        later_statuses: &[],
    },
];

/// Feedback created after the webhook, so that the receiver has a delivery to show.
const DELIVERED_SAMPLE_FEEDBACK: SampleFeedback = SampleFeedback {
    project: SITE_PROJECT_SLUG,
    message: "The new route view is a joy. I can see the whole summer in one line.",
    email: Some("ada@example.com"),
    url: Some("https://fernweh.example/journal/summer"),
    later_statuses: &[],
};

/// The numbers of created projects and feedback items.
#[derive(Debug)]
pub struct SampleCounts {
    pub projects: usize,
    pub feedback: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("Creating the demo’s {subject} failed. {source}")]
pub struct DemoError {
    subject: &'static str,
    source: ApiError,
}

fn to_demo_error(subject: &'static str) -> impl Fn(ApiError) -> DemoError {
    move |source| DemoError { subject, source }
}

/// Creates the sample projects and feedback in an empty installation, and a webhook to `endpoint`
/// with `secret`.
///
/// The webhook is created after the samples, so that no sample is sent to it. Then one more
/// feedback item is created and sent.
pub async fn create_samples(
    api: &ApiClient,
    endpoint: &str,
    secret: &str,
) -> Result<SampleCounts, DemoError> {
    for SampleProject { name, slug } in SAMPLE_PROJECTS {
        api.create_project(&ProjectRequest { name, slug })
            .await
            .map_err(to_demo_error("sample projects"))?;
    }
    for sample in &SAMPLE_FEEDBACK {
        create_sample_feedback(api, sample).await?;
    }
    let webhook = WebhookRequest {
        url: endpoint,
        description: "The demo’s receiver",
        secret,
    };
    api.create_webhook(&webhook)
        .await
        .map_err(to_demo_error("webhook to the receiver"))?;
    create_sample_feedback(api, &DELIVERED_SAMPLE_FEEDBACK).await?;
    Ok(SampleCounts {
        projects: SAMPLE_PROJECTS.len(),
        feedback: SAMPLE_FEEDBACK.len() + 1,
    })
}

async fn create_sample_feedback(api: &ApiClient, sample: &SampleFeedback) -> Result<(), DemoError> {
    let feedback = FeedbackRequest {
        project: sample.project,
        message: sample.message,
        email: sample.email,
        url: sample.url,
    };
    let id = api
        .create_feedback(&feedback)
        .await
        .map_err(to_demo_error("sample feedback"))?
        .id;
    for status in sample.later_statuses {
        api.set_status(&id, status)
            .await
            .map_err(to_demo_error("sample statuses"))?;
    }
    Ok(())
}
