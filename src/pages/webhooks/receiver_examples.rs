//! The files of `examples/receivers/`, adapted to the path of a webhook's URL.

/// The path used in the files.
const PATH: &str = "/webhooks/miniback";

/// A way to receive webhooks, in the order of the page's tabs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Framework {
    Express,
    Flask,
    NextJs,
    StandardWebhooksNode,
    StandardWebhooksPython,
    Listen,
}

/// A receiver that is ready to save and start.
pub(super) struct ReceiverExample {
    /// Shell command that installs the dependencies.
    pub(super) install: &'static str,
    pub(super) file: String,
    pub(super) code: String,
    /// Shell command that starts the receiver, without the environment variables.
    pub(super) start: &'static str,
}

impl Framework {
    pub(super) const ALL: [Self; 6] = [
        Self::Express,
        Self::Flask,
        Self::NextJs,
        Self::StandardWebhooksNode,
        Self::StandardWebhooksPython,
        Self::Listen,
    ];

    /// The value of `?with=`.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Express => "express",
            Self::Flask => "flask",
            Self::NextJs => "nextjs",
            Self::StandardWebhooksNode => "standard-webhooks-node",
            Self::StandardWebhooksPython => "standard-webhooks-python",
            Self::Listen => "listen",
        }
    }

    pub(super) fn parse(key: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|framework| framework.key() == key)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Express => "Express",
            Self::Flask => "Flask",
            Self::NextJs => "Next.js",
            Self::StandardWebhooksNode => "Standard Webhooks, Node",
            Self::StandardWebhooksPython => "Standard Webhooks, Python",
            Self::Listen => "miniback listen",
        }
    }

    /// Whether it verifies only the `webhook-…` headers, which need a `whsec_` secret.
    pub(super) const fn needs_standard_secret(self) -> bool {
        matches!(
            self,
            Self::StandardWebhooksNode | Self::StandardWebhooksPython
        )
    }

    /// Returns the receiver for a request path, or `None` for `miniback listen`, which accepts any
    /// path.
    pub(super) fn example(self, path: &str) -> Option<ReceiverExample> {
        let (install, file, code, start) = match self {
            Self::Express => (
                "npm install express",
                "server.mjs".to_owned(),
                with_path(
                    include_str!("../../../examples/receivers/express/server.mjs"),
                    &javascript(&express_route(path)),
                ),
                "node server.mjs",
            ),
            Self::Flask => (
                "pip install flask",
                "app.py".to_owned(),
                with_path(
                    include_str!("../../../examples/receivers/flask/app.py"),
                    &python(path),
                ),
                "python app.py",
            ),
            Self::NextJs => {
                let file = next_file(path);
                let source = include_str!(
                    "../../../examples/receivers/nextjs/app/webhooks/miniback/route.js"
                );
                let code = source.replace(&next_file(PATH), &file);
                (
                    "npm install next react react-dom",
                    file,
                    code,
                    "npx next dev --hostname 127.0.0.1",
                )
            }
            Self::StandardWebhooksNode => (
                "npm install standardwebhooks",
                "server.mjs".to_owned(),
                with_path(
                    include_str!("../../../examples/receivers/standard-webhooks-node/server.mjs"),
                    &javascript(path),
                ),
                "node server.mjs",
            ),
            Self::StandardWebhooksPython => (
                "pip install flask standardwebhooks",
                "app.py".to_owned(),
                with_path(
                    include_str!("../../../examples/receivers/standard-webhooks-python/app.py"),
                    &python(path),
                ),
                "python app.py",
            ),
            Self::Listen => return None,
        };
        Some(ReceiverExample {
            install,
            file,
            code,
            start,
        })
    }
}

/// Replaces the path in the file, including its quotes, by `literal`.
fn with_path(source: &str, literal: &str) -> String {
    source.replace(&format!("\"{PATH}\""), literal)
}

fn javascript(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Escapes the characters that Express would read as a pattern.
fn express_route(path: &str) -> String {
    path.chars()
        .flat_map(|c| {
            "()[]{}*:?+!\\"
                .contains(c)
                .then_some('\\')
                .into_iter()
                .chain([c])
        })
        .collect()
}

/// Formats the decoded path, which Flask compares, as a Python string literal.
fn python(path: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .unwrap_or(path.into());
    let escaped = decoded.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        ' '..='~' => c.to_string(),
        other => format!("\\U{:08x}", u32::from(other)),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// Returns the file whose directory is the route of `path` in Next.js.
///
/// Next.js ignores directories that start with `_`, so the `_` is percent-encoded.
fn next_file(path: &str) -> String {
    let directories = path
        .split('/')
        .filter(|directory| !directory.is_empty())
        .map(|directory| match directory.strip_prefix('_') {
            Some(rest) => format!("%5F{rest}/"),
            None => format!("{directory}/"),
        });
    format!("app/{}route.js", directories.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_path_in_each_example() {
        for framework in Framework::ALL {
            let Some(original) = framework.example(PATH) else {
                continue;
            };
            let adapted = framework.example("/in/box").unwrap();
            assert!(original.code.contains(PATH), "{}", framework.name());
            assert!(!adapted.code.contains(PATH), "{}", framework.name());
            assert_eq!(adapted.code.replace("/in/box", PATH), original.code);
        }
    }

    #[test]
    fn escapes_special_characters_for_each_language() {
        assert_eq!(
            javascript(&express_route("/a:b(c)/it's")),
            r#""/a\\:b\\(c\\)/it's""#
        );
        assert_eq!(python("/a%22b/%C3%A9/it's"), r#""/a\"b/\U000000e9/it's""#);
        assert_eq!(next_file("/_in/box/"), "app/%5Fin/box/route.js");
        assert_eq!(next_file("/"), "app/route.js");
    }
}
