//! How a connection is made: ureq's own links (proxy, TCP), with three of ours between them.
//!
//! [`Tls`] is in a file of its own. [`LimitConnector`], directly above the socket, holds every read and
//! write to the request's one deadline: ureq gives each read of a proxy's answer the whole time
//! again. [`Veil`], above TLS, knows when the request's first byte is sent, and keeps both bodies
//! from ureq's log.

use std::fmt;
use std::sync::Arc;

use ureq::unversioned::transport::time::Duration;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, LazyBuffers, NextTimeout,
    TcpConnector, Transport,
};
use ureq::{Error, Timeout};

use super::EXPLANATION;
use super::cover::Cover;
use super::tls::{Configs, Tls};
use super::wire::{FILL, Phase, Wire};
use crate::policy::outcome::needs_body;

/// The chain for one request. The settings of TLS are shared: they hold the sessions to resume.
pub(super) fn connector(wire: &Arc<Wire>, tls: &Configs) -> impl Connector {
    ().chain(ConnectProxyConnector::default())
        .chain(TcpConnector::default())
        .chain(LimitConnector(wire.clone()))
        .chain(Tls { configs: tls.clone(), wire: wire.clone() })
        .chain(Veil(wire.clone()))
}

#[derive(Debug)]
struct LimitConnector(Arc<Wire>);

impl<In: Transport> Connector<In> for LimitConnector {
    type Out = Limited<In>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let is_to_proxy = self.0.is_to_proxy(details);
        self.0.reach(if is_to_proxy { Phase::Proxy } else { Phase::Handshake });
        Ok(chained.map(|inner| Limited { inner, wire: self.0.clone() }))
    }
}

#[derive(Debug)]
struct Limited<T> {
    inner: T,
    wire: Arc<Wire>,
}

impl<T> Limited<T> {
    fn limit(&self, timeout: NextTimeout) -> Result<NextTimeout, Error> {
        let left = self.wire.remaining();
        if left.is_zero() {
            // ureq would read a time of zero as a second.
            return Err(Error::Timeout(Timeout::Global));
        }
        Ok(NextTimeout { after: timeout.after.min(Duration::from(left)), ..timeout })
    }
}

impl<T: Transport> Transport for Limited<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = self.limit(timeout)?;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = self.limit(timeout)?;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

#[derive(Debug)]
struct Veil(Arc<Wire>);

impl<In: Transport> Connector<In> for Veil {
    type Out = Veiled<In>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let sizes = (details.config.input_buffer_size(), details.config.output_buffer_size());
        let is_to_proxy = self.0.is_to_proxy(details);
        Ok(chained.map(|inner| Veiled {
            inner,
            wire: self.0.clone(),
            is_to_proxy,
            buffers: LazyBuffers::new(sizes.0, sizes.1),
            sent: Sent::default(),
            cover: Cover::default(),
        }))
    }
}

struct Veiled<T> {
    inner: T,
    wire: Arc<Wire>,
    /// Then only the request to connect passes here, and its answer.
    is_to_proxy: bool,
    buffers: LazyBuffers,
    sent: Sent,
    cover: Cover,
}

/// How much of the request was sent.
#[derive(Default)]
struct Sent {
    /// Bytes of the blank line that ends the head.
    end_of_head: usize,
    body: usize,
}

impl<T: Transport> Transport for Veiled<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        if self.is_to_proxy { self.inner.buffers() } else { &mut self.buffers }
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.is_to_proxy {
            return self.inner.transmit_output(amount, timeout);
        }
        self.wire.reach(Phase::Sent);
        let mut rest = &self.buffers.output()[..amount];
        while !rest.is_empty() {
            let output = self.inner.buffers().output();
            let (now, later) = rest.split_at(rest.len().min(output.len()));
            let output = &mut output[..now.len()];
            output.copy_from_slice(now);
            self.sent.unveil(output, self.wire.request());
            self.inner.transmit_output(now.len(), timeout)?;
            // Its buffer is not wiped otherwise.
            self.inner.buffers().output()[..now.len()].fill(0);
            rest = later;
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if self.is_to_proxy {
            return self.inner.await_input(timeout);
        }
        // ureq gets the head as a whole: it refuses it at the first line that it does not like.
        loop {
            let is_progress = self.inner.maybe_await_input(timeout)?;
            let input = self.inner.buffers().input();
            let room = self.buffers.input_append_buf();
            let count = input.len().min(room.len());
            room[..count].copy_from_slice(&input[..count]);
            let mut head = self.wire.head();
            self.cover.cover(&mut room[..count], &mut head, |bytes| self.wire.keep(bytes));
            self.buffers.input_appended(count);
            self.inner.buffers().input_consume(count);
            if head.status().is_some_and(|status| !needs_body(status)) {
                self.wire.hurry(EXPLANATION);
            }
            if count == 0 || !head.is_open() {
                self.buffers.input_consume(head.take_before());
                return Ok(is_progress && count > 0);
            }
        }
    }

    /// No connection is kept for another request: what the server sent too much could be taken for
    /// the answer to the next one, which may be another merchant's.
    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

impl<T: fmt::Debug> fmt::Debug for Veiled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Veiled").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Sent {
    /// Puts the real body where ureq wrote fill characters.
    fn unveil(&mut self, output: &mut [u8], body: &[u8]) {
        const END: &[u8] = b"\r\n\r\n";

        for byte in output {
            if self.end_of_head < END.len() {
                self.end_of_head = match *byte {
                    b if b == END[self.end_of_head] => self.end_of_head + 1,
                    b'\r' => 1,
                    _ => 0,
                };
            } else if *byte == FILL {
                *byte = body.get(self.body).copied().unwrap_or_default();
                self.body += 1;
            }
        }
    }
}
