//! The ground: clocks, locks, secrets, dates, hashes, JSON, files, connections. It knows nothing of tokens.

pub(crate) mod clock;
pub(crate) mod date;
pub(crate) mod descriptor;
pub(crate) mod dial;
pub(crate) mod digest;
pub(crate) mod fields;
pub(crate) mod files;
pub(crate) mod header;
pub(crate) mod json;
pub(crate) mod secret;
pub(crate) mod shown;
pub(crate) mod sync;
