//! An account of each kind in use, with a token, and what has to hold whatever its Redis does.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use paytoken::{ErrorKind, Token, TokenSource};
use paytoken_redis::RedisStore;
use paytoken_sandbox::Sandbox;
use paytoken_testing::redis::Server;
use paytoken_testing::{ManualClock, builder};

use crate::proxy::Proxy;
use crate::support::{NTX, SEND, Told};

/// One command of the store takes no longer.
pub(crate) const LIMIT: Duration = Duration::from_millis(400);

/// What a busy machine may add. Whoever waited for longer than the store's own limit would wait for
/// the source's time-out, fifteen seconds.
pub(crate) const SLACK: Duration = Duration::from_secs(6);

/// An account of each kind in use, with a token.
pub(crate) struct Scene {
    pub(crate) server: Server,
    proxy: Option<Proxy>,
    sandbox: Sandbox,
    pub(crate) clock: ManualClock,
    told: Told,
    pub(crate) url: String,
    sources: [TokenSource; 2],
    tokens: [Token; 2],
    /// What errors said, and whether they may be over soon.
    said: RefCell<Vec<(String, bool)>>,
}

impl Scene {
    pub(crate) fn on_socket(more: &[&str]) -> Self {
        let server = Server::start(more);
        let url = format!("{}?user=paytoken&pass=hunter2", server.url);
        Self::new(server, None, url)
    }

    pub(crate) fn behind_proxy() -> Self {
        let server = Server::start_on_port(&[]);
        let proxy = Proxy::start(server.port.unwrap());
        let url = format!("redis://paytoken:hunter2@127.0.0.1:{}", proxy.port);
        Self::new(server, Some(proxy), url)
    }

    fn new(server: Server, proxy: Option<Proxy>, url: String) -> Self {
        make_user(&server);
        let (sandbox, clock, told) =
            (Sandbox::start().unwrap(), ManualClock::new(), Told::default());
        let sources = [NTX, SEND].map(|provider| {
            builder(&sandbox, provider)
                .store(store(&url))
                .clock(clock.clone())
                .on_event(told.hook())
                .build()
                .unwrap()
        });
        let tokens = [0, 1].map(|index: usize| sources[index].token().unwrap());
        let said = RefCell::default();
        Self { server, proxy, sandbox, clock, told, url, sources, tokens, said }
    }

    pub(crate) fn requests(&self) -> usize {
        [NTX, SEND].map(|provider| self.sandbox.token_requests(provider)).iter().sum()
    }

    /// The tokens in memory are served, whatever the store does, and at most one look waits for it.
    pub(crate) fn assert_served(&self) {
        let began = Instant::now();
        for _ in 0..20 {
            // Each source looks at the store once a second.
            self.clock.advance(Duration::from_millis(1_100));
            for (source, token) in self.sources.iter().zip(&self.tokens) {
                let asked = Instant::now();
                assert_eq!(source.token().unwrap().secret(), token.secret());
                assert!(asked.elapsed() < 2 * LIMIT + SLACK, "{:?}", asked.elapsed());
            }
        }
        // If each look waited, it would be sixteen seconds.
        assert!(began.elapsed() < 4 * LIMIT + SLACK, "{:?}", began.elapsed());
    }

    /// Where the token has to be replaced: one that coexists is fetched without sharing, with an
    /// event; Send's is not fetched without the lock.
    pub(crate) fn assert_send_is_not_fetched_without_the_lock(&self) {
        let requests = self.sandbox.token_requests(SEND);
        // 81 % of NTX Pay's ten minutes; Send's five are over.
        self.clock.advance(Duration::from_secs(465));
        let asked = Instant::now();
        let token = self.sources[0].token().unwrap();
        assert_ne!(token.secret(), self.tokens[0].secret());
        assert!(self.sandbox.is_valid(NTX, token.secret()));
        assert!(asked.elapsed() < 4 * LIMIT + SLACK, "{:?}", asked.elapsed());
        assert!(self.told.count("store_unusable") >= 1, "it was not told");
        for _ in 0..2 {
            let asked = Instant::now();
            let error = self.sources[1].token().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store, "{error}");
            assert!(asked.elapsed() < 4 * LIMIT + SLACK, "{:?}", asked.elapsed());
            self.note(&error);
        }
        let now = self.sandbox.token_requests(SEND);
        assert_eq!(now, requests, "a request was made without the lock");
    }

    /// Where what is read or locked cannot be told from nonsense, Send's token still needs a write.
    pub(crate) fn assert_send_is_not_fetched(&self) {
        self.clock.advance(Duration::from_secs(465));
        assert!(self.sandbox.is_valid(NTX, self.sources[0].token().unwrap().secret()));
        for _ in 0..2 {
            let asked = Instant::now();
            let error = self.sources[1].token().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store, "{error}");
            assert!(asked.elapsed() < 5 * LIMIT + SLACK, "{:?}", asked.elapsed());
            self.note(&error);
        }
        assert_eq!(self.sandbox.token_requests(SEND), 1);
    }

    fn note(&self, error: &paytoken::Error) {
        let mut text = format!("{error} {error:?}");
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            text += &format!(" {error} {error:?}");
            cause = error.source();
        }
        assert!(!text.contains("hunter2"), "{text}");
        self.said.borrow_mut().push((text, error.retry_after().is_some()));
    }

    /// Another machine, with nothing in memory, cannot know whether somebody has a token: it fails
    /// for Send, and where the program wants no token that is not shared.
    pub(crate) fn assert_others_fail(&self) {
        for provider in [NTX, SEND] {
            let other = builder(&self.sandbox, provider)
                .store(store(&self.url))
                .clock(self.clock.clone())
                .require_store(true)
                .build()
                .unwrap();
            let (requests, asked) = (self.requests(), Instant::now());
            let error = other.token().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store, "{error}");
            assert!(asked.elapsed() < LIMIT + SLACK, "{:?}", asked.elapsed());
            assert_eq!(self.requests(), requests);
            self.note(&error);
        }
    }

    /// Who has time asks again where it may be over soon.
    pub(crate) fn assert_said(&self, words: &str, may_be_over_soon: bool) {
        for (text, is_asked_again) in self.said.borrow().iter() {
            assert!(text.contains(words), "{text:?} does not say {words:?}");
            assert_eq!(*is_asked_again, may_be_over_soon, "{text}");
        }
        assert!(!self.said.borrow().is_empty());
    }

    /// Redis is well again: the next call has a new token, and others find it.
    pub(crate) fn assert_well(&self) {
        let token = self.sources[1].token().unwrap();
        assert!(self.sandbox.is_valid(SEND, token.secret()));
        let other = builder(&self.sandbox, SEND)
            .store(store(&self.url))
            .clock(self.clock.clone())
            .build()
            .unwrap();
        assert_eq!(other.token().unwrap().secret(), token.secret());
        assert_eq!(self.sandbox.token_requests(SEND), 2);
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().unwrap()
    }
}

pub(crate) fn store(url: &str) -> RedisStore {
    RedisStore::builder(url).timeout(LIMIT).build().unwrap()
}

pub(crate) fn make_user(server: &Server) {
    server.ask(&["ACL", "SETUSER", "paytoken", "reset", "on", ">hunter2", "~*", "+@all"]);
}
