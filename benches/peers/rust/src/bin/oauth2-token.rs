//! Peer: the oauth2 crate over ureq.

use oauth2::basic::BasicClient;
use oauth2::{ClientId, ClientSecret, HttpRequest, HttpResponse, TokenResponse as _, TokenUrl};
use paytoken_peers::{agent, variable};

fn main() {
    let agent = agent();
    let send = |request: HttpRequest| -> Result<HttpResponse, ureq::Error> {
        let (parts, mut body) = agent.run(request)?.into_parts();
        Ok(HttpResponse::from_parts(parts, body.read_to_vec()?))
    };
    let url = format!("{}/api/auth/token", variable("NTXPAY_BASE_URL"));
    let answer = BasicClient::new(ClientId::new(variable("NTXPAY_CLIENT_ID")))
        .set_client_secret(ClientSecret::new(variable("NTXPAY_CLIENT_SECRET")))
        .set_token_uri(TokenUrl::new(url).expect("a URL"))
        .exchange_client_credentials()
        .request(&send)
        .expect("a token");
    println!("{}", answer.access_token().secret());
}
