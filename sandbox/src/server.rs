//! Listeners and the registry of their threads and connections, so that all can be ended.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::stop::Stop;
use crate::text::lock;

/// How long the end of the sandbox waits for its threads; all of them end at once in practice.
const PATIENCE: Duration = Duration::from_secs(5);

/// All threads and connections of one sandbox.
#[derive(Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
    thread_ended: Condvar,
}

#[derive(Default)]
struct Inner {
    closed: bool,
    threads: usize,
    next_connection: u64,
    connections: HashMap<u64, Arc<TcpStream>>,
}

/// A thread's entry, taken out when it is dropped.
struct Entry {
    registry: Arc<Registry>,
    connection: Option<u64>,
}

impl Registry {
    /// Enters a thread, with its connection if it has one; `None` once the sandbox ends.
    fn enter(self: &Arc<Self>, connection: Option<&Arc<TcpStream>>) -> Option<Entry> {
        let mut inner = lock(&self.inner);
        if inner.closed {
            return None;
        }
        inner.threads += 1;
        let id = inner.next_connection;
        inner.next_connection += 1;
        if let Some(socket) = connection {
            inner.connections.insert(id, Arc::clone(socket));
        }
        Some(Entry { registry: Arc::clone(self), connection: connection.map(|_| id) })
    }

    /// Ends every connection, admits no more, and waits for the threads to finish.
    pub(crate) fn close(&self) {
        let mut inner = lock(&self.inner);
        inner.closed = true;
        for socket in inner.connections.values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        drop(
            self.thread_ended
                .wait_timeout_while(inner, PATIENCE, |inner| inner.threads > 0)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut inner = lock(&self.registry.inner);
        if let Some(id) = self.connection {
            inner.connections.remove(&id);
        }
        inner.threads -= 1;
        self.registry.thread_ended.notify_all();
    }
}

/// A listener on a free port of 127.0.0.1 with its accepting thread.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    socket: Arc<TcpListener>,
}

impl Listener {
    /// Listens, and serves every connection in a thread of its own.
    pub(crate) fn start(
        name: &str,
        registry: &Arc<Registry>,
        stop: &Arc<Stop>,
        serve: impl Fn(&Arc<TcpStream>) + Send + Sync + 'static,
    ) -> io::Result<Listener> {
        // The standard library's short backlog would make a burst of connections wait a second.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        socket.listen(1024)?;
        let socket = Arc::new(TcpListener::from(socket));
        let address = socket.local_addr()?;

        let entry =
            registry.enter(None).ok_or_else(|| io::Error::other("the sandbox has ended"))?;
        let (listening, stop) = (Arc::clone(&socket), Arc::clone(stop));
        let name = format!("sandbox {name}");
        let connection_name = name.clone();
        let serve = Arc::new(serve);
        thread::Builder::new().name(name).spawn(move || {
            let registry = Arc::clone(&entry.registry);
            while !stop.is_stopped() {
                let Ok((stream, _)) = listening.accept() else {
                    // Out of file descriptors, most likely: do not spin.
                    stop.pause(Duration::from_millis(10));
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let stream = Arc::new(stream);
                let Some(connection) = registry.enter(Some(&stream)) else {
                    break;
                };
                let serve = Arc::clone(&serve);
                let builder = thread::Builder::new().name(connection_name.clone());
                // If no thread can be had, the entry and the connection end right here.
                let _ = builder.spawn(move || {
                    serve(&stream);
                    drop(stream);
                    drop(connection);
                });
            }
            drop(entry);
        })?;
        Ok(Listener { address, socket })
    }

    /// Wakes the accepting thread, which then sees that the sandbox ends.
    pub(crate) fn wake(&self) {
        // On Linux this ends a waiting accept; elsewhere the connection does.
        let _ = SockRef::from(&*self.socket).shutdown(Shutdown::Both);
        drop(TcpStream::connect_timeout(&self.address, Duration::from_millis(500)));
    }
}
