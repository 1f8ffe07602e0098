//! One token, without a cache: `fetch_token` for each provider.

use crate::base::secret::Secret;
use crate::credentials::Credentials;
use crate::credentials::certificate::ClientCertificate;
use crate::source::builder::Builder;
use crate::token::Token;
use crate::types::environment::Environment;
use crate::types::error::Result;

/// NTX Pay México: client credentials and a client certificate.
pub mod ntx_pay {
    use super::*;

    /// Gets one token, without a cache: the call blocks for one fetch (and its retries).
    ///
    /// `configure` may set base URL, roots and time-outs; hand in `|builder| builder` for none.
    /// A newer token does not end this one.
    ///
    /// ```no_run
    /// use paytoken::{ClientCertificate, Environment, Secret, provider::ntx_pay};
    ///
    /// # fn main() -> paytoken::Result<()> {
    /// let certificate = ClientCertificate::from_pem_files("client.cert.pem", "client.key.pem")?;
    /// let secret = Secret::from(std::env::var("NTXPAY_CLIENT_SECRET").expect("it is set"));
    /// let token = ntx_pay::fetch_token("client-id", &secret, &certificate, Environment::Sandbox, |b| b)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`TokenSource::token`](crate::TokenSource::token).
    pub fn fetch_token(
        client_id: &str,
        client_secret: &Secret,
        certificate: &ClientCertificate,
        environment: Environment,
        configure: impl FnOnce(Builder) -> Builder,
    ) -> Result<Token> {
        let credentials = Credentials::NtxPay {
            client_id: client_id.to_owned(),
            client_secret: client_secret.clone(),
            certificate: certificate.clone(),
        };
        configure(Builder::new(credentials, environment)).fetch_once()
    }
}

/// NexterPay: user name and password.
pub mod nexter_pay {
    use super::*;

    /// Gets one token, without a cache: the call blocks for one fetch (and its retries).
    ///
    /// `configure` may set base URL, roots and time-outs; the production address has to be set.
    ///
    /// ```no_run
    /// use paytoken::{Environment, Secret, provider::nexter_pay};
    ///
    /// # fn main() -> paytoken::Result<()> {
    /// let password = Secret::from(std::env::var("NEXTERPAY_PASSWORD").expect("it is set"));
    /// let token = nexter_pay::fetch_token("merchant-7", &password, Environment::Sandbox, |b| b)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`TokenSource::token`](crate::TokenSource::token).
    pub fn fetch_token(
        user_name: &str,
        password: &Secret,
        environment: Environment,
        configure: impl FnOnce(Builder) -> Builder,
    ) -> Result<Token> {
        let credentials =
            Credentials::NexterPay { user_name: user_name.to_owned(), password: password.clone() };
        configure(Builder::new(credentials, environment)).fetch_once()
    }
}

/// Send Payments: client credentials. Every new token invalidates the one before.
pub mod send_payments {
    use super::*;

    /// Gets one token, without a cache: the call blocks for one fetch (and its retries).
    ///
    /// **It ends every token this `client_id` got before**, here and on other machines: share one
    /// [`TokenSource`](crate::TokenSource) instead wherever you can.
    ///
    /// `configure` must set the base URL that Send gave you.
    ///
    /// ```no_run
    /// use paytoken::{Environment, Secret, provider::send_payments};
    ///
    /// # fn main() -> paytoken::Result<()> {
    /// let secret = Secret::from(std::env::var("SENDPAYMENTS_CLIENT_SECRET").expect("it is set"));
    /// let token = send_payments::fetch_token("client-id", &secret, Environment::Sandbox, |builder| {
    ///     builder.base_url("https://send.example")
    /// })?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`TokenSource::token`](crate::TokenSource::token).
    pub fn fetch_token(
        client_id: &str,
        client_secret: &Secret,
        environment: Environment,
        configure: impl FnOnce(Builder) -> Builder,
    ) -> Result<Token> {
        let credentials = Credentials::SendPayments {
            client_id: client_id.to_owned(),
            client_secret: client_secret.clone(),
        };
        configure(Builder::new(credentials, environment)).fetch_once()
    }
}
