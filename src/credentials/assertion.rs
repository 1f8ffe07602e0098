//! stub
use crate::types::error::Result;
use rustls::sign::SigningKey;
use std::sync::Arc;
use std::time::SystemTime;
use zeroize::Zeroizing;
pub(crate) struct AssertionKey;
#[derive(Clone, Copy)]
pub(crate) enum SigningAlg {
    Ps256,
}
impl SigningAlg {
    pub(crate) fn named(_: &str) -> Option<Self> {
        Some(Self::Ps256)
    }
}
impl AssertionKey {
    pub(crate) fn from_pem(_: &str, _: &[u8], _: Option<SigningAlg>) -> Result<Self> {
        Ok(Self)
    }
    pub(crate) fn of(_: Arc<dyn SigningKey>, _: Option<SigningAlg>) -> Result<Self> {
        Ok(Self)
    }
    pub(crate) fn fingerprint(&self) -> &str {
        ""
    }
    pub(crate) fn sign(
        &self,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: Option<&str>,
        _: SystemTime,
    ) -> Result<Zeroizing<String>> {
        Ok(Zeroizing::new("a.b.c".into()))
    }
}
pub(crate) fn x5t_s256(_: &[u8]) -> String {
    String::new()
}
