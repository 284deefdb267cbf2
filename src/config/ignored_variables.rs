//! Finds `MINIBACK_…` environment variables that are set but have no effect.
//!
//! They cause a warning, not an error, because Kubernetes sets variables such as `MINIBACK_PORT`
//! for a service named `miniback`.

use std::collections::BTreeMap;

use clap::CommandFactory;

use super::Cli;

const VARIABLE_PREFIX: &str = "MINIBACK_";

/// Variables without a flag, each with the main command that reads it.
const VARIABLES_WITHOUT_FLAG: [(&str, &str); 7] = [
    ("MINIBACK_ADMIN_EMAIL", "serve"),
    ("MINIBACK_ADMIN_PASSWORD", "serve"),
    ("MINIBACK_ADMIN_PASSWORD_FILE", "serve"),
    ("MINIBACK_ALERT_SECRET_FILE", "serve"),
    ("MINIBACK_LOG", "serve"),
    ("MINIBACK_SECRET_FILE", "listen"),
    ("MINIBACK_SMTP_URL_FILE", "serve"),
];

/// Returns a sentence that lists the `MINIBACK_…` variables in `set` that no command reads, each
/// with the most similar known name. If `is_serve` is true, the sentence also lists the variables
/// that only other commands read. Returns `None` if there is nothing to list.
///
/// `set` contains the names of all variables that are set and not empty.
pub fn describe_ignored_variables(
    is_serve: bool,
    set: impl IntoIterator<Item = String>,
) -> Option<String> {
    let known = known_variables();
    let reason = |name: &str| match known.get(name) {
        None => Some(format!(
            "unknown; did you mean {}?",
            nearest_known_variable(&known, name)
        )),
        Some(commands) if is_serve && !commands.contains(&"serve".to_owned()) => {
            Some(format!("read only by miniback {}", commands.join(", ")))
        }
        Some(_) => None,
    };
    let mut ignored: Vec<String> = set
        .into_iter()
        .filter(|name| name.starts_with(VARIABLE_PREFIX))
        .filter_map(|name| Some(format!("{name} ({})", reason(&name)?)))
        .collect();
    ignored.sort();
    (!ignored.is_empty()).then(|| {
        format!(
            "environment variables have no effect: {}",
            ignored.join(", ")
        )
    })
}

/// Returns the names of all environment variables that are set and not empty.
pub fn nonempty_variable_names() -> impl Iterator<Item = String> {
    std::env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, _)| name.to_string_lossy().into_owned())
}

/// Returns each known variable with the commands that read it.
fn known_variables() -> BTreeMap<String, Vec<String>> {
    let mut known = BTreeMap::<String, Vec<String>>::new();
    let mut record = |variable: &str, command: &str| {
        known
            .entry(variable.to_owned())
            .or_default()
            .push(command.to_owned());
    };
    for (variable, command) in VARIABLES_WITHOUT_FLAG {
        record(variable, command);
    }
    for command in Cli::command().get_subcommands() {
        let nested = command
            .get_subcommands()
            .flat_map(clap::Command::get_arguments);
        for argument in command.get_arguments().chain(nested) {
            if let Some(variable) = argument.get_env() {
                record(&variable.to_string_lossy(), command.get_name());
            }
        }
    }
    known
}

/// Returns the known name that is most similar to `name`.
fn nearest_known_variable<'a>(known: &'a BTreeMap<String, Vec<String>>, name: &str) -> &'a str {
    let without_prefix = |name: &str| name.trim_start_matches(VARIABLE_PREFIX).replace('_', "");
    let name = without_prefix(name);
    let similarity = |candidate: &str| strsim::jaro_winkler(&without_prefix(candidate), &name);
    known
        .keys()
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
        .map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(is_serve: bool, names: &[&str]) -> Option<String> {
        describe_ignored_variables(is_serve, names.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn suggests_the_nearest_known_name() {
        for (typo, name) in [
            ("MINIBACK_BASEURL", "MINIBACK_BASE_URL"),
            ("MINIBACK_BASE_URI", "MINIBACK_BASE_URL"),
            ("MINIBACK_TRUSTED_PROXIES", "MINIBACK_TRUSTED_PROXY"),
            ("MINIBACK_TRUST_PROXY", "MINIBACK_TRUSTED_PROXY"),
            ("MINIBACK_RETENTION_DAYS", "MINIBACK_RETENTION"),
            ("MINIBACK_DATADIR", "MINIBACK_DATA_DIR"),
            ("MINIBACK_DATA", "MINIBACK_DATA_DIR"),
            ("MINIBACK_LOG_LEVEL", "MINIBACK_LOG"),
            ("MINIBACK_LISTEN_ADDR", "MINIBACK_LISTEN"),
            ("MINIBACK_ADMIN_MAIL", "MINIBACK_ADMIN_EMAIL"),
            ("MINIBACK_ADMIN_PASS", "MINIBACK_ADMIN_PASSWORD"),
            ("MINIBACK_CA_FILES", "MINIBACK_CA_FILE"),
            ("MINIBACK_DENYLOCALHOST", "MINIBACK_DENY_LOCALHOST"),
            ("MINIBACK_RETRY_DELAY", "MINIBACK_RETRY_DELAYS"),
        ] {
            let text = describe(true, &[typo]).unwrap();
            assert!(
                text.ends_with(&format!("{typo} (unknown; did you mean {name}?)")),
                "{text}"
            );
        }
    }

    #[test]
    fn reports_all_variables_in_one_line_and_no_others() {
        let text = describe(true, &["MINIBACK_B", "PATH", "MINIBACK_A", "MINIBACK_PORT"]).unwrap();
        let positions = ["MINIBACK_A", "MINIBACK_B", "MINIBACK_PORT"].map(|name| text.find(name));
        assert!(positions.is_sorted() && positions[0].is_some(), "{text}");
        assert!(text.contains("MINIBACK_PORT (read only by miniback listen)"));
        assert!(!text.contains("PATH") && !text.contains('\n'));
        assert_eq!(describe(false, &["MINIBACK_PORT", "HOME"]), None);
    }

    #[test]
    fn every_variable_of_serve_has_an_effect() {
        let serve: Vec<String> = known_variables()
            .into_iter()
            .filter(|(_, commands)| commands.contains(&"serve".to_owned()))
            .map(|(name, _)| name)
            .collect();
        assert!(serve.len() > 20, "{serve:?}");
        assert_eq!(describe_ignored_variables(true, serve), None);
    }
}
