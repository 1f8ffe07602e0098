//! A program may catch a panic around anything of ours: no lock and no value is left in a state that
//! matters, whatever a hook, a clock or a store of the program's own does.

use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::credentials::certificate::ClientCertificate;
use crate::source::TokenSource;
use crate::source::builder::Builder;
use crate::source::cache::TokenCache;
use crate::source::settings::Settings;
use crate::token::Token;
use crate::types::error::Error;

impl<Of> UnwindSafe for Builder<Of> {}
impl<Of> RefUnwindSafe for Builder<Of> {}
impl UnwindSafe for ClientCertificate {}
impl RefUnwindSafe for ClientCertificate {}
impl UnwindSafe for Error {}
impl RefUnwindSafe for Error {}
impl UnwindSafe for Settings {}
impl RefUnwindSafe for Settings {}
impl UnwindSafe for Token {}
impl RefUnwindSafe for Token {}
impl UnwindSafe for TokenCache {}
impl RefUnwindSafe for TokenCache {}
impl UnwindSafe for TokenSource {}
impl RefUnwindSafe for TokenSource {}
