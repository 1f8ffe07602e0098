//! Settings of a source: collected by setters that cannot fail, checked by `build()` before
//! anything is sent.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::{Clock, ClockSource};
use crate::base::header;
use crate::base::secret::Secret;
use crate::credentials::Credentials;
use crate::fetch::account_book::{AccountBook, Books};
use crate::fetch::shared_fetch::SharedFetch;
use crate::fetch::{Fetcher, Supply};
use crate::protocol;
use crate::source::of::{IsOfOneAccount, OneAccount};
use crate::store::{Account, Store};
use crate::token::{AuthorizationHeader, Token};
use crate::transport::{self, ConnectionSettings, Roots, TlsPool, Transport};
use crate::types::base_url::BaseUrl;
use crate::types::environment::Environment;
use crate::types::error::{Error, Result};
use crate::types::event::{Event, EventHook};
use crate::types::names::Provider;

/// The time for one whole fetch, retries included.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const RETRIES: u32 = 2;
pub(super) const MOST_RETRIES: u32 = 10;

/// Settings of a [`TokenSource`](crate::TokenSource); made by
/// [`TokenSource::builder`](crate::TokenSource::builder).
///
/// ```
/// use std::time::Duration;
/// use paytoken::{Credentials, Environment, Secret, TokenSource};
///
/// # fn main() -> paytoken::Result<()> {
/// let credentials = Credentials::SendPayments {
///     client_id: "merchant-7".into(),
///     client_secret: Secret::from("not-a-real-secret"),
/// };
/// let source = TokenSource::builder(credentials, Environment::Sandbox)
///     .base_url("https://send.example")
///     .timeout(Duration::from_secs(10))
///     .build()?; // checks everything, sends nothing
/// # Ok(()) }
/// ```
///
/// `Of` says how many accounts it is for: one, or in [`TokenCache::with`](crate::TokenCache::with) many.
#[derive(Clone)]
#[must_use = "nothing happens before build()"]
pub struct Builder<Of = OneAccount> {
    credentials: Credentials,
    environment: Environment,
    base_url: Option<String>,
    of: PhantomData<Of>,
    authorities: Option<Authorities>,
    timeout: Duration,
    connect_timeout: Duration,
    retries: u32,
    header: Option<(String, String)>,
    user_agent: Option<String>,
    proxy: Option<String>,
    renew_in_background: bool,
    requires_store: bool,
    on_event: Option<Arc<EventHook>>,
    label: Option<Arc<str>>,
    pub(crate) supply: Option<Arc<Supply>>,
    clock: ClockSource,
    store: Option<Arc<dyn Store>>,
    pool: TlsPool,
    /// Shared with the other sources of a cache.
    books: Option<Arc<Books>>,
}

impl<Of> Builder<Of> {
    pub(crate) fn new(credentials: Credentials, environment: Environment) -> Self {
        Self {
            credentials,
            environment,
            base_url: None,
            of: PhantomData,
            authorities: None,
            timeout: TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            retries: RETRIES,
            header: None,
            user_agent: None,
            proxy: None,
            renew_in_background: false,
            requires_store: false,
            on_event: None,
            label: None,
            supply: None,
            clock: ClockSource::System,
            store: None,
            pool: TlsPool::default(),
            books: None,
        }
    }

    /// Whose tokens.
    pub fn provider(&self) -> Provider {
        self.credentials.provider()
    }

    /// In which environment.
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// The account's identifier: client id or user name.
    pub fn id(&self) -> &str {
        self.credentials.id()
    }

    /// The provider's address, `https://host`. Needed where the provider's document states none
    /// (NexterPay in production, Send Payments). Plain http is for loopback alone.
    /// In a [`TokenCache`](crate::TokenCache) it does not compile, since one provider's credentials would
    /// go to another's address:
    ///
    /// ```compile_fail,E0277
    /// let cache = paytoken::TokenCache::with(|builder| builder.base_url("https://pay.example"));
    /// ```
    pub fn base_url(mut self, url: &str) -> Self
    where
        Of: IsOfOneAccount,
    {
        self.base_url = Some(url.to_owned());
        self
    }

    /// As [`base_url`](Self::base_url), but only where the credentials are this provider's, in whichever
    /// [`environment`](Self::environment): for
    /// [`TokenCache::with`](crate::TokenCache::with), whose sources belong to several providers.
    pub fn base_url_for(mut self, provider: Provider, url: &str) -> Self {
        if self.provider() == provider {
            self.base_url = Some(url.to_owned());
        }
        self
    }

    /// Certificate authorities (PEM) to trust *instead of* Mozilla's, which are built in.
    /// No environment variable changes this choice.
    pub fn root_certificates_pem(mut self, pem: &[u8]) -> Self {
        self.authorities = Some(Authorities::Pem(pem.to_vec()));
        self
    }

    /// The certificate authorities that this system trusts, *instead of* Mozilla's, which are built
    /// in: those of `SSL_CERT_FILE` and `SSL_CERT_DIR` where one is set, else the system's own. Read when
    /// the source is built.
    #[cfg(feature = "system-roots")]
    pub fn system_root_certificates(mut self) -> Self {
        self.authorities = Some(Authorities::System);
        self
    }

    /// The time for one whole fetch, retries included, and the longest a call waits unless it
    /// says otherwise; a store's server may add seconds of its own. Default 15 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// The time for each step of making a connection: to look the host's name up, to connect to one of
    /// its addresses, for a proxy's answer, and for TLS. All within [`timeout`](Self::timeout). Default
    /// 5 s.
    ///
    /// Where a name has several addresses, IPv6 and IPv4 take turns: the next is tried 250 ms after the
    /// one before (sooner where time is short, or one fails), without giving that up, and the first that
    /// connects is used (RFC 8305). It is tried first the next time.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How many times a fetch that failed temporarily (connection, cut answer, 5xx) is retried, with
    /// growing, random waits and within [`timeout`](Self::timeout). Default 2, at most 10. A refusal by
    /// the provider is never retried, nor an answer that says how long to wait.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// The header and the prefix that [`Token::header_name`] and [`Token::header_value`] give; an empty
    /// prefix is the token alone. Default: the provider's, which is `Authorization` and `Bearer` unless
    /// a description has another.
    pub fn authorization_header(mut self, name: &str, prefix: &str) -> Self {
        self.header = Some((name.to_owned(), prefix.to_owned()));
        self
    }

    /// The `User-Agent` sent to the token endpoint. Default `paytoken/VERSION`.
    pub fn user_agent(mut self, name: &str) -> Self {
        self.user_agent = Some(name.to_owned());
        self
    }

    /// An HTTP proxy, `http://host:port` or `http://user:password@host:port` (percent-encoded);
    /// `""` for none. Without a port it is 1080, as for curl.
    ///
    /// By default the environment decides by curl's rules: the first of `https_proxy`,
    /// `HTTPS_PROXY`, `all_proxy` and `ALL_PROXY` that is not empty, unless `no_proxy`, else
    /// `NO_PROXY`, names the host (itself or a parent domain, an address, a network such as
    /// `10.0.0.0/8`, or `*` for all). A setting that cannot be used, SOCKS among them, is an error,
    /// never a direct connection. Plain http, which is for loopback alone, goes through no proxy.
    pub fn proxy(mut self, url: &str) -> Self {
        self.proxy = Some(url.to_owned());
        self
    }

    /// Where the store cannot be used (a full disk, a server that is away): fail with
    /// [`Store`](crate::ErrorKind::Store) rather than ask for a token that cannot be shared. Default off:
    /// tokens that coexist (NTX Pay, NexterPay) are fetched all the same, at this process's own pace,
    /// and [`StoreUnusable`](crate::EventKind::StoreUnusable) is reported. Where a new token invalidates the
    /// previous one (Send Payments), it is as if this were on. A token that has come is used, though the
    /// store fails then.
    pub fn require_store(mut self, on: bool) -> Self {
        self.requires_store = on;
        self
    }

    /// Renews on a short-lived thread of its own, at most one at a time, so that no caller waits
    /// in the renewal window. [`finish`](crate::TokenSource::finish) waits for it. For tokens that
    /// coexist (NTX Pay, NexterPay); [`build`](Self::build) refuses it for others. Default off.
    pub fn renew_in_background(mut self, on: bool) -> Self {
        self.renew_in_background = on;
        self
    }

    /// Calls `hook` for every [`Event`], on the thread it happens on and with no lock held but the
    /// account's in the store. A panic in it reaches that one caller and blocks nobody.
    ///
    /// A hook may ask sources of other accounts. While its thread is fetching for its own, that one answers
    /// with the token in memory or, where there is none, at once with an error of kind
    /// [`Configuration`](crate::ErrorKind::Configuration), and another one of the same account and store
    /// waits for as long as it may: ask neither inside the hook, and do not wait there for another thread
    /// that does.
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(hook));
        self
    }

    /// The program's own name for this account, such as a merchant's number: it stands in events
    /// and log records. Printable text, and no secret.
    pub fn label(mut self, label: &str) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Takes tokens from `fetch` instead of the network: for tests of programs that use this
    /// library. It returns a token and how long that lives. Cache, renewal and events work as
    /// usual; of errors see [`TokenSource::from_fn`](crate::TokenSource::from_fn).
    pub fn fetch_with(
        mut self,
        fetch: impl Fn() -> Result<(Secret, Duration)> + Send + Sync + 'static,
    ) -> Self {
        self.supply = Some(Arc::new(move |_| fetch()));
        self
    }

    /// Shares the token with other processes: a [`FileStore`](crate::FileStore), or a
    /// [`Store`] of your own. They make one fetch together, a token that one of them invalidates is
    /// dropped by the others at their next look ([`Store::look_every`]), and a refusal is remembered for
    /// all.
    ///
    /// When the store fails, the token in memory is used until it expires. After that, tokens that
    /// coexist are fetched without sharing, and reported (see [`require_store`](Self::require_store)); calls
    /// for Send Payments fail.
    pub fn store(mut self, store: impl Store + 'static) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Where the time comes from: for tests that move it. Default: the system's clocks.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = ClockSource::Custom(Arc::new(clock));
        self
    }

    /// One fetch, no cache.
    pub(crate) fn fetch_once(self) -> Result<Token> {
        if self.store.is_some() {
            return Err(Error::configuration(
                "store: one fetch without a cache shares nothing; build a TokenSource with the store instead",
            )
            .with_provider(self.credentials.provider()));
        }
        self.into_parts()?.0.fetch_once()
    }

    /// TLS sessions are shared with everything else that uses this pool, and what is remembered of an
    /// account with its other sources.
    pub(crate) fn shared(mut self, pool: TlsPool, books: Arc<Books>) -> Self {
        (self.pool, self.books) = (pool, Some(books));
        self
    }

    pub(crate) fn into_parts(self) -> Result<(Arc<Fetcher>, Option<SharedFetch>)> {
        let provider = self.credentials.provider();
        self.checked().map_err(|error| error.with_provider(provider))
    }

    /// Whether it was made for these credentials.
    pub(crate) fn is_for(&self, credentials: &Credentials, environment: Environment) -> bool {
        self.environment == environment && self.credentials.are(credentials)
    }

    /// One provider's credentials must not reach an address that was meant for another.
    fn check_whose_address(&self, url: &BaseUrl) -> Result<()> {
        let own = self.credentials.provider();
        let is_theirs = |other: &Provider| {
            let facts = other.facts();
            let known = [facts.sandbox.base_url, facts.production.base_url];
            known.into_iter().flatten().any(|known| known == url.as_str())
        };
        match Provider::ALL.iter().find(|other| **other != own && is_theirs(other)) {
            Some(other) => Err(Error::configuration(format!(
                "base_url: this is {}'s address; set it to the one that {} gave you",
                other.facts().title,
                own.facts().title
            ))),
            None => Ok(()),
        }
    }

    fn checked(self) -> Result<(Arc<Fetcher>, Option<SharedFetch>)> {
        // Where tokens come from elsewhere, nothing is done with them.
        if self.supply.is_none() || !self.credentials.provider().facts().is_described {
            self.credentials.check()?;
        }
        check_limit("timeout", self.timeout)?;
        check_limit("connect_timeout", self.connect_timeout)?;
        if self.retries > MOST_RETRIES {
            return Err(Error::configuration(format!(
                "retries: more than {MOST_RETRIES} would only burden the provider; use fewer"
            )));
        }
        let renewal = self.credentials.provider().facts().renewal;
        if self.renew_in_background && renewal.replaces() {
            return Err(Error::configuration(
                "renew_in_background: each new token would invalidate the one in use; leave it off for this provider",
            ));
        }
        if self.label.as_deref().is_some_and(|label| label.contains(char::is_control)) {
            return Err(Error::configuration(
                "label: holds a control character (a line end, or NUL); remove it",
            ));
        }
        if let Some(name) = &self.user_agent {
            check_header_text("user_agent", name)?;
        }
        if let Some(proxy) = &self.proxy {
            transport::check_proxy(proxy)?;
        }
        let header = match &self.header {
            Some((name, prefix)) => authorization_header(name, prefix)?,
            None => AuthorizationHeader::of(self.credentials.provider().facts()),
        };
        let base_url = match &self.base_url {
            Some(url) => {
                let url = BaseUrl::parse(url)?;
                self.check_whose_address(&url)?;
                url
            }
            None if self.supply.is_some() => BaseUrl::parse("https://nowhere.invalid")?,
            None => {
                BaseUrl::parse(protocol::base_url(self.credentials.provider(), self.environment)?)?
            }
        };
        let certificate = self.credentials.certificate().cloned();
        let account = Account::of(&self.credentials, self.environment, &base_url);
        if let Some(certificate) = &certificate {
            certificate.check_validity(self.clock.now().wall)?;
        }
        let settings = ConnectionSettings {
            certificate,
            roots: self.authorities.map(Authorities::read).transpose()?,
            proxy: self.proxy,
            connect_timeout: self.connect_timeout,
        };
        let book = match &self.books {
            Some(books) => books.of(account.key(), &self.credentials.proof()),
            None => AccountBook::default(),
        };
        let fetcher = Arc::new(Fetcher {
            transport: Transport::new(base_url, settings, self.user_agent, &self.pool)?,
            credentials: self.credentials,
            environment: self.environment,
            timeout: self.timeout,
            retries: self.retries,
            header,
            renew_in_background: self.renew_in_background,
            requires_store: self.requires_store,
            on_event: self.on_event,
            clock: self.clock,
            book,
            certificate_reloader: Default::default(),
            label: self.label,
            account: account.key().clone(),
            supply: self.supply,
        });
        let shared = self.store.map(|store| SharedFetch::new(fetcher.clone(), store, account));
        Ok((fetcher, shared))
    }
}

/// Whom to trust instead of Mozilla's list.
#[derive(Clone)]
enum Authorities {
    Pem(Vec<u8>),
    #[cfg(feature = "system-roots")]
    System,
}

impl Authorities {
    fn read(self) -> Result<Roots> {
        match self {
            Self::Pem(pem) => Roots::from_pem("root_certificates_pem", &pem),
            #[cfg(feature = "system-roots")]
            Self::System => Roots::of_system(),
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The base URL and the proxy may hold a password until they are checked.
        f.debug_struct("Builder")
            .field("credentials", &self.credentials)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

fn check_limit(field: &str, limit: Duration) -> Result<()> {
    if limit.is_zero() {
        return Err(Error::configuration(format!(
            "{field}: is zero, so nothing could ever succeed; set it to some seconds"
        )));
    }
    Ok(())
}

fn check_header_text(field: &str, text: &str) -> Result<()> {
    if text.is_empty() || !header::is_value(text) {
        return Err(Error::configuration(format!(
            "{field}: is empty, or holds white space around it or characters that do not belong in a header; use printable ASCII"
        )));
    }
    Ok(())
}

fn authorization_header(name: &str, prefix: &str) -> Result<AuthorizationHeader> {
    if !header::is_name(name) {
        return Err(Error::configuration(
            "authorization_header: the name is not a header name (RFC 9110 §5.1); use letters, digits and hyphens",
        ));
    }
    if !prefix.is_empty() {
        check_header_text("authorization_header: the prefix", prefix)?;
    }
    Ok(AuthorizationHeader::new(name, prefix))
}
