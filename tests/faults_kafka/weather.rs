//! The proxy does what its weather says.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use support::proxy::{Proxy, Weather};

/// A server that answers each byte with the next higher one.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut byte = [0];
                while let Ok(1) = stream.read(&mut byte) {
                    drop(stream.write_all(&[byte[0] + 1]));
                }
            });
        }
    });
    address
}

/// Asks one byte; `None` where no answer came in time, `Some(None)` where the stream ended.
fn ask(stream: &mut TcpStream, byte: u8) -> Option<Option<u8>> {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    if stream.write_all(&[byte]).is_err() {
        return Some(None);
    }
    let mut answer = [0];
    match stream.read(&mut answer) {
        Ok(0) => Some(None),
        Ok(_) => Some(Some(answer[0])),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
        Err(_) => Some(None),
    }
}

pub(crate) fn the_proxy_does_what_its_weather_says() {
    let proxy = Proxy::to(&server());
    let connect = || TcpStream::connect(proxy.addr()).unwrap();
    let mut stream = connect();
    for weather in [Weather::Clear, Weather::Slow(Duration::from_millis(1)), Weather::Trickle(50)] {
        proxy.weather(weather);
        assert_eq!(ask(&mut stream, 1), Some(Some(2)), "{weather:?}");
    }
    for weather in [Weather::Swallow, Weather::SwallowReplies] {
        proxy.weather(weather);
        let mut swallowed = connect();
        assert_eq!(ask(&mut swallowed, 1), None, "{weather:?}");
        proxy.weather(Weather::Clear);
        assert_eq!(ask(&mut swallowed, 1), None, "never a part of a stream after {weather:?}");
        assert_eq!(ask(&mut stream, 1), Some(Some(2)), "one that swallowed nothing");
    }
    proxy.weather(Weather::Refuse);
    assert_eq!(ask(&mut connect(), 1), Some(None));
    assert_eq!(ask(&mut stream, 1), Some(Some(2)), "one that stood before");
    proxy.cut();
    assert_eq!(ask(&mut stream, 1), Some(None));
    proxy.weather(Weather::Clear);
    let mut stream = connect();
    stream.write_all(&[7]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!((rest, proxy.accepted()), (vec![8], 5));
}

const SILENCE: Duration = Duration::from_millis(300);
