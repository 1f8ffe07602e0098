//! A server on loopback, plain http, that answers each request of one kept connection with what it
//! was last given.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    is_over: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::default(),
            is_over: Arc::default(),
        };
        let own = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if own.is_over.load(Ordering::Relaxed) {
                    return;
                }
                // One after the other: the client has one connection at a time.
                own.serve(stream);
            }
        });
        server
    }

    /// The next answers' head (without length) and body.
    pub(crate) fn answer(&self, status: u16, headers: &[u8], body: &[u8]) {
        let mut answer =
            format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n", body.len())
                .into_bytes();
        answer.extend_from_slice(headers);
        answer.extend_from_slice(b"\r\n");
        answer.extend_from_slice(body);
        *self.answer.lock().unwrap() = answer;
    }

    pub(crate) fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }

    fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut request = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            while let Some(end) = whole_request(&request) {
                request.drain(..end);
                let answer = self.answer.lock().unwrap().clone();
                if stream.write_all(&answer).is_err() {
                    return;
                }
            }
            match stream.read(&mut buffer) {
                Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
                _ => return,
            }
        }
    }
}

/// Where the first request ends, if all of it is there.
fn whole_request(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    // A GET has none.
    let length: usize = length.map_or(Some(0), |length| length.trim().parse().ok())?;
    (bytes.len() >= head + length).then_some(head + length)
}
