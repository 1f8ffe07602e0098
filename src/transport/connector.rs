//! How a connection is made: ureq's own link for proxies, with three of ours.
//!
//! [`Tcp`] holds every read and write to the request's one deadline: ureq gives each read of a proxy's
//! answer the whole time again. [`Tls`] is in a file of its own. [`Veil`], above TLS, knows when the request's first byte is sent, and keeps secrets from
//! ureq's log.

use std::fmt;
use std::io::ErrorKind::{Interrupted, InvalidInput, TimedOut, WouldBlock, WriteZero};
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    Transport,
};
use ureq::{Error, Timeout};
use zeroize::Zeroize as _;

use super::EXPLANATION;
use super::cover::Cover;
use super::failure::RequestFailure;
use super::tls::{Configs, Tls};
use super::unveil::Unveil;
use super::wire::{Phase, Wire};
use crate::policy::outcome::needs_body;

/// The chain for one request. The settings of TLS are shared: they hold the sessions to resume.
pub(super) fn connector(wire: &Arc<Wire>, tls: &Configs) -> impl Connector {
    ().chain(ConnectProxyConnector::default())
        .chain(Tcp(wire.clone()))
        .chain(Tls { configs: tls.clone(), wire: wire.clone() })
        .chain(Veil(wire.clone()))
}

/// The link at the bottom: to the address that answers first.
#[derive(Debug)]
struct Tcp(Arc<Wire>);

impl<In: Transport> Connector<In> for Tcp {
    type Out = Either<In, Socket>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(through_proxy) = chained {
            self.0.reach(Phase::Handshake);
            return Ok(Some(Either::A(through_proxy)));
        }
        let wire = &self.0;
        // The resolver has put it there.
        let route = wire.take_route().ok_or(Error::HostNotFound)?;
        let stream = wire
            .dialer
            .connect(route, wire.remaining())
            .map_err(|failed| RequestFailure::of_connecting(failed, wire).into_ureq())?;
        let is_to_proxy = wire.is_to_proxy(details);
        wire.reach(if is_to_proxy { Phase::Proxy } else { Phase::Handshake });
        let sizes = (details.config.input_buffer_size(), details.config.output_buffer_size());
        let buffers = LazyBuffers::new(sizes.0, sizes.1);
        Ok(Some(Either::B(Socket { stream, buffers, wire: wire.clone() })))
    }
}

#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    buffers: LazyBuffers,
    wire: Arc<Wire>,
}

impl Socket {
    /// Once, or again where a signal came between.
    fn within_the_time(
        &mut self,
        set: fn(&TcpStream, Option<Duration>) -> io::Result<()>,
        mut once: impl FnMut(&mut Self) -> io::Result<usize>,
    ) -> Result<usize, Error> {
        loop {
            let left = self.wire.remaining();
            if left.is_zero() {
                return Err(Error::Timeout(Timeout::Global));
            }
            match set(&self.stream, Some(left)) {
                // Apple's systems refuse it after the other end has closed; what came can be read.
                Err(error) if cfg!(target_vendor = "apple") && error.kind() == InvalidInput => {}
                result => result?,
            }
            match once(self) {
                Err(error) if error.kind() == Interrupted => {}
                Err(error) if matches!(error.kind(), WouldBlock | TimedOut) => {
                    return Err(Error::Timeout(Timeout::Global));
                }
                result => return Ok(result?),
            }
        }
    }
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        let mut sent = 0;
        while sent < amount {
            sent += self.within_the_time(TcpStream::set_write_timeout, |socket| {
                match socket.stream.write(&socket.buffers.output()[sent..amount])? {
                    0 => Err(WriteZero.into()),
                    count => Ok(count),
                }
            })?;
        }
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let count = self.within_the_time(TcpStream::set_read_timeout, |socket| {
            socket.stream.read(socket.buffers.input_append_buf())
        })?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    /// No connection is used twice.
    fn is_open(&mut self) -> bool {
        false
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
            unveil: Unveil::default(),
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
    unveil: Unveil,
    cover: Cover,
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
            self.unveil.unveil(output, self.wire.hidden());
            let sent = self.inner.transmit_output(now.len(), timeout);
            // Its buffer is not wiped otherwise, whatever became of it.
            self.inner.buffers().output()[..now.len()].zeroize();
            sent?;
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
