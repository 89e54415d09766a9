//! Asking over HTTP by hand: any method, any header, and what came back as it is.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The body, which has to be JSON.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// What is wrong, in words; nothing else may be there.
    pub(crate) fn error(&self) -> String {
        let body = self.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        body["error"].as_str().expect("a text").to_owned()
    }
}

/// Asks the one on this port; `request` is method and path.
pub(crate) fn ask(port: u16, request: &str) -> Answer {
    ask_with(port, request, &[], "")
}

/// As [`ask`], with headers and a body.
pub(crate) fn ask_with(port: u16, request: &str, headers: &[&str], body: &str) -> Answer {
    try_ask(port, request, headers, body).expect(request)
}

/// As [`ask`]; `None` where nobody listens.
pub(crate) fn ask_if_up(port: u16, request: &str) -> Option<Answer> {
    try_ask(port, request, &[], "").ok()
}

fn try_ask(port: u16, request: &str, headers: &[&str], body: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n{headers}\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    let answer = read(&mut stream)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.ok_or(std::io::ErrorKind::InvalidData)?,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

/// To the end, or to the first event where there is none.
fn read(stream: &mut TcpStream) -> std::io::Result<String> {
    let (mut answer, mut part) = (Vec::new(), [0; 65_536]);
    loop {
        let length = stream.read(&mut part)?;
        answer.extend_from_slice(&part[..length]);
        let text = String::from_utf8_lossy(&answer);
        let endless = text.contains("\r\ncontent-type: text/event-stream\r\n");
        if length == 0 || (endless && text.contains("\ndata: ")) {
            return Ok(text.into_owned());
        }
    }
}

/// Far above any answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
