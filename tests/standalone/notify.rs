//! What systemd is told, on a socket in its place.

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::{BINARY, until, variables};
use support::harness::service::{PATIENCE, Service};
use support::redis::RedisServer;

/// Where systemd would listen.
struct Ear {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Ear {
    /// Waits for a message of which `wanted` holds.
    fn hears(&mut self, what: &str, wanted: impl Fn(&str) -> bool) {
        let mut bytes = [0; 4_096];
        until(what, || {
            while let Ok(length) = self.socket.recv(&mut bytes) {
                let message = String::from_utf8(bytes[..length].to_vec()).unwrap();
                self.heard.push(message.trim_end().to_owned());
                if wanted(message.trim_end()) {
                    return true;
                }
            }
            false
        });
    }

    fn hears_exactly(&mut self, message: &str) {
        self.hears(message, |heard| heard == message);
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("systemd heard: {:#?}", self.heard);
        }
    }
}

#[test]
fn systemd_hears_what_is_waited_for_then_ready_then_alive_and_that_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut ear = Ear { socket, heard: Vec::new() };
    let mut redis = RedisServer::start();
    let mut environment = variables("notify", &redis.addr());
    let path = dir.path().join("notify").to_str().unwrap().to_owned();
    environment.push(("NOTIFY_SOCKET".to_owned(), path));
    environment.push(("WATCHDOG_USEC".to_owned(), "400000".to_owned()));
    redis.kill();
    let service = Service::start(Path::new(BINARY), &environment);

    let waits = |message: &str| message.starts_with("STATUS=starting; checkpoint: waiting for it");
    ear.hears("word of what is waited for", waits);
    ear.hears_exactly("WATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000");
    assert!(!ear.heard.iter().any(|message| message.contains("READY=1")), "{:#?}", ear.heard);

    redis.restart();
    ear.hears_exactly("READY=1\nSTATUS=running");
    assert_eq!(service.get("/readyz").unwrap().0, 200);
    for _ in 0..3 {
        ear.hears_exactly("WATCHDOG=1");
    }

    redis.kill();
    ear.hears("word of Redis", |message| message.starts_with("STATUS=checkpoint: "));
    redis.restart();
    ear.hears_exactly("STATUS=running");

    service.terminate();
    ear.hears_exactly("STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=15000000");
    assert_eq!(service.exit_code(PATIENCE), 0);
    assert!(ear.socket.recv(&mut [0; 1]).is_err(), "more was said after the last word");
    let ready = ear.heard.iter().filter(|message| message.contains("READY=1")).count();
    assert_eq!(ready, 1, "{:#?}", ear.heard);
}

#[test]
fn where_nobody_listens_one_line_says_so_and_the_service_goes_on() {
    let mut environment = variables("unheard", "127.0.0.1:1");
    environment.push(("NOTIFY_SOCKET".to_owned(), "/nobody/listens".to_owned()));
    let service = Service::start(Path::new(BINARY), &environment);
    service.until("it to be alive", || service.get("/livez").is_some_and(|(code, _)| code == 200));
    service.until("a line about it", || service.log().contains("systemd cannot be told"));
    service.terminate();
    assert_eq!(service.exit_code(PATIENCE), 0);
    assert_eq!(service.log().matches("systemd cannot be told").count(), 1, "{}", service.log());
}
