//! An OpenTelemetry receiver: HTTP/1.1 over a socket, with TLS or without, that keeps what it is
//! sent and answers as its mood is. Decodes with the messages that OpenTelemetry's own exporters
//! are made of.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use support::keys::Keys;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// With this status; it keeps only what it answers with 200.
    Status(u16),
    /// Not at all.
    Silent,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// A running receiver; it ends with this value.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    mood: Mutex<Mood>,
    kept: Mutex<Vec<Request>>,
    /// Those that nobody answers stay open until the end.
    silent: Mutex<Vec<TcpStream>>,
    ended: Mutex<bool>,
}

impl Receiver {
    /// On a free port, over TLS where there are keys.
    pub(crate) fn start(mood: Mood, keys: Option<&Keys>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = keys.map(tls);
        let shared = Arc::new(Shared {
            mood: Mutex::new(mood),
            kept: Mutex::default(),
            silent: Mutex::default(),
            ended: Mutex::new(false),
        });
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if *theirs.ended.lock().unwrap() {
                    return;
                }
                let (shared, tls) = (Arc::clone(&theirs), tls.clone());
                std::thread::spawn(move || match tls {
                    None => shared.serve(stream),
                    Some(tls) => {
                        let session = ServerConnection::new(tls).unwrap();
                        shared.serve(StreamOwned::new(session, stream));
                    }
                });
            }
        });
        Self { port, shared }
    }

    pub(crate) fn be(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// What it keeps, of one path.
    pub(crate) fn kept(&self, path: &str) -> Vec<Request> {
        let kept = self.shared.kept.lock().unwrap();
        kept.iter().filter(|request| request.path == path).cloned().collect()
    }

    /// Every export of figures so far.
    pub(crate) fn figures(&self, path: &str) -> Vec<ExportMetricsServiceRequest> {
        let decode = |request: &Request| ExportMetricsServiceRequest::decode(&*request.body);
        self.kept(path).iter().map(|request| decode(request).unwrap()).collect()
    }

    /// Every span so far.
    pub(crate) fn spans(&self, path: &str) -> Vec<Span> {
        let decode = |request: &Request| ExportTraceServiceRequest::decode(&*request.body);
        let requests = self.kept(path);
        let resources = requests.iter().flat_map(|request| decode(request).unwrap().resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        *self.shared.ended.lock().unwrap() = true;
        self.shared.silent.lock().unwrap().clear();
        // The listener wakes up, sees that it is over, and goes.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Shared {
    /// One request; a client that breaks off has said nothing.
    fn serve<S: Read + Write + Held>(&self, stream: S) {
        let mut stream = BufReader::new(stream);
        let Some(request) = read(&mut stream) else { return };
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Silent => self.silent.lock().unwrap().push(stream.into_inner().held()),
            Mood::Status(status) => {
                if status == 200 {
                    self.kept.lock().unwrap().push(request);
                }
                let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
                drop(stream.get_mut().write_all(answer.as_bytes()));
                drop(stream.get_mut().flush());
            }
        }
    }
}

/// The socket below.
trait Held {
    fn held(self) -> TcpStream;
}

impl Held for TcpStream {
    fn held(self) -> TcpStream {
        self
    }
}

impl Held for StreamOwned<ServerConnection, TcpStream> {
    fn held(self) -> TcpStream {
        self.sock
    }
}

fn read(stream: &mut impl BufRead) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let path = lines[0].strip_prefix("POST ")?.split(' ').next()?.to_owned();
    let header = |line: &String| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let headers: HashMap<_, _> = lines[1..].iter().map(header).collect();
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    stream.read_exact(&mut body).ok()?;
    Some(Request { path, headers, body })
}

fn tls(keys: &Keys) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_file(keys.path("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(keys.path("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    Arc::new(config.with_single_cert(chain, key).unwrap())
}

/// All metrics of an export.
pub(crate) fn metrics(export: &ExportMetricsServiceRequest) -> &[Metric] {
    &export.resource_metrics[0].scope_metrics[0].metrics
}

/// Attributes as text.
pub(crate) fn attributes(attributes: &[KeyValue]) -> HashMap<String, String> {
    let text = |one: &KeyValue| {
        let value = one.value.clone().unwrap().value.unwrap();
        if let Value::IntValue(number) = value {
            return number.to_string();
        }
        let Value::StringValue(text) = value else { panic!("{value:?}") };
        text
    };
    attributes.iter().map(|one| (one.key.clone(), text(one))).collect()
}
