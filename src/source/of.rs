//! How many accounts a builder is for: in a cache, an address of all alike does not compile.

/// A [`Builder`](crate::Builder) of one account's source.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OneAccount;

/// A [`Builder`](crate::Builder) in a [`TokenCache`](crate::TokenCache), of any account's source.
///
/// ```
/// use paytoken::{Builder, IsOfOneAccount, ManyAccounts, OneAccount, Provider, TokenCache};
///
/// // Settings of one's own, for any source:
/// fn patient<Of>(builder: Builder<Of>) -> Builder<Of> {
///     builder.retries(5)
/// }
/// // Only for one account's:
/// fn at_home<Of: IsOfOneAccount>(builder: Builder<Of>) -> Builder<Of> {
///     builder.base_url("http://127.0.0.1:8080")
/// }
/// let _: fn(Builder<OneAccount>) -> Builder = at_home;
/// let in_cache: fn(Builder<ManyAccounts>) -> Builder<ManyAccounts> =
///     |builder| patient(builder).base_url_for(Provider::SendPayments, "https://send.example");
/// let cache = TokenCache::with(in_cache);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ManyAccounts;

/// What [`Builder::base_url`](crate::Builder::base_url) asks for.
#[diagnostic::on_unimplemented(
    message = "in a `TokenCache`, `base_url` would be the address of every provider alike",
    label = "use `base_url_for(provider, url)`"
)]
pub trait IsOfOneAccount: sealed::Sealed {}

impl IsOfOneAccount for OneAccount {}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::OneAccount {}
}
