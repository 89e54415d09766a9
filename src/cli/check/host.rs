//! Looks at this host: who listens on our port, how many files may be open.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::app::SystemClock;
use crate::check::{Findings, host, host::Port};
use crate::cli::healthcheck;
use crate::config::Config;
use crate::ports::Clock;

pub(super) fn look(config: &Config) -> Findings {
    let listener = if config.metrics_enabled { listener(config.metrics_port) } else { Port::Off };
    host::host(config.metrics_port, &listener, open_files(), SystemClock.now())
}

fn listener(port: u16) -> Port {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if port != 0 && TcpStream::connect_timeout(&address, CONNECT_LIMIT).is_ok() {
        return match healthcheck::is_ours(port) {
            Ok(true) => Port::Ours,
            Ok(false) | Err(_) => Port::Taken,
        };
    }
    // Taken for a moment and given back: nobody else can say whether we may.
    let both = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port));
    match both.or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))) {
        Ok(_) => Port::Free,
        Err(error) => Port::Unusable(error.to_string()),
    }
}

/// As the kernel tells it of this process.
fn open_files() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// On this host somebody answers at once, or nobody does.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
