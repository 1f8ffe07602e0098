//! The simulated providers, as data: [`SIMULATIONS`]. A further one is a further module here.
//!
//! Names, paths, lifetimes and what a new token does to older ones are the library's
//! [`Facts`](paytoken::Facts). What goes over the wire is written down here once more, from the
//! providers' documents, so that it can judge the library.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use crate::Service;
use crate::answer::{Answer, reason};
use crate::clock;
use crate::credentials::Credentials;
use crate::effects::Terms;
use crate::request::Request;
use crate::state::{ServiceState, Verdict};
use crate::text;
use crate::tokens::Issued;

/// One per provider, in the order of `Service::ALL`.
const SIMULATIONS: &[Simulation] =
    &[ntx_pay::SIMULATION, nexter_pay::SIMULATION, send_payments::SIMULATION];

/// What is particular to one provider.
pub(crate) struct Simulation {
    /// One that is built in; the last one stands for all that are described.
    pub(crate) service: Service,
    /// The fields of the token request that name the client and prove who it is.
    pub(crate) id_field: &'static str,
    pub(crate) secret_field: &'static str,
    /// Method, path and answer of some calls of the provider's API.
    pub(crate) api_calls: &'static [(&'static str, &'static str, ApiCall)],
    /// The answer to a token request.
    pub(crate) token: fn(&TokenRequest<'_>) -> Answer,
    /// An error of this status and message in the provider's form.
    pub(crate) error: fn(u16, &str) -> Answer,
}

/// The body of the documented token request.
pub fn token_body(service: Service, id: &str, secret: &str) -> String {
    let Simulation { id_field, secret_field, .. } = Simulation::of(service);
    json!({*id_field: id, *secret_field: secret}).to_string()
}

/// Method and path of the provider's first example API call, such as `GET /api/balance`.
pub fn example_call(service: Service) -> (&'static str, &'static str) {
    let (method, path, _) = Simulation::of(service).api_calls[0];
    (method, path)
}

/// The answer to an API call whose token is good.
pub(crate) type ApiCall = fn(&Request) -> Answer;

impl Simulation {
    pub(crate) fn of(service: Service) -> &'static Simulation {
        let simulation = SIMULATIONS.iter().find(|simulation| simulation.service == service);
        simulation.unwrap_or(&described::SIMULATION)
    }
}

impl Credentials {
    /// Reads them from a JSON body; `None` if the body has another form.
    pub(crate) fn of(state: &ServiceState, request: &Request) -> Option<Credentials> {
        if let Some(described) = &state.described {
            return described.credentials(request).ok();
        }
        let simulation = Simulation::of(state.service);
        let body = request.json()?;
        let field = |name: &str| Some(body.get(name)?.as_str()?.to_owned());
        Some(Credentials {
            id: field(simulation.id_field)?,
            secrets: vec![field(simulation.secret_field)?],
        })
    }
}

/// A token request as a simulation sees it.
pub(crate) struct TokenRequest<'a> {
    pub(crate) state: &'a ServiceState,
    pub(crate) request: &'a Request,
    /// The certificate that the client showed in the TLS handshake.
    pub(crate) tls_certificate: Option<&'a [u8]>,
    pub(crate) credentials: Option<&'a Credentials>,
    pub(crate) terms: Terms,
}

impl TokenRequest<'_> {
    /// The answer to a body that does not name an id and a secret as documented.
    pub(crate) fn malformed(&self) -> Answer {
        let Simulation { id_field: id, secret_field: secret, error, .. } =
            Simulation::of(self.state.service);
        let message = format!("the body must be application/json with {id:?} and {secret:?}");
        error(400, &message)
    }

    pub(crate) fn judge(&self, credentials: &Credentials) -> Verdict {
        self.state.judge(&credentials.id, &credentials.secrets)
    }

    pub(crate) fn issue(&self, credentials: &Credentials) -> Issued {
        self.state.issue(&credentials.id, self.terms.lifetime, self.terms.clock_offset_seconds)
    }
}

/// NTX Pay México: the certificate in the header must be the one of the TLS connection.
mod ntx_pay {
    use super::*;

    pub(super) const SIMULATION: Simulation = Simulation {
        service: Service::NtxPay,
        id_field: "clientId",
        secret_field: "clientSecret",
        api_calls: &[("GET", "/api/balance", balance), ("POST", "/api/spei/cash-out", cash_out)],
        token,
        error,
    };

    fn token(question: &TokenRequest<'_>) -> Answer {
        let header = question.request.header("x-ssl-client-cert");
        let certificate = match header.map(read_certificate) {
            None => return error(400, "the header X-SSL-Client-Cert is missing"),
            Some(Err(problem)) => return error(400, &format!("X-SSL-Client-Cert: {problem}")),
            Some(Ok(certificate)) => certificate,
        };
        let Some(credentials) = question.credentials else {
            return question.malformed();
        };
        if question.tls_certificate != Some(certificate.as_ref()) {
            return error(401, "X-SSL-Client-Cert is not the TLS client certificate");
        }
        if question.state.is_certificate_revoked(&certificate) {
            return error(401, "the certificate was revoked");
        }
        if question.judge(credentials) != Verdict::Welcome {
            return error(401, "wrong clientId or clientSecret");
        }
        let issued = question.issue(credentials);
        Answer::json(
            201,
            &json!({
                "access_token": issued.token,
                "token_type": "Bearer",
                "expires_in": issued.lifetime_seconds,
                "scope": "email profile",
            }),
        )
    }

    /// The first certificate of a percent-encoded PEM.
    fn read_certificate(header: &str) -> Result<CertificateDer<'static>, &'static str> {
        let pem = text::percent_decode(header).ok_or("not percent-encoded")?;
        if !pem.starts_with(b"-----BEGIN CERTIFICATE-----") {
            return Err("must start with -----BEGIN CERTIFICATE-----");
        }
        let key_mark = b"PRIVATE KEY-----";
        if pem.windows(key_mark.len()).any(|part| part == key_mark) {
            return Err("a private key must never be sent");
        }
        CertificateDer::from_pem_slice(&pem).map_err(|_| "malformed PEM")
    }

    fn balance(_: &Request) -> Answer {
        Answer::json(200, &json!({"balance": "1250.00", "currency": "MXN"}))
    }

    fn cash_out(request: &Request) -> Answer {
        Answer::json(201, &json!({"status": "accepted", "bytes_received": request.body.len()}))
    }

    fn error(status: u16, message: &str) -> Answer {
        Answer::json(
            status,
            &json!({"statusCode": status, "message": message, "error": reason(status)}),
        )
    }
}

/// NexterPay: the token is a bare JSON string, and its lifetime only stands inside it.
mod nexter_pay {
    use super::*;

    pub(super) const SIMULATION: Simulation = Simulation {
        service: Service::NexterPay,
        id_field: "userName",
        secret_field: "password",
        api_calls: &[("POST", "/Catalog/GetCountries", countries)],
        token,
        error,
    };

    fn token(question: &TokenRequest<'_>) -> Answer {
        // A client must not send a token here; the real service would judge that token first.
        if question.request.header("authorization").is_some() {
            return error(401, "createToken takes no Authorization header");
        }
        let Some(credentials) = question.credentials else {
            return question.malformed();
        };
        match question.judge(credentials) {
            Verdict::WrongCredentials => error(400, "wrong userName or password"),
            Verdict::Suspended => error(403, "the account is suspended"),
            Verdict::Welcome => Answer::json(200, &json!(question.issue(credentials).token)),
        }
    }

    fn countries(_: &Request) -> Answer {
        let countries = json!([{"code": "MX", "name": "Mexico"}, {"code": "PE", "name": "Peru"}]);
        Answer::json(200, &countries)
    }

    fn error(status: u16, message: &str) -> Answer {
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
}

/// Send Payments: each new token ends the client's one before.
mod send_payments {
    use super::*;

    pub(super) const SIMULATION: Simulation = Simulation {
        service: Service::SendPayments,
        id_field: "clientId",
        secret_field: "clientSecret",
        api_calls: &[("GET", "/accounts", accounts), ("POST", "/accounts", create_account)],
        token,
        error,
    };

    fn token(question: &TokenRequest<'_>) -> Answer {
        let Some(credentials) = question.credentials else {
            return question.malformed();
        };
        if question.judge(credentials) != Verdict::Welcome {
            return error(401, "wrong clientId or clientSecret");
        }
        let issued = question.issue(credentials);
        Answer::json(
            201,
            &json!({
                "accessToken": issued.token,
                "expiresAt": clock::rfc3339(issued.expires_at_milliseconds),
            }),
        )
    }

    fn accounts(_: &Request) -> Answer {
        let account = json!({"id": "acc-1", "currency": "AUD", "balance": 1250});
        Answer::json(200, &json!({"accounts": [account]}))
    }

    fn create_account(request: &Request) -> Answer {
        match request.json().and_then(|body| body["reference"].as_str().map(str::to_owned)) {
            Some(reference) => {
                Answer::json(201, &json!({"id": "acc-2", "reference": reference, "balance": 0}))
            }
            None => error(400, "reference is missing"),
        }
    }

    fn error(status: u16, message: &str) -> Answer {
        let errors = json!([{"message": message, "type": reason(status)}]);
        Answer::json(status, &json!({"message": message, "errors": errors}))
    }
}

/// Any provider that was described: as its description says, in the words of RFC 6749 where it says nothing.
mod described {
    use super::*;

    pub(super) const SIMULATION: Simulation = Simulation {
        service: Service::NtxPay,
        id_field: "client_id",
        secret_field: "client_secret",
        api_calls: &[("GET", "/balance", balance), ("POST", "/payments", payment)],
        token,
        error,
    };

    fn token(question: &TokenRequest<'_>) -> Answer {
        let described = question.state.described.as_ref().expect("it was described");
        let checked = described.credentials(question.request).and_then(|credentials| {
            described.check(question.request, &credentials.id, question.tls_certificate)?;
            Ok(credentials)
        });
        let credentials = match checked {
            Ok(credentials) => credentials,
            Err((status, problem)) => return error(status, &problem),
        };
        let certificate = question.tls_certificate;
        if certificate.is_some_and(|shown| question.state.is_certificate_revoked(shown)) {
            return error(401, "the certificate was revoked");
        }
        match question.judge(&credentials) {
            Verdict::Welcome => described.answer(&question.issue(&credentials)),
            Verdict::WrongCredentials => error(401, "wrong credentials"),
            Verdict::Suspended => error(401, "the client is suspended"),
        }
    }

    fn balance(_: &Request) -> Answer {
        Answer::json(200, &json!({"balance": "1250.00"}))
    }

    fn payment(request: &Request) -> Answer {
        Answer::json(201, &json!({"bytes_received": request.body.len()}))
    }

    fn error(status: u16, message: &str) -> Answer {
        let code = match status {
            400 => "invalid_request",
            401 => "invalid_client",
            _ => reason(status),
        };
        Answer::json(status, &json!({"error": code, "error_description": message}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_of_the_library_is_simulated() {
        let simulated: Vec<_> = SIMULATIONS.iter().map(|simulation| simulation.service).collect();
        assert_eq!(simulated, Service::ALL);
    }
}
