//! What is decided from what happened: what a failure means, and when the provider may be asked again.

pub(crate) mod book;
pub(crate) mod outcome;
