//! The environment variables that point a program at the sandbox.

use crate::{Sandbox, Service};

pub(crate) fn of(
    sandbox: &Sandbox,
    ca: &str,
    certificate: &str,
    key: &str,
) -> Vec<(&'static str, String)> {
    let id = |service| sandbox.client_id(service).to_owned();
    let secret = |service| sandbox.client_secret(service).to_owned();
    vec![
        ("NTXPAY_BASE_URL", sandbox.url(Service::NtxPay)),
        ("NTXPAY_CLIENT_ID", id(Service::NtxPay)),
        ("NTXPAY_CLIENT_SECRET", secret(Service::NtxPay)),
        ("NTXPAY_CLIENT_CERT", certificate.to_owned()),
        ("NTXPAY_CLIENT_KEY", key.to_owned()),
        ("NEXTERPAY_BASE_URL", sandbox.url(Service::NexterPay)),
        ("NEXTERPAY_USERNAME", id(Service::NexterPay)),
        ("NEXTERPAY_PASSWORD", secret(Service::NexterPay)),
        ("SENDPAYMENTS_BASE_URL", sandbox.url(Service::SendPayments)),
        ("SENDPAYMENTS_CLIENT_ID", id(Service::SendPayments)),
        ("SENDPAYMENTS_CLIENT_SECRET", secret(Service::SendPayments)),
        ("PAYTOKEN_CA", ca.to_owned()),
        ("PAYTOKEN_SANDBOX_CONTROL", sandbox.control_url()),
    ]
}
