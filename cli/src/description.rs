//! A description in TOML, as the library takes it.

use paytoken::Provider;
use toml::Value;

/// The table of descriptions, in the settings file and in the catalogue.
pub(crate) const PROVIDERS: &str = "providers";

/// The provider that this table describes, or what is wrong with it.
pub(crate) fn described(name: &str, table: &Value) -> Result<Provider, String> {
    let Some(keys) = table.as_table() else {
        return Err("has to be a table".into());
    };
    if let Some(key) = date_in(table) {
        return Err(format!("{key}: has to be a text in quotes"));
    }
    let mut text = format!("{{\"name\":{}", json(&Value::from(name)));
    for (key, value) in keys {
        text += &format!(",{}:{}", json(&Value::from(key.as_str())), json(value));
    }
    text.push('}');
    Provider::described(&text).map_err(|error| {
        let text = error.to_string();
        text.strip_prefix(&format!("description of {name}: ")).unwrap_or(&text).to_owned()
    })
}

fn json(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The key of a date, which TOML has and JSON has not.
fn date_in(value: &Value) -> Option<String> {
    match value {
        Value::Table(table) => table.iter().find_map(|(key, value)| match value {
            Value::Datetime(_) => Some(key.clone()),
            value => date_in(value),
        }),
        Value::Array(items) => items.iter().find_map(date_in),
        _ => None,
    }
}
