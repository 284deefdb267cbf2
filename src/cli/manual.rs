//! `miniback man` and `miniback completions`: the man page and the shell completions.
//!
//! The commands and their options come from the command line parser. The other sections of the man
//! page are in `manual/`.

use std::io;

use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{CommandError, try_print};
use crate::config::{self, CompletionShell};
use crate::version::VERSION;

/// The sections before the commands.
const DESCRIPTION: &str = include_str!("manual/description.roff");
/// The sections after the commands.
const REFERENCE: &str = include_str!("manual/reference.roff");
/// The heading of the options in the output of `clap_mangen`.
const OPTIONS_HEADING: &str = ".SH OPTIONS\n";

pub(super) fn print_man_page() -> Result<(), CommandError> {
    let page = man_page().map_err(CommandError::io_error("can’t create the man page"))?;
    print_whole(&page)
}

pub(super) fn print_completions(shell: CompletionShell) -> Result<(), CommandError> {
    let shell = match shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    let mut command = config::command_line();
    clap_complete::generate(shell, &mut command, "miniback", &mut script);
    print_whole(&String::from_utf8_lossy(&script))
}

fn print_whole(text: &str) -> Result<(), CommandError> {
    try_print(text).map_err(CommandError::io_error("can’t write to standard output"))
}

fn man_page() -> io::Result<String> {
    let mut page = Vec::new();
    let command = config::command_line();
    Man::new(command.clone())
        .title("MINIBACK")
        .source(format!("Miniback {VERSION}"))
        .manual("Miniback")
        .render_title(&mut page)?;
    page.extend_from_slice(DESCRIPTION.as_bytes());
    let mut commands = Vec::new();
    let mut root = command.disable_help_flag(true).disable_version_flag(true);
    root.build();
    collect_commands(&root, &mut commands);
    for command in commands {
        render_command(command, &mut page)?;
    }
    page.extend_from_slice(REFERENCE.as_bytes());
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Collects the commands without subcommands.
fn collect_commands(command: &clap::Command, commands: &mut Vec<clap::Command>) {
    if !command.has_subcommands() {
        commands.push(command.clone());
    }
    for subcommand in command.get_subcommands() {
        collect_commands(subcommand, commands);
    }
}

fn render_command(mut command: clap::Command, page: &mut Vec<u8>) -> io::Result<()> {
    let usage = command.render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SS", [usage.trim_start_matches("Usage: ")]);
    let about = command.get_about().map(ToString::to_string);
    roff.text([roman(format!("{}.", about.unwrap_or_default()))]);
    let after = command.get_after_help().map(ToString::to_string);
    if let Some(after) = after {
        roff.control("PP", []);
        roff.text([roman(after)]);
    }
    page.extend_from_slice(roff.render().as_bytes());
    let mut options = Vec::new();
    let command = command.mut_args(|argument| {
        let is_help = argument.get_id() == "help";
        let values = argument.get_possible_values();
        let is_boolean = values
            .first()
            .is_some_and(|value| value.get_name() == "true");
        argument.hide(is_help).hide_possible_values(is_boolean)
    });
    Man::new(command).render_options_section(&mut options)?;
    let options = String::from_utf8_lossy(&options);
    if let Some((_, options)) = options.split_once(OPTIONS_HEADING) {
        page.extend_from_slice(options.as_bytes());
    }
    Ok(())
}
