//! Every address that the program writes goes through here: the one place that knows the base path.

use url::Url;

/// Where the program is reached, as far as it was told (`--base-url`).
#[derive(Clone, Debug)]
pub struct Urls {
    /// `https://example.com`; `None`: as the request says.
    origin: Option<String>,
    /// Empty, or `/miniback`: begins with a slash and does not end with one.
    path: String,
}

impl Urls {
    pub fn new(base_url: Option<&Url>) -> Self {
        Self {
            origin: base_url.map(|url| url.origin().ascii_serialization()),
            path: base_url
                .map(|url| url.path().trim_end_matches('/').to_owned())
                .unwrap_or_default(),
        }
    }

    /// The link to one of our own addresses, which begins with a slash.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.path)
    }

    /// The base path: empty, or with a slash at its beginning and none at its end.
    pub fn base_path(&self) -> &str {
        &self.path
    }

    /// The `Path` of cookies.
    pub fn cookie_path(&self) -> String {
        if self.path.is_empty() {
            "/".into()
        } else {
            self.path.clone()
        }
    }

    /// The public origin, if it was configured.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The whole link, for where it leaves the page; `own_origin` is the request's.
    pub fn absolute(&self, own_origin: &str, path: &str) -> String {
        format!("{}{}", self.origin().unwrap_or(own_origin), self.path(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stand_beneath_the_base_path() {
        let plain = Urls::new(None);
        assert_eq!(
            (plain.path("/login").as_str(), plain.cookie_path().as_str()),
            ("/login", "/")
        );
        for base in [
            "https://example.com/miniback",
            "https://example.com/miniback/",
        ] {
            let below = Urls::new(Some(&Url::parse(base).unwrap()));
            assert_eq!(below.path("/login"), "/miniback/login");
            assert_eq!(below.cookie_path(), "/miniback");
            assert_eq!(
                below.absolute("http://127.0.0.1:1", "/f/x"),
                "https://example.com/miniback/f/x"
            );
        }
    }
}
