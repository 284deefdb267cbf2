//! Example files from `examples/`, with the introductions and commands that pages show for them.

use GuideSection::{CommonUses, Verify};

/// Path of the endpoint in the example files.
const ENDPOINT_PATH: &str = "/webhooks/miniback";

/// An example file.
pub struct Example {
    /// Identifies the example in URLs: `?with=KEY` on "Endpoint code", `#KEY` in the guide.
    pub key: &'static str,
    pub name: &'static str,
    /// The name or relative path to save the file as.
    pub file: &'static str,
    pub code: &'static str,
    /// The section of the guide that contains the example, and the example's introduction there.
    guide: Option<(GuideSection, &'static str)>,
    /// The data for running the example; `None` if "Endpoint code" doesn't offer it.
    receiver: Option<Receiver>,
}

/// A section of the guide that contains examples.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum GuideSection {
    Verify,
    CommonUses,
}

/// The data for running an example as the endpoint of a webhook: commands, path syntax, and kind of
/// secret.
#[derive(Clone, Copy)]
pub struct Receiver {
    /// Shell command that installs the dependencies.
    pub install: &'static str,
    /// Shell command that starts the receiver, without the environment variables.
    pub start: &'static str,
    path: PathSyntax,
    /// Whether the example verifies only the `webhook-…` headers and therefore needs a `whsec_`
    /// secret.
    pub needs_standard_secret: bool,
}

/// The syntax that an example uses for the path of its endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PathSyntax {
    JavaScriptString,
    /// A JavaScript string that Express reads as a pattern.
    ExpressPattern,
    PythonString,
    /// In Next.js, the directory of the file determines the path of the endpoint.
    NextDirectory,
}

impl Example {
    /// A name that fits into a row of tabs.
    pub fn short_name(&self) -> &'static str {
        match self.key {
            "standard-webhooks-node" => "Node library",
            "standard-webhooks-python" => "Python library",
            _ => self.name,
        }
    }

    /// The language of the code, as in a fenced code block: the extension of the file.
    pub fn language(&self) -> &'static str {
        self.file.rsplit('.').next().unwrap_or_default()
    }

    /// Returns the examples of a section of the guide, each with its introduction.
    pub fn for_guide_section(
        wanted: GuideSection,
    ) -> impl Iterator<Item = (&'static Self, &'static str)> {
        EXAMPLES.iter().filter_map(move |example| {
            let (section, introduction) = example.guide?;
            (section == wanted).then_some((example, introduction))
        })
    }

    /// Returns the examples that "Endpoint code" offers, with the data for running them.
    pub fn receivers() -> impl Iterator<Item = (&'static Self, Receiver)> {
        EXAMPLES
            .iter()
            .filter_map(|example| Some((example, example.receiver?)))
    }

    /// Returns the name to save the file as, and the code, both adapted to the path of a webhook's
    /// URL. Without a `receiver`, the name and the code are unchanged.
    pub fn adapt_to_path(&self, path: &str) -> (String, String) {
        let literal = match self.receiver.map(|receiver| receiver.path) {
            Some(PathSyntax::JavaScriptString) => javascript_string_literal(path),
            Some(PathSyntax::ExpressPattern) => {
                javascript_string_literal(&escape_for_express(path))
            }
            Some(PathSyntax::PythonString) => python_string_literal(path),
            Some(PathSyntax::NextDirectory) => {
                let file = nextjs_route_file(path);
                let code = self.code.replace(self.file, &file);
                return (file, code);
            }
            None => format!("\"{ENDPOINT_PATH}\""),
        };
        let code = self.code.replace(&format!("\"{ENDPOINT_PATH}\""), &literal);
        (self.file.to_owned(), code)
    }
}

/// All examples, in the order of the lists on pages.
static EXAMPLES: [Example; 13] = [
    Example {
        key: "express",
        name: "Express",
        file: "server.mjs",
        code: include_str!("../../examples/receivers/express/server.mjs"),
        guide: Some((
            Verify,
            "A complete Node endpoint. Install with “npm install express”.",
        )),
        receiver: Some(Receiver {
            install: "npm install express",
            start: "node server.mjs",
            path: PathSyntax::ExpressPattern,
            needs_standard_secret: false,
        }),
    },
    Example {
        key: "flask",
        name: "Flask",
        file: "app.py",
        code: include_str!("../../examples/receivers/flask/app.py"),
        guide: Some((
            Verify,
            "A complete Python endpoint. Install with “pip install flask”.",
        )),
        receiver: Some(Receiver {
            install: "pip install flask",
            start: "python app.py",
            path: PathSyntax::PythonString,
            needs_standard_secret: false,
        }),
    },
    Example {
        key: "nextjs",
        name: "Next.js",
        file: "app/webhooks/miniback/route.js",
        code: include_str!("../../examples/receivers/nextjs/app/webhooks/miniback/route.js"),
        guide: Some((Verify, "A route handler for the App Router.")),
        receiver: Some(Receiver {
            install: "npm install next react react-dom",
            start: "npx next dev --hostname 127.0.0.1",
            path: PathSyntax::NextDirectory,
            needs_standard_secret: false,
        }),
    },
    Example {
        key: "standard-webhooks-node",
        name: "Standard Webhooks, Node",
        file: "server.mjs",
        code: include_str!("../../examples/receivers/standard-webhooks-node/server.mjs"),
        guide: None,
        receiver: Some(Receiver {
            install: "npm install standardwebhooks",
            start: "node server.mjs",
            path: PathSyntax::JavaScriptString,
            needs_standard_secret: true,
        }),
    },
    Example {
        key: "standard-webhooks-python",
        name: "Standard Webhooks, Python",
        file: "app.py",
        code: include_str!("../../examples/receivers/standard-webhooks-python/app.py"),
        guide: None,
        receiver: Some(Receiver {
            install: "pip install flask standardwebhooks",
            start: "python app.py",
            path: PathSyntax::PythonString,
            needs_standard_secret: true,
        }),
    },
    Example {
        key: "go",
        name: "Go",
        file: "verify.go",
        code: include_str!("../../examples/verify/verify.go"),
        guide: Some((
            Verify,
            "A function for your handler. Uses only the standard library.",
        )),
        receiver: None,
    },
    Example {
        key: "php",
        name: "PHP",
        file: "verify.php",
        code: include_str!("../../examples/verify/verify.php"),
        guide: Some((
            Verify,
            "A function for your script. Requires PHP 8 and no extensions.",
        )),
        receiver: None,
    },
    Example {
        key: "ruby",
        name: "Ruby",
        file: "verify.rb",
        code: include_str!("../../examples/verify/verify.rb"),
        guide: Some((
            Verify,
            "A function for your Rack or Rails action. Uses only the standard library.",
        )),
        receiver: None,
    },
    Example {
        key: "rust",
        name: "Rust",
        file: "verify.rs",
        code: include_str!("../../examples/verify/verify.rs"),
        guide: Some((Verify, "A function for any framework.")),
        receiver: None,
    },
    Example {
        key: "discord",
        name: "Post to a Discord channel",
        file: "server.mjs",
        code: include_str!("../../examples/receivers/discord/server.mjs"),
        guide: Some((
            CommonUses,
            "Node and Discord. Slack and other services with incoming webhooks work the same way.",
        )),
        receiver: None,
    },
    Example {
        key: "database",
        name: "Write to a database",
        file: "app.py",
        code: include_str!("../../examples/receivers/database/app.py"),
        guide: Some((
            CommonUses,
            "Python and SQLite. Processed deliveries are stored in the database too, so duplicates are detected after a restart.",
        )),
        receiver: None,
    },
    Example {
        key: "sms",
        name: "Send an SMS for urgent feedback",
        file: "app.py",
        code: include_str!("../../examples/receivers/sms/app.py"),
        guide: Some((CommonUses, "Python and Twilio.")),
        receiver: None,
    },
    Example {
        key: "ticket",
        name: "Open a ticket",
        file: "server.mjs",
        code: include_str!("../../examples/receivers/ticket/server.mjs"),
        guide: Some((CommonUses, "Node and GitHub issues.")),
        receiver: None,
    },
];

fn javascript_string_literal(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Escapes the characters that have a special meaning in Express path patterns.
fn escape_for_express(path: &str) -> String {
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

/// Percent-decodes a path and formats it as a Python string literal, because Flask compares decoded
/// paths.
fn python_string_literal(path: &str) -> String {
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

/// Returns the name of the route file for `path` in Next.js, which derives routes from directories.
///
/// Next.js ignores directories whose names start with `_`, so this `_` is percent-encoded.
fn nextjs_route_file(path: &str) -> String {
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
    fn replaces_the_path_in_each_receiver() {
        for (example, _) in Example::receivers() {
            let (file, code) = example.adapt_to_path(ENDPOINT_PATH);
            let (_, adapted) = example.adapt_to_path("/in/box");
            assert_eq!((file.as_str(), code.as_str()), (example.file, example.code));
            assert!(code.contains(ENDPOINT_PATH), "{}", example.name);
            assert!(!adapted.contains(ENDPOINT_PATH), "{}", example.name);
            assert_eq!(adapted.replace("/in/box", ENDPOINT_PATH), code);
        }
    }

    #[test]
    fn escapes_special_characters_for_each_language() {
        assert_eq!(
            javascript_string_literal(&escape_for_express("/a:b(c)/it's")),
            r#""/a\\:b\\(c\\)/it's""#
        );
        assert_eq!(
            python_string_literal("/a%22b/%C3%A9/it's"),
            r#""/a\"b/\U000000e9/it's""#
        );
        assert_eq!(nextjs_route_file("/_in/box/"), "app/%5Fin/box/route.js");
        assert_eq!(nextjs_route_file("/"), "app/route.js");
    }
}
