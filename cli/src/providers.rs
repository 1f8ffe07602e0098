//! `paytoken providers`: whose tokens this command can get, and where each is known from.

use serde_json::{Value, json};

use crate::exit::Failure;
use crate::settings::{SettingsFile, Source, all_providers, named};
use crate::terminal::print;

pub(crate) fn run(file: Option<&SettingsFile>, as_json: bool) -> Result<(), Failure> {
    let providers: Vec<_> = all_providers(file)
        .into_iter()
        .filter_map(|(name, source)| Some((named(&name, file)?, name, source)))
        .collect();
    let words = |source| match source {
        Source::BuiltIn => "built in",
        Source::File => "settings file",
        Source::Catalogue => "catalogue",
    };
    if as_json {
        let list = providers.iter().map(|(provider, name, source)| match provider {
            Ok(provider) => {
                let facts = provider.facts();
                let variables = facts.fields.iter().map(|field| facts.variable(field.variable));
                json!({
                    "name": name,
                    "title": facts.title,
                    "source": words(*source),
                    "endpoint": facts.endpoint,
                    "variables": variables.collect::<Vec<_>>(),
                })
            }
            Err(problem) => json!({ "name": name, "source": words(*source), "error": problem }),
        });
        return print(&format!("{:#}\n", list.collect::<Value>()));
    }
    let width = providers.iter().map(|(_, name, _)| name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (provider, name, source) in &providers {
        let about = match provider {
            Ok(provider) => provider.facts().title,
            Err(problem) => problem,
        };
        text += &format!("{name:width$}  {:13}  {about}\n", words(*source));
    }
    text += "\nBuilt in: tried as far as their documents allow. Catalogue: written from each provider's\ndocument, not tried against the service. Settings file: [providers.NAME]; it takes the place of\nthe catalogue's. See docs/describing-a-provider.md.\n";
    print(&text)
}
