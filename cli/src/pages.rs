//! `paytoken completions` and `paytoken man`: made from the definition of the command line.

use clap_complete::Shell;

use crate::command_line::definition;
use crate::exit::Failure;
use crate::terminal::print;

pub(crate) fn completions(shell: &str) -> Result<(), Failure> {
    let shell: Shell = shell.parse().map_err(Failure::Usage)?;
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut definition(), "paytoken", &mut text);
    print(&String::from_utf8_lossy(&text))
}

pub(crate) fn manual() -> Result<(), Failure> {
    let mut definition = definition().disable_help_flag(true);
    definition.build();
    let mut text = Vec::new();
    let page = |command: clap::Command| clap_mangen::Man::new(command);
    let result = page(definition.clone()).render(&mut text).and_then(|()| {
        for command in definition.get_subcommands().filter(|command| !command.is_hide_set()) {
            let heading =
                format!("{} {}", definition.get_name(), command.get_name()).to_uppercase();
            text.extend_from_slice(format!(".SH {heading}\n").as_bytes());
            let section = page(command.clone());
            section.render_description_section(&mut text)?;
            section.render_synopsis_section(&mut text)?;
            section.render_options_section(&mut text)?;
            section.render_extra_section(&mut text)?;
        }
        Ok(())
    });
    match result {
        Ok(()) => print(&String::from_utf8_lossy(&text)),
        Err(error) => Err(Failure::Output(format!("cannot make the page: {error}"))),
    }
}
