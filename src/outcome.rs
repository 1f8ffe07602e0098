//! What a failure means, in one table: its kind, whether it is tried again within the same fetch,
//! whether it is remembered, and whether a token may have been made.
//!
//! Whoever meets a failure names its [`Cause`]; nobody else decides what follows from it.

use crate::error::{Error, ErrorKind, Verdict};

/// What happened, while a token was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    // On this machine, before anything was sent.
    NoTimeLeft,
    NameNotFound,
    NameTooSlow,
    /// Plain http, and the name leads to another machine.
    NameNotLoopback,
    NoThread,
    NoDescriptor,
    // Making the connection.
    ConnectionRefused,
    Unreachable,
    ConnectionTooSlow,
    ConnectionFailed,
    ProxyUnreachable,
    ProxyTooSlow,
    ProxyRefused,
    ProxyWantsCredentials,
    // TLS.
    ServerCertificateExpired,
    ServerCertificateNotYetValid,
    ServerCertificateForAnotherHost,
    ServerCertificateUnknownIssuer,
    ServerCertificateRevoked,
    ServerCertificateUnusable,
    ClientCertificateRefused,
    HandshakeRefused,
    NoTls,
    TlsBroken,
    // The exchange.
    Cut,
    AnswerTooSlow,
    ExchangeFailed,
    NotHttp,
    HeadTooLarge,
    BodyTooLarge,
    // An answer that is no success: its status says what it is.
    Redirect,
    CredentialsRefused,
    CertificateRefusedByFront,
    AccountRefused,
    NoEndpoint,
    NotImplemented,
    ProxyStatus,
    RequestTooSlow,
    TooManyRequests,
    ServerFailing,
    /// As `ServerFailing`, and the provider says how long to wait.
    ServerBusy,
    UndocumentedStatus,
    // A success that is none.
    RefusalInSuccess,
    ErrorInSuccess,
    UnusableSuccess,
}

/// What follows from a [`Cause`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) kind: ErrorKind,
    /// Within the same fetch, after a short pause.
    pub(crate) is_tried_again: bool,
    /// The next calls are answered with it, without a request, as long as the provider said or
    /// else for a growing while; told to everyone who shares the store.
    pub(crate) is_remembered: bool,
    pub(crate) effect: Effect,
}

/// Whether the provider may have acted on the request: made a token, and so ended the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It was not sent, or the provider says that it did nothing.
    None,
    /// Only where the request's first byte was sent; the transport knows.
    IfSent,
    /// It arrived, and what came of it is unknown.
    Unknown,
}

impl Cause {
    /// The table.
    pub(crate) fn outcome(self) -> Outcome {
        use Effect::{IfSent, None, Unknown};
        use ErrorKind::*;

        let passing =
            |kind, effect| Outcome { kind, is_tried_again: true, is_remembered: false, effect };
        let lasting =
            |kind, effect| Outcome { kind, is_tried_again: false, is_remembered: false, effect };
        let remembered =
            |kind, effect| Outcome { kind, is_tried_again: false, is_remembered: true, effect };
        match self {
            Self::NoTimeLeft => lasting(Timeout, None),
            Self::NameNotFound | Self::NoThread | Self::NoDescriptor => passing(Transport, None),
            Self::NameTooSlow => passing(Timeout, None),
            Self::NameNotLoopback => lasting(Configuration, None),

            Self::ConnectionRefused | Self::Unreachable | Self::ConnectionFailed => {
                passing(Transport, None)
            }
            Self::ConnectionTooSlow => passing(Timeout, None),
            Self::ProxyUnreachable | Self::ProxyRefused => passing(Transport, None),
            Self::ProxyTooSlow => passing(Timeout, None),
            // The proxy's answer, not the provider's: no reason to hold back other processes.
            Self::ProxyWantsCredentials => lasting(Configuration, None),

            Self::ServerCertificateExpired
            | Self::ServerCertificateNotYetValid
            | Self::ServerCertificateForAnotherHost
            | Self::ServerCertificateUnknownIssuer
            | Self::ServerCertificateRevoked
            | Self::ServerCertificateUnusable => lasting(Certificate, None),
            // With TLS 1.3 the alert comes after the request was sent.
            Self::ClientCertificateRefused => remembered(Certificate, IfSent),
            Self::HandshakeRefused | Self::NoTls => passing(Transport, None),
            Self::TlsBroken => passing(Transport, IfSent),

            Self::Cut | Self::ExchangeFailed => passing(Transport, IfSent),
            Self::AnswerTooSlow => passing(Timeout, IfSent),
            Self::NotHttp | Self::HeadTooLarge | Self::BodyTooLarge => {
                lasting(InvalidResponse, IfSent)
            }

            Self::Redirect | Self::UndocumentedStatus => lasting(InvalidResponse, Unknown),
            Self::CredentialsRefused => remembered(Rejected, None),
            Self::CertificateRefusedByFront => remembered(Certificate, None),
            Self::AccountRefused => remembered(Forbidden, None),
            Self::NoEndpoint | Self::ProxyStatus => remembered(Configuration, None),
            Self::NotImplemented => lasting(Configuration, Unknown),
            Self::RequestTooSlow => passing(ServerUnavailable, None),
            Self::TooManyRequests => remembered(RateLimited, None),
            // A 5xx may come after the provider has made a token.
            Self::ServerFailing => passing(ServerUnavailable, Unknown),
            Self::ServerBusy => remembered(ServerUnavailable, Unknown),

            // Asked again and again, a refused account could be locked.
            Self::RefusalInSuccess => remembered(Rejected, None),
            Self::ErrorInSuccess | Self::UnusableSuccess => lasting(InvalidResponse, Unknown),
        }
    }

    /// The error for it, where nothing is known of how far the request got.
    pub(crate) fn error(self, message: impl Into<String>) -> Error {
        self.error_sent(message, true)
    }

    /// The error for it; `was_sent` tells whether the request's first byte left this machine.
    pub(crate) fn error_sent(self, message: impl Into<String>, was_sent: bool) -> Error {
        Error::new(self.outcome().kind, message).with_verdict(self.verdict(was_sent))
    }

    /// For an error that another room made: what follows from this cause, unless it has one.
    pub(crate) fn of(self, error: Error) -> Error {
        if error.has_verdict() { error } else { error.with_verdict(self.verdict(true)) }
    }

    fn verdict(self, was_sent: bool) -> Verdict {
        let outcome = self.outcome();
        Verdict {
            is_tried_again: outcome.is_tried_again,
            is_remembered: outcome.is_remembered,
            may_have_arrived: match outcome.effect {
                Effect::None => false,
                Effect::IfSent => was_sent,
                Effect::Unknown => true,
            },
        }
    }
}

/// Whether an answer's body is needed to know what it means: the status line says all else.
pub(crate) fn needs_body(status: u16) -> bool {
    (200..=299).contains(&status)
}
