//! A command line that is not understood, in one line. It repeats no value and no word that is not
//! close to one that is known: it may be a secret that somebody put in the wrong place.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::providers;

pub(super) const TOO_MANY: &str = "too many arguments: one PROVIDER at a time, and secrets come from the environment or from files";

pub(super) fn sentence(error: &Error) -> String {
    let first = |kind| texts(error, kind).into_iter().next();
    // As clap names it, "--timeout <TIME>", except the value.
    let option = first(ContextKind::InvalidArg).filter(|word| is_an_option(word));
    let of_option = option.as_deref().map(name_alone);
    match error.kind() {
        ErrorKind::MissingSubcommand => "no command given".into(),
        ErrorKind::InvalidSubcommand => match first(ContextKind::SuggestedSubcommand) {
            Some(close) => format!("no such command; did you mean {close}?"),
            None => format!("no such command; use {}", commands()),
        },
        ErrorKind::UnknownArgument => {
            let close = first(ContextKind::SuggestedArg).map(|word| name_alone(&word).to_owned());
            match (close, of_option) {
                (Some(close), _) => format!("no such option; did you mean {close}?"),
                (None, Some(option)) if is_a_plain_word(option) => {
                    format!("{option}: no such option here")
                }
                (None, Some(_)) => "no such option".into(),
                (None, None) => TOO_MANY.into(),
            }
        }
        ErrorKind::MissingRequiredArgument => {
            match texts(error, ContextKind::InvalidArg).iter().any(|word| word.contains("PROVIDER"))
            {
                true => format!("a PROVIDER is needed: {}", providers()),
                false => match first(ContextKind::InvalidArg) {
                    Some(missing) if missing.contains("CURL-ARGUMENTS") => {
                        "-- and curl's arguments are needed: paytoken curl PROVIDER -- https://…"
                            .into()
                    }
                    Some(missing) => format!("{missing} is needed"),
                    None => "something is missing".into(),
                },
            }
        }
        ErrorKind::InvalidUtf8 => "an argument is not text".into(),
        kind => {
            let what = match kind {
                ErrorKind::TooManyValues => "takes no value",
                // No value at all, or one that is none of those that are possible.
                ErrorKind::InvalidValue => match &*texts(error, ContextKind::ValidValue).join(", ")
                {
                    "" => "needs a value",
                    known => {
                        return format!("{}: use {known}", of_option.unwrap_or("the argument"));
                    }
                },
                ErrorKind::ArgumentConflict => "given twice",
                ErrorKind::NoEquals => "needs a value",
                _ => "not understood",
            };
            format!("{}: {what}", of_option.unwrap_or("an argument"))
        }
    }
}

fn texts(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

fn is_an_option(word: &str) -> bool {
    word.starts_with('-')
}

fn name_alone(word: &str) -> &str {
    word.split([' ', '=']).next().unwrap_or(word)
}

/// As options and names are: short, in lower-case letters. It can be repeated.
pub(crate) fn is_a_plain_word(option: &str) -> bool {
    option.len() <= 16 && option.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

fn commands() -> String {
    let definition = super::definition(super::Extent::Parsing);
    let names: Vec<_> = definition.get_subcommands().map(clap::Command::get_name).collect();
    names.join(", ")
}
