//! Builds the URLs of Miniback's own routes, including the base path.

use url::Url;

/// Miniback's public origin and base path, from `--base-url`.
#[derive(Clone, Debug)]
pub struct Urls {
    /// The public origin, for example `https://example.com`. `None` without `--base-url`.
    origin: Option<String>,
    /// The base path: empty, or a path like `/miniback`, without a slash at the end.
    base_path: String,
}

impl Urls {
    pub fn new(base_url: Option<&Url>) -> Self {
        Self {
            origin: base_url.map(|url| url.origin().ascii_serialization()),
            base_path: base_url
                .map(|url| url.path().trim_end_matches('/').to_owned())
                .unwrap_or_default(),
        }
    }

    /// Returns the URL path of a route. `path` begins with a slash.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base_path)
    }

    /// Returns the base path: empty, or a path like `/miniback`, without a slash at the end.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// Returns the `Path` attribute of cookies.
    pub fn cookie_path(&self) -> String {
        if self.base_path.is_empty() {
            "/".into()
        } else {
            self.base_path.clone()
        }
    }

    /// Returns the configured public origin, if there is one.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Returns the public URL of Miniback with the base path, without a slash at the end. Returns
    /// `None` without `--base-url`.
    pub fn public_url(&self) -> Option<String> {
        Some(format!("{}{}", self.origin()?, self.base_path))
    }

    /// Returns an absolute URL. `own_origin`, from the request, is used if no public origin is
    /// configured.
    pub fn absolute_url(&self, own_origin: &str, path: &str) -> String {
        format!("{}{}", self.origin().unwrap_or(own_origin), self.path(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_urls_under_the_base_path() {
        let plain = Urls::new(None);
        assert_eq!(
            (plain.path("/login").as_str(), plain.cookie_path().as_str()),
            ("/login", "/")
        );
        for base in [
            "https://example.com/miniback",
            "https://example.com/miniback/",
        ] {
            let prefixed = Urls::new(Some(&Url::parse(base).unwrap()));
            assert_eq!(prefixed.path("/login"), "/miniback/login");
            assert_eq!(prefixed.cookie_path(), "/miniback");
            assert_eq!(
                prefixed.absolute_url("http://127.0.0.1:1", "/f/x"),
                "https://example.com/miniback/f/x"
            );
        }
    }
}
