//! The sidebar of the documentation: all pages, and the sections of the current page.

/// A page of the documentation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum DocsPage {
    Start,
    Webhooks,
    Api,
}

pub struct DocsSidebar {
    current: DocsPage,
    /// Anchors and titles of the current page's sections.
    pub sections: Vec<(String, String)>,
}

pub struct DocsLink {
    pub label: &'static str,
    pub path: &'static str,
    pub is_current: bool,
}

impl DocsSidebar {
    pub fn new<'a>(
        current: DocsPage,
        sections: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let sections = sections.into_iter();
        Self {
            current,
            sections: sections
                .map(|(anchor, title)| (anchor.to_owned(), title.to_owned()))
                .collect(),
        }
    }

    pub fn links(&self) -> [DocsLink; 3] {
        let pages = [
            (DocsPage::Start, "Documentation", "/docs"),
            (DocsPage::Webhooks, "Webhooks", "/docs/webhooks"),
            (DocsPage::Api, "API reference", "/docs/api"),
        ];
        pages.map(|(page, label, path)| DocsLink {
            label,
            path,
            is_current: page == self.current,
        })
    }
}
