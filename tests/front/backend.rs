//! What is behind nginx: answers every request with a token and keeps the two headers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

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
    seen: Arc<Mutex<Vec<Seen>>>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let keep = seen.clone();
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let more = answer(stream, |seen| keep.lock().unwrap().push(seen));
                if more.is_none() {
                    return; // the drop below
                }
            }
        });
        Self { address, seen, thread: Some(thread) }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.address));
        let _ = self.thread.take().unwrap().join();
    }
}

/// Answers one request, after it was kept; `None` when the other side just hangs up.
fn answer(mut stream: TcpStream, keep: impl FnOnce(Seen)) -> Option<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let end = loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => request.extend_from_slice(&buffer[..count]),
        }
    };
    let head = String::from_utf8(request[..end].to_vec()).unwrap();
    let header = |wanted: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned())
    };
    let length: usize = header("content-length").unwrap().parse().unwrap();
    while request.len() < end + 4 + length {
        let count = stream.read(&mut buffer).unwrap();
        request.extend_from_slice(&buffer[..count]);
    }
    keep(Seen {
        by_nginx: header("x-ssl-client-cert").unwrap_or_default(),
        by_client: header("x-sent-by-client").unwrap_or_default(),
    });
    let head = format!(
        "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        ANSWER.len()
    );
    stream.write_all(&[head.as_bytes(), ANSWER].concat()).ok()
}
