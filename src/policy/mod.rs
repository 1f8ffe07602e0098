//! What is decided from what happened: what a failure means, and when the provider may be asked again.

pub(crate) mod outcome;
pub(crate) mod pace;
