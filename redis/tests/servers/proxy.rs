//! Stands between a store and its Redis, and can turn bad.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) enum Mode {
    Forward,
    /// Answers every piece of a request with these bytes.
    Says(Vec<u8>),
    /// Says back what it hears, as an error: the password, too.
    Echo,
    /// A byte of an endless answer now and then.
    Drip,
    /// As fast as it can, without an end.
    Endless,
    /// Takes the connection, and never answers.
    Silent,
    Closes,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<State>,
}

struct State {
    mode: Mutex<Mode>,
    open: Mutex<Vec<TcpStream>>,
    upstream: u16,
}

impl Proxy {
    pub(crate) fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State { mode: Mutex::new(Mode::Forward), open: Mutex::default(), upstream };
        let state = Arc::new(state);
        let own = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = own.clone();
                state.open.lock().unwrap().push(client.try_clone().unwrap());
                thread::spawn(move || state.serve(client));
            }
        });
        Self { port, state }
    }

    /// From now on; what is open is cut.
    pub(crate) fn turn(&self, mode: Mode) {
        *self.state.mode.lock().unwrap() = mode;
        for stream in self.state.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl State {
    /// Ends where either side does.
    fn serve(&self, mut client: TcpStream) -> Option<()> {
        let mode = self.mode.lock().unwrap().clone();
        let mut heard = [0; 65_536];
        match mode {
            Mode::Forward => {
                let upstream = TcpStream::connect(("127.0.0.1", self.upstream)).ok()?;
                self.open.lock().unwrap().push(upstream.try_clone().ok()?);
                let (mut from, mut to) = (upstream.try_clone().ok()?, client.try_clone().ok()?);
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                let mut upstream = upstream;
                let _ = io::copy(&mut client, &mut upstream);
                let _ = upstream.shutdown(Shutdown::Both);
            }
            Mode::Says(bytes) => {
                while client.read(&mut heard).ok()? > 0 {
                    client.write_all(&bytes).ok()?;
                }
            }
            Mode::Echo => loop {
                let count = client.read(&mut heard).ok().filter(|count| *count > 0)?;
                let text = String::from_utf8_lossy(&heard[..count]).replace(['\r', '\n'], " ");
                client.write_all(format!("-ERR unknown: {text}\r\n").as_bytes()).ok()?;
            },
            Mode::Drip => {
                client.write_all(b"$1000\r\n").ok()?;
                loop {
                    client.write_all(b"x").ok()?;
                    thread::sleep(Duration::from_millis(20));
                }
            }
            Mode::Endless => {
                client.write_all(b"$99999999999\r\n").ok()?;
                loop {
                    client.write_all(&[b'x'; 65_536]).ok()?;
                }
            }
            Mode::Silent => while client.read(&mut heard).ok()? > 0 {},
            Mode::Closes => _ = client.shutdown(Shutdown::Both),
        }
        Some(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.turn(Mode::Closes);
    }
}
