//! `paytoken completions` and `paytoken man`: made from the definition of the command line.

use std::io;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use paytoken::Provider;

use crate::command_line::{Extent, definition};
use crate::exit::Failure;
use crate::settings::{SettingsFile, named};
use crate::terminal::print;

pub(crate) fn completions(shell: &str) -> Result<(), Failure> {
    let shell: Shell = shell.parse().map_err(Failure::Usage)?;
    let mut text = Vec::new();
    let mut definition = definition(Extent::Whole);
    clap_complete::generate(shell, &mut definition, "paytoken", &mut text);
    let providers: Vec<_> = Provider::ALL.iter().map(|provider| provider.facts().name).collect();
    let providers = providers.join(" ");
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if shell != Shell::Fish {
        // Both evaluate the list each time, the crate's list of the providers being part of it.
        let accounts = format!("{providers} $({ACCOUNTS})");
        return print(&text.replace(&providers, &accounts));
    }
    // The crate knows no values of arguments for fish.
    let takes_account = |command: &&Command| {
        command.get_arguments().any(|argument| argument.get_id() == "provider")
    };
    for command in definition.get_subcommands().filter(takes_account) {
        text += &format!(
            "complete -c paytoken -n '__fish_paytoken_using_subcommand {}; and test (count (commandline -opc)) -eq 2' -f -a '{providers} ({ACCOUNTS})'\n",
            command.get_name()
        );
    }
    print(&text)
}

/// What prints the names of the settings file's accounts.
const ACCOUNTS: &str = "paytoken completions accounts 2>/dev/null";

/// A line each, except providers' own; not those that a shell may take for something else.
pub(crate) fn accounts(file: Option<&SettingsFile>) -> Result<(), Failure> {
    let is_plain =
        |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let names = file.into_iter().flat_map(SettingsFile::accounts).filter(is_plain);
    let names = names.filter(|name| named(name, None).is_none());
    print(&names.flat_map(|name| [name, "\n"]).collect::<String>())
}

pub(crate) fn manual() -> Result<(), Failure> {
    match page() {
        Ok(page) => print(&page),
        Err(error) => Err(Failure::Output(format!("cannot make the page: {error}"))),
    }
}

/// One page for all: a heading for each command, below those of the whole.
fn page() -> io::Result<String> {
    let definition = definition(Extent::Whole).disable_help_flag(true).disable_version_flag(true);
    let whole = Man::new(definition.clone().subcommands(Vec::<Command>::new()));
    let mut text = Vec::new();
    whole.render_title(&mut text)?;
    // Names that are typed are not cut at the end of a line, and lines are not stretched.
    text.extend_from_slice(b".nh\n.ad l\n");
    whole.render_name_section(&mut text)?;
    text.extend_from_slice(
        b".SH SYNOPSIS\n\\fBpaytoken\\fR COMMAND [PROVIDER] [OPTIONS] [-- CURL-ARGUMENTS]\n.SH COMMANDS\n",
    );
    for command in definition.get_subcommands() {
        let name = format!("paytoken {}", command.get_name());
        let command = Man::new(command.clone().bin_name(name).disable_help_flag(true));
        let mut section = Vec::new();
        command.render_synopsis_section(&mut section)?;
        command.render_description_section(&mut section)?;
        command.render_options_section(&mut section)?;
        command.render_extra_section(&mut section)?;
        // Its headings are nobody's: the first begins the command's part, the others nothing.
        let section = String::from_utf8_lossy(&section).into_owned();
        let section = section.replacen(".SH SYNOPSIS", ".SS \"\"", 1);
        // The crate leaves it out.
        let section = section.replacen("> <\\fICURL", "> \\-\\- <\\fICURL", 1);
        let lines = section.lines().map(|line| match line.strip_prefix(".SH ") {
            Some(_) => ".PP",
            None => line,
        });
        text.extend(lines.flat_map(|line| [line, "\n"]).flat_map(str::bytes));
    }
    text.extend_from_slice(b".SH \"OPTIONS OF ALL COMMANDS\"\n");
    let mut options = Vec::new();
    whole.render_options_section(&mut options)?;
    let options = String::from_utf8_lossy(&options).into_owned();
    text.extend(options.replacen(".SH OPTIONS\n", "", 1).bytes());
    let mut extra = Vec::new();
    whole.render_extra_section(&mut extra)?;
    let extra = String::from_utf8_lossy(&extra).into_owned();
    // As it is laid out there: columns, and lines that are commands.
    text.extend(extra.replacen(".SH EXTRA", ".SH NOTES\n.nf", 1).bytes());
    text.extend_from_slice(b".fi\n");
    Ok(String::from_utf8_lossy(&text).into_owned())
}
