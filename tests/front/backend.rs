//! What is behind nginx: answers every request with a token and keeps the two headers.

use std::net::SocketAddr;

use paytoken_testing::Server;

const ANSWER: &[u8] = b"{\"access_token\":\"token-from-behind-nginx\",\"token_type\":\"Bearer\",\
    \"expires_in\":600,\"scope\":\"email profile\"}";

/// The certificate as two sides wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// By nginx: `$ssl_client_escaped_cert`.
    pub by_nginx: String,
    /// By the client, handed on as it came.
    pub by_client: String,
}

pub struct Backend {
    pub address: SocketAddr,
    server: Server,
}

impl Backend {
    pub fn start() -> Self {
        let head = format!(
            "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            ANSWER.len()
        );
        let server = Server::answering([head.as_bytes(), ANSWER].concat());
        Self { address: server.address, server }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.server.received().iter().map(|request| Seen::of(request)).collect()
    }
}

impl Seen {
    fn of(request: &[u8]) -> Self {
        let text = std::str::from_utf8(request).unwrap();
        let header = |wanted: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(": "));
            let found = lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map_or_else(String::new, |(_, value)| value.to_owned())
        };
        Self { by_nginx: header("x-ssl-client-cert"), by_client: header("x-sent-by-client") }
    }
}
