//! Each fault does what it says, once or always, by call or by request header.

use std::io;
use std::time::{Duration, SystemTime};

use paytoken_sandbox::{Fault, Sandbox, Service};

use crate::client::{Client, Reply, api_request, read_reply, token_request, token_request_with};

const SEND: Service = Service::SendPayments;

fn spoiled(sandbox: &Sandbox, service: Service, fault: Fault) -> io::Result<Reply> {
    sandbox.fault_next(service, 1, fault);
    let answer = Client::new(sandbox, service).send(&token_request(sandbox, service));
    // The fault is spent: the next request is served as usual.
    let next = Client::new(sandbox, service).send(&token_request(sandbox, service));
    assert!(next.unwrap().status < 300);
    answer
}

fn issued(sandbox: &Sandbox, service: Service) -> usize {
    sandbox.counts(service).tokens_issued
}

#[test]
fn a_status_takes_the_place_of_the_answer() {
    let sandbox = Sandbox::start().unwrap();
    for &service in Service::ALL {
        for status in [400, 401, 403, 500, 502, 503] {
            let reply = spoiled(&sandbox, service, Fault::Status(status)).unwrap();
            assert_eq!(reply.status, status);
            assert!(reply.json().is_object());
        }
        assert_eq!(issued(&sandbox, service), 6, "{service}");
    }
    let html = Fault::StatusBody(400, "text/html".into(), b"<h1>no</h1>".to_vec());
    let reply = spoiled(&sandbox, SEND, html).unwrap();
    assert_eq!((reply.status, &*reply.body), (400, &b"<h1>no</h1>"[..]));
    assert_eq!(reply.header("content-type"), Some("text/html"));
    assert_eq!(spoiled(&sandbox, SEND, Fault::Status(204)).unwrap().status, 204);
}

#[test]
fn limits_and_redirects_carry_their_headers() {
    let sandbox = Sandbox::start().unwrap();
    let after = |seconds: &str| Some(seconds.to_owned());
    let limited = Fault::TooManyRequests { retry_after: after("7") };
    let reply = spoiled(&sandbox, SEND, limited).unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("7")));
    let reply = spoiled(&sandbox, SEND, Fault::TooManyRequests { retry_after: None }).unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (429, None));
    let date = "Fri, 31 Dec 1999 23:59:59 GMT";
    let down = Fault::Unavailable { retry_after: after(date) };
    let reply = spoiled(&sandbox, SEND, down).unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some(date)));
    let moved = Fault::Redirect("https://elsewhere.invalid/".into());
    let reply = spoiled(&sandbox, SEND, moved).unwrap();
    assert_eq!(reply.status, 307);
    assert_eq!(reply.header("location"), Some("https://elsewhere.invalid/"));
}

#[test]
fn a_reset_is_a_reset_and_issues_nothing() {
    let sandbox = Sandbox::start().unwrap();
    let error = spoiled(&sandbox, SEND, Fault::Reset).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(issued(&sandbox, SEND), 1);
    assert_eq!(sandbox.token_requests(SEND), 2);
}

#[test]
fn a_lost_answer_ends_the_old_token_all_the_same() {
    let sandbox = Sandbox::start().unwrap();
    let mut client = Client::new(&sandbox, SEND);
    let token = client.send(&token_request(&sandbox, SEND)).unwrap().token();
    sandbox.fault_next(SEND, 1, Fault::LostAnswer);
    let error = client.send(&token_request(&sandbox, SEND)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(!sandbox.is_valid(SEND, &token));
    assert_eq!(issued(&sandbox, SEND), 2);
}

#[test]
fn a_truncated_answer_promises_more_than_comes() {
    let sandbox = Sandbox::start().unwrap();
    for &service in Service::ALL {
        sandbox.fault_next(service, 1, Fault::Truncated);
        let client = Client::new(&sandbox, service);
        let (bytes, end) = client.send_to_end(&token_request(&sandbox, service));
        end.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let promised = head.split_once("Content-Length: ").unwrap().1;
        let promised: usize = promised.lines().next().unwrap().parse().unwrap();
        assert!(!body.is_empty() && body.len() < promised);
        assert_eq!(issued(&sandbox, service), 1);
    }
}

#[test]
fn an_oversize_answer_is_valid_json_of_that_size() {
    let sandbox = Sandbox::start().unwrap();
    for &service in Service::ALL {
        let reply = spoiled(&sandbox, service, Fault::Oversize(100_000)).unwrap();
        assert_eq!(reply.body.len(), 100_000);
        assert!(!reply.token().is_empty());
        let reply = spoiled(&sandbox, service, Fault::Oversize(3)).unwrap();
        assert!(!reply.token().is_empty());
    }
}

#[test]
fn a_dripped_answer_arrives_byte_by_byte_and_complete() {
    let sandbox = Sandbox::start().unwrap();
    sandbox.fault_next(SEND, 1, Fault::Drip(Duration::from_micros(10)));
    let mut client = Client::new(&sandbox, SEND);
    let token = client.send(&token_request(&sandbox, SEND)).unwrap().token();
    assert!(sandbox.is_valid(SEND, &token));
    // The connection is kept.
    assert_eq!(client.send(&api_request(SEND, &token)).unwrap().status, 200);
    assert_eq!(sandbox.counts(SEND).connections, 1);

    // Slowly: after the first bytes the rest stays out, and dropping the sandbox does not wait.
    sandbox.fault_next(SEND, 1, Fault::Drip(Duration::from_secs(3600)));
    let mut stream = client.connect();
    io::Write::write_all(&mut stream, &token_request(&sandbox, SEND)).unwrap();
    let mut byte = [0u8; 16];
    assert_eq!(io::Read::read(&mut stream, &mut byte).unwrap(), 1);
    drop(sandbox);
    assert!(read_reply(&mut stream).is_err());
}

#[test]
fn broken_bodies_are_broken() {
    let sandbox = Sandbox::start().unwrap();
    for &service in Service::ALL {
        let reply = spoiled(&sandbox, service, Fault::MalformedJson).unwrap();
        assert!(reply.status < 300);
        assert!(serde_json::from_slice::<serde_json::Value>(&reply.body).is_err());
        let reply = spoiled(&sandbox, service, Fault::WrongTypes).unwrap();
        assert!(reply.status < 300);
        match reply.json() {
            serde_json::Value::Object(members) => {
                assert!(members.values().all(|member| !member.is_string()));
                assert!(members.values().all(|member| !member.is_number()));
            }
            other => assert!(other.is_number(), "{other}"),
        }
        assert_eq!(issued(&sandbox, service), 4);
    }
}

/// Seconds from the `Date` header to now, read without the code under test.
fn date_lag(reply: &Reply) -> i64 {
    let date = reply.header("date").unwrap();
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let word = |index: usize| date.split(' ').nth(index).unwrap();
    let month = months.find(word(2)).unwrap() / 3 + 1;
    let midnight =
        rcgen::date_time_ymd(word(3).parse().unwrap(), month as u8, word(1).parse().unwrap());
    let time: Vec<i64> = word(4).split(':').map(|part| part.parse().unwrap()).collect();
    let stated = midnight.unix_timestamp() + time[0] * 3600 + time[1] * 60 + time[2];
    #[allow(clippy::disallowed_methods)]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs() as i64 - stated
}

#[test]
fn dates_are_right_unless_skewed() {
    let sandbox = Sandbox::start().unwrap();
    let mut client = Client::new(&sandbox, SEND);
    let reply = client.send(&token_request(&sandbox, SEND)).unwrap();
    assert!((0..60).contains(&date_lag(&reply)));
    let honest = reply.json()["expiresAt"].as_str().unwrap()[..4].to_owned();
    let years = 20 * 366 * 86_400;
    let reply = spoiled(&sandbox, SEND, Fault::SkewedDate(-years)).unwrap();
    assert!((0..60).contains(&(date_lag(&reply) - years)));
    assert!(reply.json()["expiresAt"].as_str().unwrap()[..3] == honest[..3]);
    let reply = spoiled(&sandbox, SEND, Fault::SkewedClock(years)).unwrap();
    assert!((0..60).contains(&(date_lag(&reply) + years)));
    assert!(reply.json()["expiresAt"].as_str().unwrap()[..3] > honest[..3]);
}

#[test]
fn an_echo_repeats_every_secret() {
    let sandbox = Sandbox::start().unwrap();
    for &service in Service::ALL {
        let reply = spoiled(&sandbox, service, Fault::EchoSecrets(500)).unwrap();
        assert_eq!(reply.status, 500);
        let text = String::from_utf8(reply.body).unwrap();
        assert!(text.contains(sandbox.client_secret(service)));
        assert!(text.contains("application/json"));
        assert!(text.contains("eyJ"));
        if service == Service::NtxPay {
            assert!(text.contains(&sandbox.client_certificate_header()));
        }
    }
}

#[test]
fn raw_bytes_come_as_they_are() {
    let sandbox = Sandbox::start().unwrap();
    sandbox.fault_next(SEND, 1, Fault::Raw(b"HTTP/9 what\r\n".to_vec()));
    let client = Client::new(&sandbox, SEND);
    let (bytes, end) = client.send_to_end(&token_request(&sandbox, SEND));
    end.unwrap();
    assert_eq!(bytes, b"HTTP/9 what\r\n");
    assert_eq!(issued(&sandbox, SEND), 0);
}

#[test]
fn delays_come_before_the_issue_and_late_answers_after_it() {
    let sandbox = Sandbox::start().unwrap();
    let pause = Duration::from_millis(60);
    let mut client = Client::new(&sandbox, SEND);
    let late = token_request_with(&sandbox, SEND, &[("X-Sandbox-Fault", "late=60;lifetime=0.05")]);
    let token = client.send(&late).unwrap().token();
    assert!(!sandbox.is_valid(SEND, &token), "it aged while the answer waited");
    #[allow(clippy::disallowed_methods)]
    let elapsed = |sandbox: &Sandbox, client: &mut Client| {
        let start = std::time::Instant::now();
        let token = client.send(&token_request(sandbox, SEND)).unwrap().token();
        (start.elapsed(), token)
    };
    sandbox.set_delay(SEND, pause);
    assert!(elapsed(&sandbox, &mut client).0 >= pause);
    sandbox.set_delay(SEND, Duration::ZERO);
    sandbox.fault_next(SEND, 1, Fault::Delay(pause));
    assert!(elapsed(&sandbox, &mut client).0 >= pause);
}

#[test]
fn faults_queue_stay_and_end() {
    let sandbox = Sandbox::start().unwrap();
    let mut client = Client::new(&sandbox, SEND);
    let question = token_request(&sandbox, SEND);
    let mut status = || client.send(&question).unwrap().status;
    sandbox.fault_always(SEND, Some(Fault::Status(500)));
    sandbox.fault_next(SEND, 2, Fault::Status(502));
    sandbox.fault_next(SEND, 1, Fault::Status(504));
    sandbox.fault_next(SEND, 0, Fault::Status(418));
    assert_eq!([status(), status(), status()], [502, 502, 504]);
    assert_eq!([status(), status()], [500, 500]);
    sandbox.fault_always(SEND, None);
    assert_eq!(status(), 201);
    sandbox.fault_always(SEND, Some(Fault::Status(500)));
    sandbox.fault_next(SEND, 9, Fault::Status(502));
    sandbox.clear_faults(SEND);
    assert_eq!(status(), 201);
}

#[test]
fn api_faults_spoil_the_api_only() {
    let sandbox = Sandbox::start().unwrap();
    let mut client = Client::new(&sandbox, SEND);
    sandbox.api_fault_next(SEND, 1, Fault::Status(401));
    let token = client.send(&token_request(&sandbox, SEND)).unwrap().token();
    let call = api_request(SEND, &token);
    assert_eq!(client.send(&call).unwrap().status, 401);
    assert_eq!(client.send(&call).unwrap().status, 200);
    assert_eq!(sandbox.counts(SEND).api_requests, 2);
    assert_eq!(sandbox.counts(SEND).api_unauthorized, 0);
}

#[test]
fn a_request_can_ask_for_its_own_faults() {
    let sandbox = Sandbox::start().unwrap();
    let ask = |words: &str| {
        let question = token_request_with(&sandbox, SEND, &[("X-Sandbox-Fault", words)]);
        Client::new(&sandbox, SEND).send(&question)
    };
    sandbox.fault_next(SEND, 1, Fault::Status(418));
    assert_eq!(ask("status=503").unwrap().status, 503);
    assert_eq!(ask("delay=1; 429=5").unwrap().header("retry-after"), Some("5"));
    assert_eq!(ask("503").unwrap().status, 503);
    assert_eq!(
        ask("redirect=https://x.invalid/?a=b").unwrap().header("location"),
        Some("https://x.invalid/?a=b")
    );
    assert_eq!(ask("oversize=5000;skewed-date=86400").unwrap().body.len(), 5000);
    assert!(date_lag(&ask("skewed-date=86400").unwrap()) < -80_000);
    assert!(date_lag(&ask("skewed-clock=-86400").unwrap()) > 80_000);
    assert!(serde_json::from_slice::<serde_json::Value>(&ask("malformed").unwrap().body).is_err());
    assert!(ask("wrong-types").unwrap().json()["accessToken"].is_object());
    assert_eq!(ask("echo").unwrap().status, 400);
    assert_eq!(ask("echo=500").unwrap().status, 500);
    assert!(ask("drip=0").unwrap().status == 201);
    for cut in ["reset", "truncated", "lost-answer"] {
        assert!(ask(cut).is_err(), "{cut}");
    }
    for wrong in ["", "nonsense", "status=99", "status=x", "reset=1", "delay=-1", "lifetime=-1"] {
        let reply = ask(wrong).unwrap();
        assert_eq!(reply.status, 400, "{wrong}");
        assert!(String::from_utf8(reply.body).unwrap().contains("X-Sandbox-Fault"));
    }
    // The queued fault is still there for the first request that asks for none.
    let question = token_request(&sandbox, SEND);
    assert_eq!(Client::new(&sandbox, SEND).send(&question).unwrap().status, 418);
}
