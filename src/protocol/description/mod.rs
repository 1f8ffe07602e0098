//! A description of a token endpoint, as data: read, checked and kept as [`Facts`], so that nothing else
//! knows whether a provider was built in or described.

mod facts;
mod keys;
mod read;
mod shape;
#[cfg(test)]
mod tests;

use std::sync::Mutex;

use self::keys::bad;
use self::shape::Description;
use crate::base::sync::lock;
use crate::types::error::Result;
use crate::types::facts::Facts;
use crate::types::names::{Described, Provider};

/// Those that this process has described, in that order.
static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

struct Known {
    text: String,
    description: Description,
    facts: &'static Facts,
}

/// Each is kept as long as the process lives.
const MOST: usize = 1_000;

impl Provider {
    /// A provider of your own: any token endpoint, described as JSON. Checked here, and nothing is sent;
    /// known under its name from then on, for as long as the process lives. The same description again is
    /// the same provider. Safe to call from any thread.
    ///
    /// The keys are those of the page "Describing a provider" (docs/describing-a-provider.md), and
    /// `name`. A description holds no secrets: those are in [`Credentials`](crate::Credentials).
    ///
    /// ```
    /// use paytoken::Provider;
    ///
    /// let acme = Provider::described(
    ///     r#"{"name": "acme", "token_endpoint": "https://auth.acme.example/oauth2/token",
    ///         "auth": "client_secret_basic", "renewal": "coexists", "scope": "payments:read"}"#,
    /// )?;
    /// assert_eq!(acme.facts().variable("CLIENT_ID"), "ACME_CLIENT_ID");
    /// assert_eq!("acme".parse::<Provider>()?, acme);
    ///
    /// let error = Provider::described(r#"{"name": "acme-2", "auth": "basic"}"#).unwrap_err();
    /// assert!(error.to_string().contains("auth"), "{error}");
    /// # Ok::<_, paytoken::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), naming the key that is missing, not known, or
    /// cannot be used; or when another description has the name.
    pub fn described(json: &str) -> Result<Self> {
        if let Some(known) = lock(&KNOWN).iter().find(|known| known.text == json) {
            return Ok(Self::Described(Described(known.facts)));
        }
        let description = Description::read(json)?;
        let Description { name, prefix_of_variables: prefix, .. } = &description;
        let mut known = lock(&KNOWN);
        if let Some(same) = known.iter().find(|known| known.facts.name == name) {
            return match same.description == description {
                true => Ok(Self::Described(Described(same.facts))),
                false => Err(bad(
                    "name",
                    &format!("{name} is described otherwise in this process; take another"),
                )),
            };
        }
        if let Some(other) = known.iter().find(|known| known.facts.prefix == prefix) {
            return Err(bad(
                "prefix_of_variables",
                &format!("{} has {prefix}, too; set another", other.facts.name),
            ));
        }
        let variables = description.variables();
        let shares = |other: &Known| {
            let theirs = other.description.variables();
            variables.iter().find(|variable| theirs.contains(variable)).zip(Some(other.facts.name))
        };
        if let Some((variable, other)) = known.iter().find_map(shares) {
            return Err(bad(
                "prefix_of_variables",
                &format!("{other} reads {variable}, too; set another"),
            ));
        }
        if known.len() >= MOST {
            return Err(bad("name", "a thousand providers are described already; use those"));
        }
        // Only what is new is made to live as long as the process.
        let facts: &'static Facts = Box::leak(Box::new(description.to_facts()));
        known.push(Known { text: json.to_owned(), description, facts });
        Ok(Self::Described(Described(facts)))
    }

    /// All that are built in, and all that this process has described, in the order of their descriptions.
    ///
    /// ```
    /// assert!(paytoken::Provider::known().contains(&paytoken::Provider::NtxPay));
    /// ```
    pub fn known() -> Vec<Self> {
        let described = lock(&KNOWN);
        let described = described.iter().map(|known| Self::Described(Described(known.facts)));
        Self::ALL.iter().copied().chain(described).collect()
    }

    /// One that was described before.
    pub(crate) fn of_description(name: &str) -> Option<Self> {
        let known = lock(&KNOWN);
        let known = known.iter().find(|known| known.facts.name == name)?;
        Some(Self::Described(Described(known.facts)))
    }
}
