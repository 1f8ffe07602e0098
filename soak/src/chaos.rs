//! Faults at random, for one request in five or so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use paytoken_sandbox::{Fault, Sandbox, Service};

use crate::chance::Chance;

pub(crate) fn run(sandbox: &Sandbox, is_over: &AtomicBool, mut chance: Chance) {
    let milliseconds = Duration::from_millis;
    let retry_after = || Some("1".to_owned());
    let faults = [
        Fault::Reset,
        Fault::Reset,
        Fault::LostAnswer,
        Fault::LostAnswer,
        Fault::Truncated,
        Fault::Oversize(100_000),
        Fault::Drip(milliseconds(1)),
        Fault::Delay(milliseconds(150)),
        Fault::LateAnswer(milliseconds(200)),
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(504),
        Fault::EchoSecrets(500),
        Fault::MalformedJson,
        Fault::WrongTypes,
        Fault::SkewedDate(86_400),
        Fault::SkewedClock(-3_600),
        Fault::Lifetime(Duration::from_secs(1)),
        Fault::TooManyRequests { retry_after: retry_after() },
        Fault::Unavailable { retry_after: retry_after() },
        Fault::Raw(b"HTTP/1.1 999 what\r\n\r\n\0\0".to_vec()),
        Fault::Redirect("https://elsewhere.invalid/".to_owned()),
    ];
    // The next one waits until so many requests have come: faults that nobody meets would pile up.
    let mut next: Vec<_> = Service::ALL.iter().map(|service| (*service, 0)).collect();
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(milliseconds(20));
        for (service, at) in &mut next {
            let requests = sandbox.token_requests(*service);
            if requests < *at {
                continue;
            }
            let (times, fault) = match chance.below(200) {
                // Rarely a refusal: it keeps an account out for a minute.
                0 => (1, Fault::Status(401)),
                // Now and then one that outlasts all retries.
                1..10 => (5, chance.of(&faults).clone()),
                _ => (1, chance.of(&faults).clone()),
            };
            sandbox.fault_next(*service, times, fault);
            *at = requests + times + chance.below(10) as usize;
        }
    }
    Service::ALL.iter().for_each(|service| sandbox.clear_faults(*service));
}
