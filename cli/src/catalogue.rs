//! Descriptions of providers that come with the command, each written from the provider's document.

use paytoken::Provider;
use toml::Table;

use crate::description::{PROVIDERS, described};

/// The one of this name; an error where this process knows it by another description.
pub(crate) fn provider(name: &str) -> Option<Result<Provider, String>> {
    let tables = text(name)?.parse::<Table>().ok()?;
    Some(described(name, tables.get(PROVIDERS)?.get(name)?))
}

macro_rules! catalogue {
    ($($name:literal),* $(,)?) => {
        /// Their names.
        pub(crate) const NAMES: &[&str] = &[$($name),*];

        /// The file of this one.
        fn text(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("providers/", $name, ".toml"))),)*
                _ => None,
            }
        }
    };
}

catalogue!(
    "adobe",
    "airwallex",
    "auth0",
    "cielo",
    "dlocal",
    "drivewealth",
    "fortitoken",
    "gocardless-bank-account-data",
    "monnify",
    "mtn-momo-collection",
    "mtn-momo-disbursement",
    "mtn-momo-remittance",
    "netpay-mexico",
    "okta",
    "phonepe",
    "truelayer",
    "uber",
    "ups",
    "vipps-mobilepay",
    "zoom",
);
