//! The three services: their names, their addresses, and what is common to their answers.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::json;

use crate::answer::{Answer, reason};
use crate::fault::ParseError;

/// One of the three simulated providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// NTX Pay México: client certificate, tokens of 10 minutes that coexist.
    NtxPay,
    /// NexterPay: a bare JSON string, tokens of 600 minutes that coexist.
    NexterPay,
    /// Send Payments: tokens of 5 minutes, each new one ends the one before.
    SendPayments,
}

impl Service {
    /// All three.
    pub const ALL: [Service; 3] = [Service::NtxPay, Service::NexterPay, Service::SendPayments];

    /// The name used in addresses and on the command line, such as `ntx-pay`.
    pub fn name(self) -> &'static str {
        match self {
            Service::NtxPay => "ntx-pay",
            Service::NexterPay => "nexter-pay",
            Service::SendPayments => "send-payments",
        }
    }

    /// The path that tokens come from, such as `/api/auth/token`.
    pub fn token_path(self) -> &'static str {
        match self {
            Service::NtxPay => "/api/auth/token",
            Service::NexterPay => "/security/createToken",
            Service::SendPayments => "/auth",
        }
    }

    /// Method and path of the service's first example API call, such as `GET /api/balance`.
    pub fn example_call(self) -> (&'static str, &'static str) {
        self.api_calls()[0]
    }

    pub(crate) fn api_calls(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Service::NtxPay => &[("GET", "/api/balance"), ("POST", "/api/spei/cash-out")],
            Service::NexterPay => &[("POST", "/Catalog/GetCountries")],
            Service::SendPayments => &[("GET", "/accounts")],
        }
    }

    /// How long a token lives unless the sandbox is told otherwise.
    pub fn default_lifetime(self) -> Duration {
        match self {
            Service::NtxPay => Duration::from_secs(600),
            Service::NexterPay => Duration::from_secs(600 * 60),
            Service::SendPayments => Duration::from_secs(300),
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Service::NtxPay => 0,
            Service::NexterPay => 1,
            Service::SendPayments => 2,
        }
    }

    /// The field of the token request that names the client.
    pub(crate) fn id_field(self) -> &'static str {
        match self {
            Service::NtxPay | Service::SendPayments => "clientId",
            Service::NexterPay => "userName",
        }
    }

    pub(crate) fn secret_field(self) -> &'static str {
        match self {
            Service::NtxPay | Service::SendPayments => "clientSecret",
            Service::NexterPay => "password",
        }
    }

    pub(crate) fn route(self, method: &str, path: &str) -> Route {
        let mut known_path = false;
        let calls = std::iter::once((("POST", self.token_path()), Route::Token)).chain(
            self.api_calls().iter().enumerate().map(|(index, &call)| (call, Route::Api(index))),
        );
        for ((known_method, known), route) in calls {
            if known == path {
                if known_method == method {
                    return route;
                }
                known_path = true;
            }
        }
        if known_path { Route::WrongMethod } else { Route::Unknown }
    }

    /// An error as this provider words it.
    pub(crate) fn error(self, status: u16, message: &str) -> Answer {
        match self {
            Service::NtxPay => Answer::json(
                status,
                &json!({"statusCode": status, "message": message, "error": reason(status)}),
            ),
            Service::NexterPay => {
                let section = match status {
                    400..=405 => format!("15.5.{}", status - 399),
                    500..=505 => format!("15.6.{}", status - 499),
                    _ => "15".to_owned(),
                };
                let mut body = json!({
                    "type": format!("https://tools.ietf.org/html/rfc9110#section-{section}"),
                    "title": reason(status),
                    "status": status,
                });
                // The documented 401 has these three members and no more.
                if status != 401 {
                    body["detail"] = json!(message);
                }
                Answer::new(status, "application/problem+json", body.to_string())
            }
            Service::SendPayments => Answer::json(
                status,
                &json!({
                    "message": message,
                    "errors": [{"message": message, "type": reason(status)}],
                }),
            ),
        }
    }
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Token,
    /// The index among the service's API calls.
    Api(usize),
    WrongMethod,
    Unknown,
}

impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Service {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Service, ParseError> {
        Service::ALL.into_iter().find(|service| service.name() == text).ok_or_else(|| {
            ParseError::new(format!(
                "no service is called {text:?}: expected ntx-pay, nexter-pay or send-payments"
            ))
        })
    }
}
