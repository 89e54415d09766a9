//! The server on a socket, and how it is asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregator_service::domain::time::WallMs;
use aggregator_service::domain::token::Shards;
use aggregator_service::domain::window::{Window, Windows};
use aggregator_service::http::{
    Everyone, Facts, HttpState, LevelSet, Limits, router, serve_within,
};
use aggregator_service::metrics::Metrics;
use aggregator_service::pipeline::queries::Queries;
use aggregator_service::ports::group::seat;
use aggregator_service::ports::{NotPublished, Published, Wanted};
use aggregator_service::status::Status;
use aggregator_service::wire::aggregate::Form;
use futures::FutureExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// 2025-01-08T10:30:00Z.
pub(crate) const START: i64 = 1_736_332_200_000;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) status: Arc<Status>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<AtomicI64>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    /// What was ordered, and what is answered.
    pub(crate) orders: Arc<Mutex<Vec<Wanted>>>,
    pub(crate) answer: Arc<Mutex<Result<Published, NotPublished>>>,
}

impl Server {
    pub(crate) async fn start(limits: Limits) -> Self {
        Self::start_with(limits, None).await
    }

    pub(crate) async fn start_with(limits: Limits, admin_token: Option<&str>) -> Self {
        let status = Arc::new(Status::new(WallMs(START)));
        let metrics = Arc::new(Metrics::new().unwrap());
        let clock = Arc::new(AtomicI64::new(START));
        let orders = Arc::<Mutex<Vec<Wanted>>>::default();
        let answer = Arc::new(Mutex::new(Ok(Published::default())));
        let now = Arc::clone(&clock);
        let (placed, said) = (Arc::clone(&orders), Arc::clone(&answer));
        let windows = vec![Window { name: "1min".to_owned(), seconds: 60 }];
        let windows = Windows::new(windows).unwrap();
        let everyone = Everyone {
            here: Arc::new(Queries::default()),
            seat: seat(Shards::DEFAULT).0,
            windows: windows.clone(),
            metrics: Arc::clone(&metrics),
        };
        let state = HttpState {
            status: Arc::clone(&status),
            metrics: Arc::clone(&metrics),
            facts: Facts {
                brokers: vec!["b:9092".to_owned()],
                topic: "aggregate-info".to_owned(),
                settings: Vec::new(),
            },
            clock: Arc::new(move || WallMs(now.load(Ordering::Relaxed))),
            admin_token: admin_token.map(str::to_owned),
            publish: Arc::new(move |wanted| {
                placed.lock().unwrap().push(wanted);
                std::future::ready(said.lock().unwrap().clone()).boxed()
            }),
            market: Arc::new(everyone),
            everyone: None,
            form: Form::new(&windows),
            windows,
            log_level: Arc::new(|name| match name {
                "DEBUG" => Ok(LevelSet { level: "DEBUG", before: "INFO" }),
                other => Err(format!("level: {other:?} is not accepted; accepted: DEBUG or INFO")),
            }),
        };
        let listener = TcpListener::bind(("::", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let served = serve_within(limits, listener, router(Arc::new(state)), stop.clone());
        let task = tokio::spawn(served);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { address, status, metrics, clock, stop, task, orders, answer }
    }

    pub(crate) fn now(&self) -> WallMs {
        WallMs(self.clock.load(Ordering::Relaxed))
    }

    /// Lets time go by.
    pub(crate) fn pass(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.clock.fetch_add(millis, Ordering::Relaxed);
    }

    pub(crate) async fn ask(&self, request: &str) -> (u16, String, String) {
        let head = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        self.send(&head).await
    }

    /// Sends bytes as they are; status, head in lower case, body.
    pub(crate) async fn send(&self, bytes: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    pub(crate) async fn json(&self, path: &str) -> (u16, Value) {
        let (status, head, body) = self.ask(&format!("GET {path}")).await;
        assert!(head.contains("content-type: application/json"), "{head}");
        (status, serde_json::from_str(&body).unwrap())
    }
}
