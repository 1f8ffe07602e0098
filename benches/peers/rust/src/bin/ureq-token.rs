//! Peer: ureq and serde_json by hand.

use paytoken_peers::{agent, variable};

fn main() {
    let mut answer = agent()
        .post(format!("{}/api/auth/token", variable("NTXPAY_BASE_URL")))
        .send_form([
            ("grant_type", "client_credentials"),
            ("client_id", &variable("NTXPAY_CLIENT_ID")),
            ("client_secret", &variable("NTXPAY_CLIENT_SECRET")),
        ])
        .expect("an answer");
    let body = answer.body_mut().read_to_vec().expect("a body");
    let value: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    println!("{}", value["access_token"].as_str().expect("a token"));
}
