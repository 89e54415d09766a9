//! A TCP proxy between the service and a server, with weather: it delays, trickles, swallows,
//! refuses, and cuts connections. Never looks into what it passes; a watcher may.
//!
//! It never passes a part of a stream: a connection that swallowed a byte of one direction
//! swallows all that follows there, also when the weather is clear again, as behind a firewall
//! that forgot it. New connections pass then.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What happens to what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// It passes at once.
    Clear,
    /// Each read waits so long before it passes, in both directions.
    Slow(Duration),
    /// So many bytes a second pass in each direction of each connection.
    Trickle(usize),
    /// Connections are accepted and nothing passes.
    Swallow,
    /// Requests reach the server; its replies vanish.
    SwallowReplies,
    /// New connections are closed at once; those that stand are left alone.
    Refuse,
}

/// A proxy to one server; it ends with all its connections when it is dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    watcher: Option<Watcher>,
    sky: Mutex<Sky>,
}

/// Told what is about to pass: the connection, whether it is of a reply, the bytes.
type Watcher = Box<dyn Fn(usize, bool, &[u8]) + Send + Sync>;

#[derive(Debug)]
struct Sky {
    weather: Weather,
    over: bool,
    accepted: usize,
    /// Both ends of the connections that stand.
    open: BTreeMap<usize, [TcpStream; 2]>,
}

impl Proxy {
    /// A proxy to `host:port`, in clear weather. The server may come later.
    pub fn to(upstream: &str) -> Self {
        Self::open(upstream, None)
    }

    /// As [`Self::to`], with somebody who is told what passes.
    pub fn watched(
        upstream: &str,
        watcher: impl Fn(usize, bool, &[u8]) + Send + Sync + 'static,
    ) -> Self {
        Self::open(upstream, Some(Box::new(watcher)))
    }

    fn open(upstream: &str, watcher: Option<Watcher>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("address").port();
        let sky = Sky { weather: Weather::Clear, over: false, accepted: 0, open: BTreeMap::new() };
        let sky = Mutex::new(sky);
        let shared = Arc::new(Shared { upstream: upstream.to_owned(), watcher, sky });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accepting.accept(&listener));
        Self { port, shared }
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens: `127.0.0.1:port`.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Changes the weather, for connections that stand too.
    pub fn weather(&self, weather: Weather) {
        self.shared.sky().weather = weather;
    }

    /// Cuts every connection that stands.
    pub fn cut(&self) {
        let open = std::mem::take(&mut self.shared.sky().open);
        open.values().flatten().for_each(shut);
    }

    /// Connections accepted so far, refused ones too.
    pub fn accepted(&self) -> usize {
        self.shared.sky().accepted
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.sky().over = true;
        // Wakes the accepting thread, which ends then.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        self.cut();
    }
}

impl Shared {
    fn sky(&self) -> MutexGuard<'_, Sky> {
        self.sky.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            let (id, weather) = {
                let mut sky = self.sky();
                if sky.over {
                    return;
                }
                sky.accepted += 1;
                (sky.accepted, sky.weather)
            };
            if let Ok(client) = client
                && weather != Weather::Refuse
            {
                let shared = Arc::clone(&self);
                std::thread::spawn(move || shared.serve(id, client));
            }
        }
    }

    /// One connection, until one end closes it or it is cut.
    fn serve(&self, id: usize, client: TcpStream) {
        let Ok(server) = TcpStream::connect(&self.upstream) else {
            return;
        };
        let twin = |stream: &TcpStream| {
            stream.set_nodelay(true).expect("nodelay");
            stream.try_clone().expect("clone")
        };
        {
            let mut sky = self.sky();
            if sky.over {
                return;
            }
            sky.open.insert(id, [twin(&client), twin(&server)]);
        }
        std::thread::scope(|scope| {
            scope.spawn(|| self.pump(id, &client, &server, false));
            self.pump(id, &server, &client, true);
        });
        self.sky().open.remove(&id);
    }

    fn pump(&self, id: usize, mut from: &TcpStream, mut to: &TcpStream, replies: bool) {
        let mut buffer = vec![0; READ_BYTES];
        let mut deaf = false;
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let mut rest = &buffer[..length];
            if let Some(watcher) = &self.watcher {
                watcher(id, replies, rest);
            }
            while !rest.is_empty() && !deaf {
                let weather = self.sky().weather;
                let passing = match weather {
                    Weather::Clear | Weather::Refuse => rest.len(),
                    Weather::Slow(delay) => {
                        std::thread::sleep(delay);
                        rest.len()
                    }
                    Weather::Trickle(bytes_per_s) => {
                        std::thread::sleep(DROP);
                        (bytes_per_s / DROPS_PER_S).clamp(1, rest.len())
                    }
                    Weather::SwallowReplies if !replies => rest.len(),
                    Weather::Swallow | Weather::SwallowReplies => {
                        deaf = true;
                        break;
                    }
                };
                let (now, later) = rest.split_at(passing);
                if to.write_all(now).is_err() {
                    shut(from);
                    return;
                }
                rest = later;
            }
        }
        // A deaf connection stays open in silence: the end of a stream would be news.
        if !deaf {
            drop(to.shutdown(Shutdown::Write));
        }
    }
}

fn shut(stream: &TcpStream) {
    // An error says that it was closed already.
    drop(stream.shutdown(Shutdown::Both));
}

const READ_BYTES: usize = 64 * 1024;
/// A trickle passes in drops.
const DROPS_PER_S: usize = 20;
const DROP: Duration = Duration::from_millis(50);
