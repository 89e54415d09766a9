//! `healthcheck`: asks the instance on this host over HTTP, for containers without a shell. It
//! asks whether it is *alive*: a container must not be restarted because Kafka is away.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::app::Exit;

/// Says on stdout what the instance on `port` answers; fails unless it is alive.
pub fn check(port: u16) -> Exit {
    let (says, exit) = match ask(port) {
        Ok(true) => ("alive".to_owned(), Exit::Stopped),
        Ok(false) => ("not alive".to_owned(), Exit::Failed),
        Err(error) => (format!("nobody answers on port {port}: {error}"), Exit::Failed),
    };
    // The exit code is the answer; the words are for people.
    drop(writeln!(io::stdout(), "{says}"));
    exit
}

/// Whether the instance that answers on `port` is alive.
///
/// # Errors
/// Nobody answers in time, or what answers is not HTTP.
pub fn ask(port: u16) -> io::Result<bool> {
    let mut stream = get(port, "/livez")?;
    let mut start = [0; STATUS_BYTES];
    stream.read_exact(&mut start)?;
    match start.strip_prefix(b"HTTP/1.1 ") {
        Some(status) => Ok(status == b"200"),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Whether what answers on `port` is an instance of this service, alive or not.
///
/// # Errors
/// Nobody answers in time, or what answers is no text.
pub fn is_ours(port: u16) -> io::Result<bool> {
    let mut answer = String::new();
    get(port, "/version")?.take(VERSION_BYTES).read_to_string(&mut answer)?;
    Ok(answer.contains(r#""service":"aggregator-service""#))
}

fn get(port: u16, path: &str) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    Ok(stream)
}

/// Below the 30 s that container engines give a check; a live instance answers in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(3);

/// More than any answer to `/version` has.
const VERSION_BYTES: u64 = 16 * 1_024;

/// `HTTP/1.1 200`.
const STATUS_BYTES: usize = 12;
