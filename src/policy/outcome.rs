//! What a failure means, in one table: its kind, whether it is tried again within the same fetch,
//! whether it is remembered, whom it holds back, and whether a token may have been made.
//!
//! The code that meets a failure names its [`Cause`]; what follows from it is decided here alone.

use crate::types::error::{Error, ErrorKind, HoldsBack, Verdict};

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
    /// The server wanted another handshake before it answers.
    OtherHandshake,
    // Sending the request and reading the answer.
    Cut,
    AnswerTooSlow,
    ExchangeFailed,
    NotHttp,
    HeadTooLarge,
    BodyTooLarge,
    // An answer whose status says that it is no success.
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
    /// The API answered 401 to tokens that were just fetched.
    FreshTokensRevoked,
    // An answer with a status of success that brings no token.
    RefusalInSuccess,
    /// Nothing stands where the description says that the token does.
    NoTokenInSuccess,
    ErrorInSuccess,
    UnusableSuccess,
    /// The answer is the very token that the API has answered 401 to.
    RevokedTokenAgain,
}

/// What follows from a [`Cause`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) kind: ErrorKind,
    /// Tried again within the same fetch, after a short pause.
    pub(crate) is_tried_again: bool,
    /// The next calls get this error without a request, for as long as the provider said or else for a
    /// growing while; so do the other processes that share the store.
    pub(crate) is_remembered: bool,
    pub(crate) effect: Effect,
    /// For a pause, where it is not remembered.
    pub(crate) holds_back: HoldsBack,
}

impl Outcome {
    fn holding(self, holds_back: HoldsBack) -> Self {
        Self { holds_back, ..self }
    }
}

/// Whether the provider may have acted on the request: made a token, and so ended the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// No: the request was not sent, or the answer says that nothing was done.
    None,
    /// If the request's first byte was sent, which the transport knows.
    IfSent,
    /// Perhaps: the request arrived, and what the provider did is unknown.
    Unknown,
}

impl Cause {
    /// The table.
    pub(crate) fn outcome(self) -> Outcome {
        use Effect::{IfSent, None, Unknown};
        use ErrorKind::*;
        use HoldsBack::{Everybody, Nobody, Process};

        let outcome = |kind, is_tried_again, is_remembered, effect| Outcome {
            kind,
            is_tried_again,
            is_remembered,
            effect,
            holds_back: Everybody,
        };
        let passing = |kind, effect| outcome(kind, true, false, effect);
        let lasting = |kind, effect| outcome(kind, false, false, effect);
        let remembered = |kind, effect| outcome(kind, false, true, effect);
        match self {
            Self::NoTimeLeft => lasting(Timeout, None).holding(Nobody),
            Self::NoThread | Self::NoDescriptor => passing(Transport, None).holding(Nobody),
            Self::NameNotFound => passing(Transport, None).holding(Process),
            Self::NameTooSlow => passing(Timeout, None).holding(Process),
            Self::NameNotLoopback => lasting(Configuration, None).holding(Nobody),

            Self::ConnectionRefused | Self::ConnectionFailed => passing(Transport, None),
            Self::Unreachable => passing(Transport, None).holding(Process),
            Self::ConnectionTooSlow => passing(Timeout, None),
            Self::ProxyUnreachable | Self::ProxyRefused => {
                passing(Transport, None).holding(Process)
            }
            Self::ProxyTooSlow => passing(Timeout, None).holding(Process),
            // The proxy refused, and not the provider, so other processes are not told.
            Self::ProxyWantsCredentials => lasting(Configuration, None).holding(Process),

            Self::ServerCertificateExpired
            | Self::ServerCertificateNotYetValid
            | Self::ServerCertificateForAnotherHost
            | Self::ServerCertificateUnknownIssuer
            | Self::ServerCertificateRevoked
            | Self::ServerCertificateUnusable => lasting(Certificate, None).holding(Process),
            // With TLS 1.3 the server's alert can come after the request was sent.
            Self::ClientCertificateRefused => remembered(Certificate, IfSent),
            Self::HandshakeRefused | Self::NoTls => passing(Transport, None),
            Self::TlsBroken => passing(Transport, IfSent),
            Self::OtherHandshake => lasting(Transport, IfSent),

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
            // The provider may have made a token before it failed.
            Self::ServerFailing => passing(ServerUnavailable, Unknown),
            Self::ServerBusy => remembered(ServerUnavailable, Unknown),

            Self::FreshTokensRevoked => remembered(Rejected, None),
            // As a refusal with its proper status: repeated requests could lock the account.
            Self::RefusalInSuccess => remembered(Rejected, None),
            // As a refusal; but a token may have been made, and stand elsewhere.
            Self::NoTokenInSuccess => remembered(Rejected, Unknown),
            Self::ErrorInSuccess | Self::UnusableSuccess => lasting(InvalidResponse, Unknown),
            // A provider can make the same token twice within one second: the next attempt brings
            // another one.
            Self::RevokedTokenAgain => passing(ServerUnavailable, Unknown),
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

    /// Gives an error that was made elsewhere what follows from this cause, unless it has that already.
    pub(crate) fn of(self, error: Error) -> Error {
        if error.has_verdict() { error } else { error.with_verdict(self.verdict(true)) }
    }

    fn verdict(self, was_sent: bool) -> Verdict {
        let outcome = self.outcome();
        Verdict {
            holds_back: outcome.holds_back,
            is_tried_again: outcome.is_tried_again,
            is_remembered: outcome.is_remembered,
            may_lock_account: matches!(
                self,
                Self::CredentialsRefused
                    | Self::RefusalInSuccess
                    | Self::NoTokenInSuccess
                    | Self::AccountRefused
                    | Self::CertificateRefusedByFront
                    | Self::ClientCertificateRefused
            ),
            may_have_arrived: match outcome.effect {
                Effect::None => false,
                Effect::IfSent => was_sent,
                Effect::Unknown => true,
            },
        }
    }
}

/// Whether an answer's body is needed to know what the answer means. For any other the status is enough.
pub(crate) fn needs_body(status: u16) -> bool {
    (200..=299).contains(&status)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Every cause, by its name in this file.
    fn all() -> Vec<Cause> {
        use Cause::*;
        vec![
            NoTimeLeft,
            NameNotFound,
            NameTooSlow,
            NameNotLoopback,
            NoThread,
            NoDescriptor,
            ConnectionRefused,
            Unreachable,
            ConnectionTooSlow,
            ConnectionFailed,
            ProxyUnreachable,
            ProxyTooSlow,
            ProxyRefused,
            ProxyWantsCredentials,
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
            OtherHandshake,
            Cut,
            AnswerTooSlow,
            ExchangeFailed,
            NotHttp,
            HeadTooLarge,
            BodyTooLarge,
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
            ServerBusy,
            UndocumentedStatus,
            FreshTokensRevoked,
            RefusalInSuccess,
            NoTokenInSuccess,
            ErrorInSuccess,
            UnusableSuccess,
            RevokedTokenAgain,
        ]
    }

    /// `R`: tried again, `M`: remembered, and the effect.
    fn row(cause: Cause) -> (ErrorKind, &'static str, Effect) {
        let outcome = cause.outcome();
        let what = match (outcome.is_tried_again, outcome.is_remembered) {
            (true, false) => "R",
            (false, true) => "M",
            (false, false) => "-",
            (true, true) => "both",
        };
        (outcome.kind, what, outcome.effect)
    }

    #[test]
    fn each_row_of_the_table_is_as_it_was_decided() {
        use Effect::{IfSent, None, Unknown};
        use ErrorKind::*;

        let text = include_str!("outcome.rs");
        let listed = text[text.find("enum Cause {").unwrap()..].split("\n}").next().unwrap();
        let named = listed.lines().skip(1).filter(|line| line.trim_end().ends_with(',')).count();
        assert_eq!(all().len(), named, "a cause is missing above");
        for cause in all() {
            let name = format!("{cause:?}");
            let expected = match name.as_str() {
                "NoTimeLeft" => (Timeout, "-", None),
                "NameTooSlow" | "ConnectionTooSlow" | "ProxyTooSlow" => (Timeout, "R", None),
                "NameNotLoopback" | "ProxyWantsCredentials" => (Configuration, "-", None),
                "NameNotFound" | "NoThread" | "NoDescriptor" | "ConnectionRefused"
                | "Unreachable" | "ConnectionFailed" | "ProxyUnreachable" | "ProxyRefused"
                | "HandshakeRefused" | "NoTls" => (Transport, "R", None),
                "ClientCertificateRefused" => (Certificate, "M", IfSent),
                name if name.starts_with("ServerCertificate") => (Certificate, "-", None),
                "TlsBroken" | "Cut" | "ExchangeFailed" => (Transport, "R", IfSent),
                "OtherHandshake" => (Transport, "-", IfSent),
                "AnswerTooSlow" => (Timeout, "R", IfSent),
                "NotHttp" | "HeadTooLarge" | "BodyTooLarge" => (InvalidResponse, "-", IfSent),
                "Redirect" | "UndocumentedStatus" | "ErrorInSuccess" | "UnusableSuccess" => {
                    (InvalidResponse, "-", Unknown)
                }
                "CredentialsRefused" | "RefusalInSuccess" | "FreshTokensRevoked" => {
                    (Rejected, "M", None)
                }
                "NoTokenInSuccess" => (Rejected, "M", Unknown),
                "RevokedTokenAgain" => (ServerUnavailable, "R", Unknown),
                "CertificateRefusedByFront" => (Certificate, "M", None),
                "AccountRefused" => (Forbidden, "M", None),
                "NoEndpoint" | "ProxyStatus" => (Configuration, "M", None),
                "NotImplemented" => (Configuration, "-", Unknown),
                "RequestTooSlow" => (ServerUnavailable, "R", None),
                "TooManyRequests" => (RateLimited, "M", None),
                "ServerFailing" => (ServerUnavailable, "R", Unknown),
                "ServerBusy" => (ServerUnavailable, "M", Unknown),
                other => panic!("{other} is not decided"),
            };
            assert_eq!(row(cause), expected, "{name}");
            // What is tried again within a fetch is worth another call, too.
            let error = cause.error("no");
            assert!(error.is_retryable() || !error.is_tried_again(), "{name}");
        }
    }

    #[test]
    fn only_what_was_sent_may_have_arrived() {
        for cause in all() {
            let arrived = |was_sent| cause.error_sent("no", was_sent).may_have_arrived();
            let expected = match cause.outcome().effect {
                Effect::None => (false, false),
                Effect::IfSent => (false, true),
                Effect::Unknown => (true, true),
            };
            assert_eq!((arrived(false), arrived(true)), expected, "{cause:?}");
        }
        let decided = Cause::RefusalInSuccess.error("no");
        assert!(!Cause::UnusableSuccess.of(decided).may_have_arrived(), "it stays as it is");
        assert!(Cause::UnusableSuccess.of(Error::invalid_response("no")).may_have_arrived());
    }

    /// Files that look at a kind or a status for another reason than to decide what follows.
    const OTHERS: [(&str, &str); 4] = [
        ("outcome.rs", "the table"),
        ("error.rs", "`is_retryable`, for callers, is by kind"),
        ("refusal.rs", "which cause a status is"),
        ("flight/mod.rs", "whether it was the caller's own time that ran out"),
    ];

    #[test]
    fn no_other_file_decides() {
        let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        let mut read = 0;
        while let Some(path) = files.pop() {
            if path.is_dir() {
                files.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            read += 1;
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
            let is_other = |path: &PathBuf| OTHERS.iter().any(|(name, _)| path.ends_with(name));
            // Tests in files of their own decide nothing.
            let is_test = path.parent().unwrap().ends_with("flight")
                || path.ends_with("reference.rs")
                || path.ends_with("conformance.rs");
            if is_other(&path) || is_test {
                continue;
            }
            for (number, line) in code.lines().enumerate() {
                let line = line.split("//").next().unwrap();
                let io = line.contains("io::ErrorKind");
                let by_kind = !io && line.contains(".kind() ==") && line.contains("ErrorKind::");
                let by_status = ["..=499", "..=299", "..=599", "status() ==", "status =="];
                assert!(
                    !by_kind && !by_status.iter().any(|form| line.contains(form)),
                    "{}:{}: {line}",
                    path.display(),
                    number + 1
                );
            }
        }
        assert!(read > 30, "{read} files");
    }
}
