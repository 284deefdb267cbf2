//! The man page and the shell completions.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::command::{miniback, run};

fn man_page() -> String {
    run(miniback(["man"]), "").success().stdout
}

/// Returns all commands without subcommands, such as `user add`, each with its options.
fn commands() -> Vec<(String, Vec<String>)> {
    fn collect(command: &clap::Command, path: &str, found: &mut Vec<(String, Vec<String>)>) {
        for subcommand in command.get_subcommands() {
            let path = format!("{path} {}", subcommand.get_name());
            if !subcommand.has_subcommands() {
                let visible = subcommand.get_arguments().filter(|arg| !arg.is_hide_set());
                let long = visible.filter_map(|arg| arg.get_long().map(str::to_owned));
                found.push((path.trim_start().to_owned(), long.collect()));
            }
            collect(subcommand, &path, found);
        }
    }
    let mut found = Vec::new();
    collect(&miniback::config::command_line(), "", &mut found);
    assert!(found.len() > 15, "{found:?}");
    found
}

#[test]
fn the_man_page_describes_every_command_and_option() {
    let page = man_page().replace("\\-", "-");
    for (command, options) in commands() {
        let heading = page
            .split("\n.SS ")
            .find(|section| {
                section
                    .trim_start_matches('"')
                    .starts_with(&format!("miniback {command}"))
            })
            .unwrap_or_else(|| panic!("no section about {command}"));
        for option in options {
            let flag = format!("--{option}");
            assert!(heading.contains(&flag), "{command} {flag}: {heading}");
        }
    }
    for section in [
        "NAME",
        "SYNOPSIS",
        "ENVIRONMENT",
        "FILES",
        "\"EXIT STATUS\"",
        "EXAMPLES",
    ] {
        let heading = format!("\n.SH {}\n", section.trim_matches('"'));
        assert!(page.contains(&heading), "{section}");
    }
    for part in [
        "MINIBACK_LISTEN",
        "MINIBACK_LOG",
        "127.0.0.1:8080",
        "miniback.db-wal",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn the_man_page_is_valid() {
    let groff = ["-ww", "-man", "-Tutf8", "-Kutf8"];
    let mut groff = match Command::new("groff")
        .args(groff)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    {
        Ok(groff) => groff,
        Err(error) => panic!("can't run groff: {error}; install Debian's package groff-base"),
    };
    let mut stdin = groff.stdin.take().unwrap();
    stdin.write_all(man_page().as_bytes()).unwrap();
    drop(stdin);
    let output = groff.wait_with_output().unwrap();
    let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(warnings, "");
    assert!(output.status.success() && output.stdout.len() > 10_000);
}

#[test]
fn prints_completions_for_every_shell() {
    for (shell, check) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        let script = run(miniback(["completions", shell]), "").success().stdout;
        for part in ["setup-link", "data-dir", "restore"] {
            assert!(script.contains(part), "{shell}: {part}");
        }
        // Zsh and fish aren't installed on every machine.
        let mut parse = Command::new(check);
        let spawned = parse
            .arg("-n")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut process) = spawned else {
            continue;
        };
        process
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        let output = process.wait_with_output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{shell}: {output:?}"
        );
    }
    let line = run(miniback(["completions", "tcsh"]), "").error_line(2);
    assert!(line.contains("tcsh") && line.contains("fish"), "{line}");
}
