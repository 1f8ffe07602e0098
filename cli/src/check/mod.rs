//! `paytoken check`: what is set up right and wrong, with the way out. It sends no credentials
//! unless it is asked to get a token.

mod files;
mod network;
mod server;
mod stores;

use paytoken::FieldKind;
use serde_json::{Value, json};

use crate::command_line::{Options, is_a_plain_word};
use crate::exit::Failure;
use crate::settings::{Origin, SettingsFile, Target, is_set_up, nothing_is_set_up};
use crate::status::everybody;
use crate::terminal::print;

pub(crate) struct Wish {
    pub(crate) fetch: bool,
    pub(crate) force: bool,
    pub(crate) json: bool,
}

pub(crate) fn run(
    name: Option<&str>,
    file: Result<Option<SettingsFile>, Failure>,
    options: &Options,
    wish: &Wish,
) -> Result<(), Failure> {
    if wish.force && !wish.fetch {
        return Err(Failure::Usage("--force: only with --fetch".into()));
    }
    let file = match &file {
        Ok(file) => file.as_ref(),
        Err(failure) => {
            // A name that is not known may be a secret in the wrong place.
            let plain = name.filter(|name| is_a_plain_word(name));
            let mut table =
                Table::new(plain.or(name.and(Some("account"))).unwrap_or("all accounts"));
            table.wrong("settings file", failure.to_string());
            return show(name, &[table], wish);
        }
    };
    let all = || everybody(file).into_iter().filter(|name| is_set_up(name, file)).collect();
    let names: Vec<String> = name.map_or_else(all, |name| vec![name.to_owned()]);
    let tables = names.iter().map(|known| {
        let mut table = Table::new(known);
        settings_file(file, name, &mut table);
        table.fill(file, options, wish)
    });
    let tables = tables.collect::<Result<Vec<_>, _>>()?;
    match show(name, &tables, wish) {
        Ok(()) if tables.is_empty() => Err(nothing_is_set_up(file)),
        result => result,
    }
}

fn show(name: Option<&str>, tables: &[Table], wish: &Wish) -> Result<(), Failure> {
    let text = match (wish.json, name, tables) {
        (true, Some(_), [table]) => format!("{:#}\n", table.value()),
        (true, ..) => format!("{:#}\n", Value::Array(tables.iter().map(Table::value).collect())),
        (false, Some(_), [table]) => table.text(),
        (false, ..) => {
            let width = tables.iter().map(|table| table.account.chars().count()).max();
            let width = width.unwrap_or(0);
            tables.iter().map(|table| table.summary(width)).collect()
        }
    };
    print(&text)?;
    match tables.iter().any(|table| table.is_any(Verdict::Wrong)) {
        true => Err(Failure::Code(78)),
        false => Ok(()),
    }
}

/// The worst last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Ok,
    /// It could not be tried, since something above is wrong.
    Untried,
    Warning,
    Wrong,
}

/// What was found of an account, a line each, in the order of causes: what comes first may be why a
/// later one is wrong.
struct Table {
    account: String,
    provider: String,
    rows: Vec<(Verdict, String, String)>,
}

impl Table {
    fn new(name: &str) -> Self {
        Self { account: name.into(), provider: name.into(), rows: Vec::new() }
    }

    fn fill(
        mut self,
        file: Option<&SettingsFile>,
        options: &Options,
        wish: &Wish,
    ) -> Result<Self, Failure> {
        let table = &mut self;
        let target = match Target::open(&table.account, file, options) {
            Ok(target) => target,
            Err(failure @ Failure::Usage(_)) => return Err(failure),
            Err(failure) => {
                table.wrong("settings", failure.to_string());
                return Ok(self);
            }
        };
        table.provider = target.provider().to_string();
        let target = &target;
        target.deadline().watch(|| {
            credentials(target, table);
            files::check(target, table);
            environment(target, table);
            // All of it at once, as a fetch would read it.
            let source = target.source(None);
            match &source {
                Ok(_) => table.ok("credentials", "complete, and well-formed"),
                Err(_) if table.is_any(Verdict::Wrong) => table.untried("credentials"),
                Err(failure) => table.wrong("credentials", failure.to_string()),
            }
            stores::check(target, table);
            network::check(target, source.ok(), wish, table);
        });
        Ok(self)
    }

    fn ok(&mut self, what: &str, text: impl Into<String>) {
        self.add(Verdict::Ok, what, text);
    }

    fn untried(&mut self, what: &str) {
        self.add(Verdict::Untried, what, "not tried: fix what is wrong above first");
    }

    fn warning(&mut self, what: &str, text: impl Into<String>) {
        self.add(Verdict::Warning, what, text);
    }

    fn wrong(&mut self, what: &str, text: impl Into<String>) {
        self.add(Verdict::Wrong, what, text);
    }

    fn add(&mut self, verdict: Verdict, what: &str, text: impl Into<String>) {
        self.rows.push((verdict, what.to_owned(), text.into()));
    }

    fn is_any(&self, verdict: Verdict) -> bool {
        self.rows.iter().any(|(known, _, _)| *known == verdict)
    }

    fn text(&self) -> String {
        let width = self.rows.iter().map(|(_, what, _)| what.chars().count()).max().unwrap_or(0);
        let line = |(verdict, what, text): &(Verdict, String, String)| {
            format!("{:<7}  {what:<width$}  {text}\n", verdict.name())
        };
        self.rows.iter().map(line).collect()
    }

    /// One line: the first of the worst rows.
    fn summary(&self, width: usize) -> String {
        let worst = self.rows.iter().map(|(verdict, _, _)| *verdict).max().unwrap_or(Verdict::Ok);
        let mut worst_rows = self.rows.iter().filter(|(verdict, _, _)| *verdict == worst);
        let text = match (worst, worst_rows.next()) {
            (Verdict::Ok, _) | (_, None) => format!("{}, nothing is wrong", self.provider),
            (_, Some((_, what, text))) => match worst_rows.count() {
                0 => format!("{what}: {text}"),
                more => {
                    format!("{what}: {text} (and {more} more: paytoken check {})", self.account)
                }
            },
        };
        format!("{:<7}  {:<width$}  {text}\n", worst.name(), self.account)
    }

    fn value(&self) -> Value {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|(verdict, what, text)| json!({"state": verdict.name(), "what": what, "text": text}))
            .collect();
        json!({
            "account": self.account,
            "provider": self.provider,
            "ok": !self.is_any(Verdict::Wrong),
            "rows": rows,
        })
    }
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Untried => "untried",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }
}

/// `name` is the only account that is looked at.
fn settings_file(file: Option<&SettingsFile>, name: Option<&str>, table: &mut Table) {
    let Some(file) = file else {
        return table.ok("settings file", "none");
    };
    table.ok("settings file", file.path().display().to_string());
    // Another account's mistake is none of this one's, and worth a line where it has none of its own.
    let Some(name) = name else { return };
    let own = file.account(name).err();
    let others = file.accounts().filter(|other| *other != name);
    let problems = others.filter_map(|other| file.account(other).err());
    for problem in problems.filter(|problem| Some(problem) != own.as_ref()) {
        table.warning("settings file", problem);
    }
}

/// Where they come from, and what looks like a mistake in them.
fn credentials(target: &Target, table: &mut Table) {
    let facts = target.provider().facts();
    for field in facts.fields {
        let variable = facts.variable(field.variable);
        let is_needed = !matches!(field.kind, FieldKind::Optional | FieldKind::PrivateKey);
        if !is_needed && target.origin(&variable) == Origin::NotSet {
            continue;
        }
        let origin = target.origin(&variable);
        let text = target.text_of(field.variable);
        let problem = match &origin {
            Origin::NotSet => Some(format!(
                "not set; set {variable}, {variable}_FILE, or {} in the settings file",
                field.name
            )),
            Origin::File(key) => target.problem(key),
            _ => None,
        };
        match (problem, text.and_then(|text| odd(&text))) {
            (Some(problem), _) => table.wrong(field.name, problem),
            (None, Some(odd)) => {
                table.warning(field.name, format!("{}; {odd}", from(target, &origin)))
            }
            (None, None) => table.ok(field.name, from(target, &origin)),
        }
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
        Some("it holds a blank; check that it was copied whole, and alone")
    } else if text.trim_start_matches('\u{feff}').contains(is_unseen) {
        Some("it holds a character that does not show; type it anew, or copy it from elsewhere")
    } else if text.starts_with('<') && text.ends_with('>') {
        Some("it stands in < and >, as what is to be replaced does")
    } else if text.starts_with("${") || text.starts_with("$(") {
        Some("it begins like a shell's variable that was not replaced")
    } else if text.starts_with('/') && std::path::Path::new(text).exists() {
        Some("it is the path of a file; use the setting that ends in FILE")
    } else {
        None
    }
}

/// What web pages leave in the middle of a text. (At its ends it is refused; the mark of a byte order at a
/// file's beginning does not count.)
fn is_unseen(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
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
