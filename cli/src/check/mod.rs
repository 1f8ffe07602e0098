//! `paytoken check`: what is set up right and wrong, with the way out. It sends no credentials
//! unless it is asked to get a token.

mod files;
mod network;
mod server;
mod stores;

use serde_json::{Value, json};

use crate::command_line::Options;
use crate::exit::Failure;
use crate::settings::{Origin, SettingsFile, Target};
use crate::terminal::print;

pub(crate) struct Wish {
    pub(crate) fetch: bool,
    pub(crate) force: bool,
    pub(crate) json: bool,
}

pub(crate) fn run(
    name: &str,
    file: Option<&SettingsFile>,
    options: &Options,
    wish: &Wish,
) -> Result<(), Failure> {
    if wish.force && !wish.fetch {
        return Err(Failure::Usage("--force: only with --fetch".into()));
    }
    let mut table = Table::default();
    settings_file(file, name, &mut table);
    let provider = match Target::open(name, file, options) {
        Ok(target) => {
            let target = &target;
            target.deadline().watch(|| {
                credentials(target, &mut table);
                files::check(target, &mut table);
                environment(target, &mut table);
                stores::check(target, &mut table);
                network::check(target, wish, &mut table);
            });
            target.provider().to_string()
        }
        Err(failure @ Failure::Usage(_)) => return Err(failure),
        Err(failure) => {
            table.wrong("settings", failure.to_string());
            name.to_owned()
        }
    };
    match wish.json {
        true => print(&format!("{:#}\n", table.value(name, &provider)))?,
        false => print(&table.text())?,
    }
    match table.is_any_wrong() {
        true => Err(Failure::Code(78)),
        false => Ok(()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warning,
    Wrong,
}

/// What was found, a line each.
#[derive(Default)]
struct Table(Vec<(Verdict, String, String)>);

impl Table {
    fn ok(&mut self, what: &str, text: impl Into<String>) {
        self.0.push((Verdict::Ok, what.to_owned(), text.into()));
    }

    fn warning(&mut self, what: &str, text: impl Into<String>) {
        self.0.push((Verdict::Warning, what.to_owned(), text.into()));
    }

    fn wrong(&mut self, what: &str, text: impl Into<String>) {
        self.0.push((Verdict::Wrong, what.to_owned(), text.into()));
    }

    fn is_any_wrong(&self) -> bool {
        self.0.iter().any(|(verdict, _, _)| *verdict == Verdict::Wrong)
    }

    fn text(&self) -> String {
        let width = self.0.iter().map(|(_, what, _)| what.chars().count()).max().unwrap_or(0);
        let line = |(verdict, what, text): &(Verdict, String, String)| {
            format!("{:<7}  {what:<width$}  {text}\n", verdict.name())
        };
        self.0.iter().map(line).collect()
    }

    fn value(&self, account: &str, provider: &str) -> Value {
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|(verdict, what, text)| json!({"state": verdict.name(), "what": what, "text": text}))
            .collect();
        json!({"account": account, "provider": provider, "ok": !self.is_any_wrong(), "rows": rows})
    }
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }
}

fn settings_file(file: Option<&SettingsFile>, name: &str, table: &mut Table) {
    let Some(file) = file else {
        return table.ok("settings file", "none");
    };
    table.ok("settings file", file.path().display().to_string());
    // Another account's mistake is none of this one's, and worth a line.
    for other in file.accounts().filter(|other| *other != name) {
        if let Err(problem) = file.account(other) {
            table.warning("settings file", problem);
        }
    }
}

/// Where they come from, and what looks like a mistake in them.
fn credentials(target: &Target, table: &mut Table) {
    let facts = target.provider().facts();
    for field in [facts.id, facts.secret] {
        let variable = facts.variable(field.variable);
        let origin = target.origin(&variable);
        match origin {
            Origin::NotSet => table.wrong(
                field.name,
                format!(
                    "not set; set {variable}, {variable}_FILE, or {} in the settings file",
                    field.name
                ),
            ),
            origin => match target.text_of(field.variable).and_then(|text| odd(&text)) {
                Some(problem) => {
                    table.warning(field.name, format!("{}; {problem}", from(target, &origin)))
                }
                None => table.ok(field.name, from(target, &origin)),
            },
        }
    }
    // All of it at once, as a fetch would read it.
    match target.source(None) {
        Ok(_) => table.ok("credentials", "complete, and well-formed"),
        Err(failure) => table.wrong("credentials", failure.to_string()),
    }
}

/// What a shell, an editor or a portal may have done to a secret; it is not shown.
fn odd(text: &str) -> Option<&'static str> {
    let quotes = ['"', '\''];
    if text.len() > 1 && text.starts_with(quotes) && text.ends_with(quotes) {
        Some(
            "it stands in quotes, which count as part of it: remove them, unless the provider gave them",
        )
    } else if text.contains(char::is_whitespace) {
        Some("it holds a blank; see whether it was copied whole, and alone")
    } else if text.starts_with("${") || text.starts_with("$(") {
        Some("it begins like a shell's variable that was not replaced")
    } else if text.starts_with('/') && std::path::Path::new(text).exists() {
        Some("it is the path of a file; use the setting that ends in FILE")
    } else {
        None
    }
}

/// `from NTXPAY_CLIENT_ID`
fn from(target: &Target, origin: &Origin) -> String {
    from_or(target, origin, "not set")
}

fn from_or(target: &Target, origin: &Origin, otherwise: &str) -> String {
    match origin {
        Origin::Option(option) => format!("from {option}"),
        Origin::Variable(variable) => format!("from {variable}"),
        Origin::File(key) => format!("from {}", target.place(key)),
        Origin::NotSet => otherwise.to_owned(),
    }
}

fn environment(target: &Target, table: &mut Table) {
    let facts = target.provider().facts();
    let [of_environment, of_address] =
        ["ENVIRONMENT", "BASE_URL"].map(|name| target.origin(&facts.variable(name)));
    let environment = match target.settings.environment() {
        Ok(environment) => environment,
        Err(error) => return table.wrong("environment", target.failure(&error).to_string()),
    };
    let origin = from_or(target, &of_environment, "the default");
    table.ok("environment", format!("{environment}, {origin}"));
    let address = match target.base_url() {
        Ok(address) => address,
        Err(_) if target.settings.base_url.is_none() => {
            return table.wrong(
                "address",
                format!("not set; set {} or --base-url", facts.variable("BASE_URL")),
            );
        }
        Err(failure) => return table.wrong("address", failure.to_string()),
    };
    let is_of = |site: &paytoken::Site| {
        site.base_url.is_some_and(|known| known.eq_ignore_ascii_case(address.trim_end_matches('/')))
    };
    let origin = from_or(target, &of_address, "as documented");
    let is_sandbox = environment == paytoken::Environment::Sandbox;
    let (own, other) = match is_sandbox {
        true => (&facts.sandbox, &facts.production),
        false => (&facts.production, &facts.sandbox),
    };
    if is_of(other) && !is_of(own) {
        table.wrong(
            "address",
            format!("{address}, {origin}, is the other environment's; correct one of the two"),
        );
    } else if !is_sandbox && address.contains("sandbox") {
        table.warning(
            "address",
            format!(
                "{address}, {origin}, looks like a sandbox's, and the environment is production"
            ),
        );
    } else {
        table.ok("address", format!("{address}, {origin}"));
    }
}
