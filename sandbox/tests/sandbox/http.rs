//! HTTP/1.1 as clients may speak it.

use std::io::{Read, Write};

use paytoken_sandbox::{Sandbox, Service};

use crate::client::{Client, read_reply, token_request};

#[test]
fn requests_in_pieces_chunked_and_pipelined_are_read() {
    let sandbox = Sandbox::start().unwrap();
    let service = Service::SendPayments;
    let client = Client::new(&sandbox, service);
    let mut stream = client.connect();
    let whole = token_request(&sandbox, service);
    for byte in &whole {
        stream.write_all(&[*byte]).unwrap();
        stream.flush().unwrap();
    }
    assert_eq!(read_reply(&mut stream).unwrap().status, 201);
    assert_eq!(sandbox.received(service), vec![whole.clone()]);

    let text = String::from_utf8(whole).unwrap();
    let body = text.split_once("\r\n\r\n").unwrap().1;
    let (start, end) = body.split_at(10);
    let chunked = format!(
        "POST /auth HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x};note=1\r\n{start}\r\n{:X}\r\n{end}\r\n0\r\n\
         Trailer: 1\r\n\r\n",
        start.len(),
        end.len()
    );
    let both = format!("{chunked}GET /accounts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(both.as_bytes()).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 201 "), "{rest}");
    assert!(rest.contains("HTTP/1.1 401 "), "{rest}");
    assert_eq!(sandbox.received(service)[1], chunked.as_bytes());
}

#[test]
fn what_is_not_http_gets_a_400() {
    let sandbox = Sandbox::start().unwrap();
    let client = Client::new(&sandbox, Service::SendPayments);
    for wrong in [
        "nonsense\r\n\r\n",
        "POST /auth HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST /auth HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let (answer, end) = client.send_to_end(wrong.as_bytes());
        assert!(answer.starts_with(b"HTTP/1.1 400 "), "{wrong}");
        end.unwrap();
    }
}
