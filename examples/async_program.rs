//! An async program: a thousand tasks, one blocking thread, one request. No runtime is needed; the
//! executor below is the smallest that works. docs/async.md says the same with tokio's words.
//!
//! Set Send's variables (see docs/providers.md), then `cargo run --example async_program`.

#![allow(clippy::print_stdout)]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use paytoken::{Error, Provider, Token, TokenSource};

static BLOCKING_THREADS: AtomicUsize = AtomicUsize::new(0);

/// What the tasks share: the source, and who waits for the one fetch.
#[derive(Clone)]
struct Tokens {
    source: TokenSource,
    flight: Arc<Mutex<Flight>>,
}

#[derive(Default)]
struct Flight {
    is_under_way: bool, // the one permit, held inside the blocking thread
    landed: u64,
    failed: Option<Error>,
    waiting: Vec<Waker>,
}

impl Tokens {
    async fn token(&self) -> Result<Token, Error> {
        let asked_at = self.flight().landed;
        poll_fn(|context| self.poll(context, asked_at)).await
    }

    fn poll(&self, context: &mut Context<'_>, asked_at: u64) -> Poll<Result<Token, Error>> {
        let mut flight = self.flight();
        // First the cache: it sends nothing and waits for nobody.
        if let Some(token) = self.source.cached() {
            return Poll::Ready(Ok(token));
        }
        if let (true, Some(error)) = (flight.landed > asked_at, &flight.failed) {
            return Poll::Ready(Err(error.clone()));
        }
        flight.waiting.push(context.waker().clone());
        if !flight.is_under_way {
            flight.is_under_way = true;
            BLOCKING_THREADS.fetch_add(1, Ordering::Relaxed);
            let tokens = self.clone();
            thread::spawn(move || {
                let failed = tokens.source.token().err();
                let mut flight = tokens.flight();
                (flight.is_under_way, flight.failed) = (false, failed);
                flight.landed += 1;
                flight.waiting.drain(..).for_each(Waker::wake);
            });
        }
        Poll::Pending
    }

    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn main() -> Result<(), Error> {
    let source = TokenSource::from_env(Provider::SendPayments)?;
    let tokens = Tokens { source, flight: Arc::default() };
    let mut tasks: Vec<_> = (0..1000).map(|_| Box::pin(tokens.token())).collect();
    let mut good = 0;
    block_on(poll_fn(|context| {
        // All tasks on this one thread; one that has ended is not polled again.
        tasks.retain_mut(|task| match task.as_mut().poll(context) {
            Poll::Ready(result) => {
                good += usize::from(result.is_ok());
                false
            }
            Poll::Pending => true,
        });
        if tasks.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }));
    let threads = BLOCKING_THREADS.load(Ordering::Relaxed);
    let requests = tokens.source.status().requests;
    println!("{good} tasks have a token, {threads} blocking thread, {requests} request");
    Ok(())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
