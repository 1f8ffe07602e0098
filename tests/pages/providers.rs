//! The tables of providers, on the page and in the rustdoc, say what the facts say.

use std::time::Duration;

use paytoken::{Environment, Provider, Renewal};

const PAGE: &str = include_str!("../../docs/providers.md");

/// A row of the providers' table: its name, and a cell for each provider.
fn row(name: &str) -> Vec<&'static str> {
    let line = PAGE.lines().find(|line| line.starts_with(&format!("| {name} |")));
    let line = line.unwrap_or_else(|| panic!("docs/providers.md has no row `{name}`"));
    line.trim_matches('|').split('|').skip(1).map(str::trim).collect()
}

fn each(name: &str, says: impl Fn(Provider, &str) -> bool) {
    let cells = row(name);
    assert_eq!(cells.len(), Provider::ALL.len(), "{name}");
    for (&provider, cell) in Provider::ALL.iter().zip(cells) {
        assert!(says(provider, cell), "{name}, {provider}: {cell}");
    }
}

#[test]
fn the_table_of_providers_says_what_the_facts_say() {
    each("provider", |provider, cell| cell == provider.facts().title);
    each("endpoint", |provider, cell| cell == format!("`POST {}`", provider.facts().endpoint));
    each("address", |provider, cell| {
        let is_known =
            |environment| provider.facts().in_environment(environment).base_url.is_some();
        let expected = match Environment::ALL.iter().filter(|known| is_known(**known)).count() {
            2 => "built in",
            1 => "sandbox built in; set production (`base_url`)",
            _ => "you must set it (`base_url`)",
        };
        cell == expected
    });
    each("a token lives", |provider, cell| {
        let minutes = |lifetime: Duration| lifetime.as_secs() / 60;
        let facts = provider.facts();
        let (sandbox, production) =
            (minutes(facts.sandbox.lifetime.unwrap()), minutes(facts.production.lifetime.unwrap()));
        cell == match sandbox == production {
            true => format!("{sandbox} min"),
            false => format!("{sandbox} min in the sandbox, {production} min in production"),
        }
    });
    each("a new token", |provider, cell| match provider.facts().renewal {
        Renewal::ReplacesPrevious => cell == "**invalidates the previous one**",
        _ => cell == "leaves older ones valid",
    });
    each("renewed", |provider, cell| match provider.facts().renewal {
        Renewal::Coexists { renew_from_percent, .. } => {
            cell.starts_with(&format!("after {renew_from_percent} % of its life"))
        }
        _ => cell.starts_with("after 95 % of its life"),
    });
    each("environment variables", |provider, cell| {
        let facts = provider.facts();
        let mut names = vec![facts.fields[0].variable, facts.fields[1].variable];
        if facts.takes_certificate {
            names.extend(["CLIENT_CERT", "CLIENT_KEY"]);
        }
        let names: Vec<_> =
            names.iter().map(|name| format!("`{}`", facts.variable(name))).collect();
        cell == names.join(", ")
    });
}

#[test]
fn the_table_of_the_rustdoc_says_what_the_facts_say() {
    const RUSTDOC: &str = include_str!("../../src/lib.rs");
    for &provider in Provider::ALL {
        let facts = provider.facts();
        let begin = format!("//! | {} | `POST {}`, ", facts.title, facts.endpoint);
        let row = RUSTDOC.lines().find(|line| line.starts_with(&begin)).unwrap();
        let percent = match facts.renewal {
            Renewal::Coexists { renew_from_percent, .. } => renew_from_percent,
            _ => 95,
        };
        assert!(row.contains(&format!("| after {percent} %")), "{row}");
        for site in [&facts.sandbox, &facts.production] {
            let minutes = site.lifetime.unwrap().as_secs() / 60;
            assert!(row.contains(&format!(" {minutes} min")), "{row}");
        }
    }
}
