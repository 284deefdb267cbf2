//! The receivers of `examples/receivers/` as a webhook's page shows them: the files themselves, with the path of the
//! webhook's own URL in the place of theirs.

/// The path in the files.
const PATH: &str = "/webhooks/miniback";

/// What can receive a webhook, in the order in which the page offers it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Framework {
    Express,
    Flask,
    NextJs,
    StandardWebhooksNode,
    StandardWebhooksPython,
    Listen,
}

/// A receiver, ready to be saved and started.
pub(super) struct ReceiverExample {
    /// The shell's command that installs what it needs.
    pub(super) install: &'static str,
    pub(super) file: String,
    pub(super) code: String,
    /// What starts it, after the variables.
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

    /// Its name in addresses.
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

    /// Whether it verifies by the `webhook-…` headers alone.
    pub(super) const fn needs_standard_secret(self) -> bool {
        matches!(
            self,
            Self::StandardWebhooksNode | Self::StandardWebhooksPython
        )
    }

    /// The receiver for a path as it stands in a request; `None` for `miniback listen`, which takes any.
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

/// Puts a literal, quotes and all, in the place of that in the file.
fn with_path(source: &str, literal: &str) -> String {
    source.replace(&format!("\"{PATH}\""), literal)
}

fn javascript(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Express reads these characters as a pattern, unless a backslash stands before them.
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

/// Flask compares the path after it is decoded.
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

/// Next.js finds a route by its directory; one whose name begins with `_` is left out, so that is written otherwise.
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
    fn the_path_of_the_webhook_stands_where_that_of_the_file_stood() {
        for framework in Framework::ALL {
            let Some(own) = framework.example(PATH) else {
                continue;
            };
            let other = framework.example("/in/box").unwrap();
            assert!(own.code.contains(PATH), "{}", framework.name());
            assert!(!other.code.contains(PATH), "{}", framework.name());
            assert_eq!(other.code.replace("/in/box", PATH), own.code);
        }
    }

    #[test]
    fn a_path_of_odd_characters_is_written_as_each_language_reads_it() {
        assert_eq!(
            javascript(&express_route("/a:b(c)/it's")),
            r#""/a\\:b\\(c\\)/it's""#
        );
        assert_eq!(python("/a%22b/%C3%A9/it's"), r#""/a\"b/\U000000e9/it's""#);
        assert_eq!(next_file("/_in/box/"), "app/%5Fin/box/route.js");
        assert_eq!(next_file("/"), "app/route.js");
    }
}
