//! Who asks for a token.

/// An id and its proofs as a token request names them.
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secrets: Vec<String>,
}
