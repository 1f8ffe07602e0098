//! The case files of `tests/testdata/described`: each provider is described, an account asks for a token,
//! and what it sends is compared byte by byte.

use std::collections::BTreeMap;
use std::time::Instant;

use paytoken::{ClientCertificate, Credentials, Environment, Provider, TokenSource};
use paytoken_sandbox::{IssuedCertificate, Sandbox};
use paytoken_testing::described::{Case, Outcome, rsa_identity};
use paytoken_testing::has_tool;

#[test]
fn each_described_case_holds() {
    if !has_tool("openssl") {
        return;
    }
    let sandbox = Sandbox::start().unwrap();
    let identity = rsa_identity(sandbox.authority());
    let cases = Case::all();
    let failures: Vec<_> = cases
        .iter()
        .filter_map(|case| {
            Some(format!("{}: {}", case.name, run(case, &sandbox, &identity).err()?))
        })
        .collect();
    assert!(failures.is_empty(), "{} cases:\n{}", cases.len(), failures.join("\n"));
    assert_eq!(cases.len(), 29);
}

fn run(case: &Case, sandbox: &Sandbox, identity: &IssuedCertificate) -> Result<(), String> {
    let said = |error: paytoken::Error| format!("{error}");
    let provider = Provider::described(&case.json()).map_err(said)?;
    let mut values: BTreeMap<_, _> = case.account().into_iter().collect();
    let key = values.remove("private_key");
    let certificate = values.remove("certificate").map(|_| {
        let certificate = ClientCertificate::from_pem(&identity.certificate_pem).unwrap();
        certificate.with_private_key(&identity.key_pem).unwrap()
    });
    if key.is_some() && certificate.is_none() {
        values.insert("assertion_key", &identity.key_pem);
    }
    let credentials = Credentials::described(provider, values, certificate).map_err(said)?;
    let server = case.server(sandbox.authority());
    let source = TokenSource::builder(credentials, Environment::Sandbox)
        .base_url(&server.url)
        .root_certificates_pem(sandbox.ca_pem().as_bytes())
        .retries(0)
        .build()
        .map_err(said)?;
    let began = Instant::now();
    let token = source.token().map_err(said)?;
    let outcome = Outcome {
        secret: token.secret().to_owned(),
        lifetime: token.lifetime(),
        header: format!("{}: {}", token.header_name(), token.header_value()),
        took: began.elapsed(),
    };
    case.check(&server, &outcome)?;
    // Nor does anything else hold.
    let held =
        case.broken().into_iter().find(|(_, broken)| broken.check(&server, &outcome).is_ok());
    held.map_or(Ok(()), |(what, _)| Err(format!("{what} is not compared")))
}
