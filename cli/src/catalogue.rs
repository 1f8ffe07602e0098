//! Descriptions of providers that come with the command, each written from the provider's document.

macro_rules! catalogue {
    ($($name:literal),* $(,)?) => {
        /// Their names.
        pub(crate) const NAMES: &[&str] = &[$($name),*];

        /// The file of this one.
        pub(crate) fn text(name: &str) -> Option<&'static str> {
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
