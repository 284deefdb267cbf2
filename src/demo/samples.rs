//! The demo's sample projects and feedback.

/// The slug of the sample site's project.
pub const SITE_PROJECT_SLUG: &str = "fernweh";

pub(super) struct SampleProject {
    pub name: &'static str,
    pub slug: &'static str,
}

pub(super) struct SampleFeedback {
    /// The time of creation, in minutes before the start of the demo.
    pub minutes_ago: u64,
    pub project: &'static str,
    pub message: &'static str,
    pub email: Option<&'static str>,
    pub url: Option<&'static str>,
    /// The later status changes, in order: the time in minutes before the start of the demo, and
    /// the new status.
    pub later_statuses: &'static [(u64, &'static str)],
}

pub(super) const SAMPLE_PROJECTS: [SampleProject; 2] = [
    SampleProject {
        name: "Fernweh",
        slug: SITE_PROJECT_SLUG,
    },
    SampleProject {
        name: "Larder",
        slug: "larder",
    },
];

/// The sample feedback of the last four days, oldest first.
pub(super) const SAMPLE_FEEDBACK: [SampleFeedback; 13] = [
    SampleFeedback {
        minutes_ago: 5700,
        project: SITE_PROJECT_SLUG,
        message: "The map opens on the wrong continent when location services are off.",
        email: None,
        url: Some("https://fernweh.example/map"),
        later_statuses: &[(5600, "REVIEWED"), (4200, "RESOLVED")],
    },
    SampleFeedback {
        minutes_ago: 5400,
        project: "larder",
        message: "Scaling a recipe from 4 to 3 people gives me “0.75 eggs”. Funny, but \
                  please round it.",
        email: Some("jonas@example.org"),
        url: Some("https://larder.example/recipes/plum-cake"),
        later_statuses: &[(4100, "RESOLVED")],
    },
    SampleFeedback {
        minutes_ago: 4900,
        project: SITE_PROJECT_SLUG,
        message: "I love the offline mode. I wrote for a whole week on a boat without a \
                  signal, and nothing was lost.",
        email: Some("ines@example.com"),
        url: None,
        later_statuses: &[(4300, "REVIEWED")],
    },
    SampleFeedback {
        minutes_ago: 4500,
        project: "larder",
        message: "The barcode scanner reads my oat milk as dog food. Every time.",
        email: None,
        url: Some("https://larder.example/scan"),
        later_statuses: &[(4290, "REVIEWED")],
    },
    SampleFeedback {
        minutes_ago: 4000,
        project: SITE_PROJECT_SLUG,
        message: "写真を日付順に並べ替えたいです。今はアップロード順だけなので、長い旅行だと探すのが大変です。",
        email: Some("haruka@example.jp"),
        url: Some("https://fernweh.example/journal/photos"),
        later_statuses: &[],
    },
    SampleFeedback {
        minutes_ago: 3700,
        project: SITE_PROJECT_SLUG,
        message: "Typo on the pricing page: “per moth”.",
        email: None,
        url: Some("https://fernweh.example/pricing"),
        later_statuses: &[(3650, "RESOLVED")],
    },
    SampleFeedback {
        minutes_ago: 2900,
        project: "larder",
        message: "Could the shopping list be shared? My partner and I both buy butter. We \
                  have so much butter.",
        email: Some("marta.k@example.net"),
        url: None,
        later_statuses: &[],
    },
    SampleFeedback {
        minutes_ago: 2600,
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
        later_statuses: &[(1500, "REVIEWED")],
    },
    SampleFeedback {
        minutes_ago: 2100,
        project: SITE_PROJECT_SLUG,
        message: "The submit button is not working on my phone (older Android, Firefox). \
                  It does nothing, no error either.",
        email: Some("sam@example.com"),
        url: Some("https://fernweh.example/journal/new"),
        later_statuses: &[],
    },
    SampleFeedback {
        minutes_ago: 1700,
        project: "larder",
        message: "Dark mode please 🙏",
        email: None,
        url: Some("https://larder.example/"),
        later_statuses: &[(1490, "REVIEWED"), (1480, "NEW")],
    },
    SampleFeedback {
        minutes_ago: 1200,
        project: "larder",
        message: "“Use soon” reminded me of the spinach a day before it went bad. First \
                  time in my life that spinach made it onto a plate.",
        email: Some("theo@example.com"),
        url: None,
        later_statuses: &[],
    },
    SampleFeedback {
        minutes_ago: 700,
        project: SITE_PROJECT_SLUG,
        message: "Pasting a link as <a href=\"…\"> shows the tag in the entry. A simple \
                  link button would be enough.",
        email: None,
        url: Some("https://fernweh.example/journal/new"),
        later_statuses: &[],
    },
    SampleFeedback {
        minutes_ago: 20,
        project: SITE_PROJECT_SLUG,
        message: "Could a stop on the route have a time as well as a date? We took three \
                  ferries in one day.",
        email: Some("kim@example.org"),
        url: Some("https://fernweh.example/journal/lofoten"),
        later_statuses: &[],
    },
];

/// Feedback that the demo creates after the receiver has started, so that the receiver has a
/// delivery to show.
pub(super) const LATEST_SAMPLE_FEEDBACK: SampleFeedback = SampleFeedback {
    minutes_ago: 0,
    project: SITE_PROJECT_SLUG,
    message: "The new route view is a joy. I can see the whole summer in one line.",
    email: Some("ada@example.com"),
    url: Some("https://fernweh.example/journal/summer"),
    later_statuses: &[],
};
