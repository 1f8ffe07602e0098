//! One connection: TLS handshake, requests one after the other, answers, and how it ends.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

use crate::answer::{Answer, Delivery};
use crate::request::{Incoming, Request, RequestReader};
use crate::service;
use crate::state::{InFlight, ServiceState};
use crate::stop::Stop;

/// A shared socket: the registry of open connections holds it too, to end it from outside.
struct Socket(Arc<TcpStream>);

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&*self.0).write(buffer)
    }

    fn write_vectored(&mut self, buffers: &[io::IoSlice<'_>]) -> io::Result<usize> {
        (&*self.0).write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// With a farewell, so that the client surely reads what was sent.
    Orderly,
    /// Without a word.
    Cut,
    Reset,
}

/// Serves a provider's connection until its end.
pub(crate) fn serve_tls(
    socket: &Arc<TcpStream>,
    config: Arc<ServerConfig>,
    state: &Arc<ServiceState>,
) {
    let Ok(mut tls) = ServerConnection::new(config) else {
        return;
    };
    let mut plain = Socket(Arc::clone(socket));
    while tls.is_handshaking() {
        match tls.complete_io(&mut plain) {
            Ok((0, 0)) => return,
            Ok(_) => {}
            Err(_) => {
                // An alert may be on its way, and data of the client still unread: closing now
                // would reset the connection and destroy the alert.
                linger(socket);
                return;
            }
        }
    }
    if tls.handshake_kind() == Some(HandshakeKind::Resumed) {
        state.count(|counts| counts.handshakes_resumed += 1);
    }
    let certificate = tls
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|certificate| certificate.to_vec());
    let mut stream = StreamOwned::new(tls, plain);
    let ending = serve(&mut stream, &state.stop, |request| {
        service::answer(state, request, certificate.as_deref())
    });
    match ending {
        Ok(Ending::Orderly) => {
            stream.conn.send_close_notify();
            let _ = stream.flush();
            linger(socket);
        }
        Ok(Ending::Reset) => {
            let _ = socket2::SockRef::from(&**socket).set_linger(Some(Duration::ZERO));
        }
        Err(_) if !state.stop.is_stopped() => linger(socket),
        Ok(Ending::Cut) | Err(_) => {}
    }
}

/// Serves a plain connection until its end.
pub(crate) fn serve_plain(
    socket: &Arc<TcpStream>,
    stop: &Stop,
    answer: impl Fn(&Request) -> Answer,
) {
    let mut stream = Socket(Arc::clone(socket));
    let ending = serve(&mut stream, stop, |request| (answer(request), None));
    if matches!(ending, Ok(Ending::Orderly)) {
        linger(socket);
    }
}

/// Sends the end of the stream and waits a moment for the client's, dropping what it still says.
fn linger(socket: &TcpStream) {
    let _ = socket.shutdown(Shutdown::Write);
    let _ = socket.set_read_timeout(Some(Duration::from_secs(1)));
    let mut socket = socket;
    let mut chunk = [0u8; 4096];
    for _ in 0..64 {
        match socket.read(&mut chunk) {
            Ok(read) if read > 0 => {}
            _ => return,
        }
    }
}

fn serve(
    stream: &mut (impl Read + Write),
    stop: &Stop,
    mut answer: impl FnMut(&Request) -> (Answer, Option<InFlight>),
) -> io::Result<Ending> {
    let mut reader = RequestReader::default();
    loop {
        let request = match reader.next(stream)? {
            Incoming::Request(request) => request,
            Incoming::Closed => return Ok(Ending::Orderly),
            Incoming::Bad(problem) => {
                let answer = Answer::new(400, "text/plain; charset=utf-8", format!("{problem}\n"));
                stream.write_all(&answer.bytes(false, false))?;
                stream.flush()?;
                return Ok(Ending::Orderly);
            }
        };
        let (answer, in_flight) = answer(&request);
        if let Some(ending) = deliver(stream, stop, &request, &answer, in_flight)? {
            return Ok(ending);
        }
    }
}

/// Sends an answer as its delivery says; `None` if the connection goes on.
fn deliver(
    stream: &mut (impl Read + Write),
    stop: &Stop,
    request: &Request,
    answer: &Answer,
    in_flight: Option<InFlight>,
) -> io::Result<Option<Ending>> {
    let to_head_request = request.method == "HEAD";
    let mut bytes = answer.bytes(request.keep_alive, to_head_request);
    let ending = match &answer.delivery {
        Delivery::Whole | Delivery::Drip(_) if request.keep_alive => None,
        Delivery::Cut => Some(Ending::Cut),
        Delivery::Reset => Some(Ending::Reset),
        _ => Some(Ending::Orderly),
    };
    match &answer.delivery {
        Delivery::Whole => {}
        Delivery::Cut | Delivery::Reset => bytes.clear(),
        Delivery::Truncated => bytes.truncate(bytes.len() - answer.body.len().div_ceil(2)),
        Delivery::Raw(raw) => bytes.clone_from(raw),
        Delivery::Drip(pause) => {
            // The last byte is sent below, like every other answer's: after the mark is gone.
            let last = bytes.len().saturating_sub(1);
            for byte in &bytes[..last] {
                stream.write_all(&[*byte])?;
                stream.flush()?;
                stop.pause(*pause);
                if stop.is_stopped() {
                    return Ok(Some(Ending::Cut));
                }
            }
            bytes.drain(..last);
        }
    }
    drop(in_flight);
    if !bytes.is_empty() {
        stream.write_all(&bytes)?;
        stream.flush()?;
    }
    Ok(ending)
}
