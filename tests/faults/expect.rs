//! What the table can say of a fault.

use paytoken::{ErrorKind, Provider};

use crate::server::Fault;

pub struct Row {
    pub name: String,
    pub fault: Fault,
    /// For every provider but those of `exceptions`.
    expect: Expect,
    exceptions: Vec<(Provider, Expect)>,
    pub time: Bound,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// `None`: a token.
    pub kind: Option<ErrorKind>,
    /// Attempts in all, where nothing but a new token will do.
    pub requests: u64,
    /// Send Payments: the old token is used again, since the request cannot have arrived.
    pub keeps: bool,
    /// For so many seconds the provider is not asked again.
    pub silent: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Nothing is waited for but the pauses between attempts.
    AtOnce,
    /// It ends with the time that was allowed.
    TimeOut,
    /// Each attempt ends with the time allowed for a connection.
    ConnectTimeOut,
}

impl Expect {
    pub const TOKEN: Self = Self { kind: None, requests: 1, keeps: false, silent: 0 };

    pub const fn error(kind: ErrorKind) -> Self {
        Self { kind: Some(kind), requests: 1, keeps: false, silent: 0 }
    }

    /// It is tried twice more.
    pub const fn thrice(self) -> Self {
        Self { requests: 3, ..self }
    }

    pub const fn keeps(self) -> Self {
        Self { keeps: true, ..self }
    }

    pub const fn silent(self, seconds: u64) -> Self {
        Self { silent: seconds, ..self }
    }
}

impl Row {
    /// The same for all providers.
    pub fn new(name: impl Into<String>, fault: Fault, expect: Expect) -> Self {
        Self { name: name.into(), fault, expect, exceptions: Vec::new(), time: Bound::AtOnce }
    }

    pub fn but(mut self, provider: Provider, expect: Expect) -> Self {
        self.exceptions.push((provider, expect));
        self
    }

    pub fn takes(mut self, time: Bound) -> Self {
        self.time = time;
        self
    }

    pub fn expected_of(&self, provider: Provider) -> Expect {
        let exception = self.exceptions.iter().find(|(exception, _)| *exception == provider);
        exception.map_or(self.expect, |(_, expect)| *expect)
    }
}
