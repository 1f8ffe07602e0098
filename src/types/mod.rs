//! The vocabulary: what the other floors speak of.

pub(crate) mod base_url;
pub(crate) mod environment;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod facts;
pub(crate) mod key;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod status;
pub(crate) mod words;
