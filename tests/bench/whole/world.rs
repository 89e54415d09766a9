//! Where it all happens: one broker, one Redis, and the service as a child process. Which program
//! that is, and how its figures are read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rskafka::client::ClientBuilder;

use crate::args::Args;
use crate::gaps::Gaps;
use support::harness::service::Service;
use support::kafka::{KafkaBroker, free_ports};
use support::proxy::Proxy;
use support::redis::RedisServer;

/// A build of the service.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
}

impl Program {
    /// The one that is named, else this tree's static one, built anew where the tree has changed:
    /// no figure is of another tree than it seems.
    pub(crate) fn of(args: &Args) -> Self {
        let path = args.binary.clone().unwrap_or_else(|| {
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let built = Command::new(env!("CARGO")).arg("static").current_dir(root).status();
            assert!(built.is_ok_and(|status| status.success()), "cargo static");
            root.join("target/x86_64-unknown-linux-musl/release/aggregator-service")
        });
        Self::at(&path)
    }

    pub(crate) fn at(path: &Path) -> Self {
        // Relative ones are meant from here, and the service starts in a folder of its own.
        let path = path.canonicalize();
        Self { path: path.expect("a binary of the service") }
    }
}

/// The servers.
pub(crate) struct World {
    pub(crate) kafka: KafkaBroker,
    pub(crate) redis: RedisServer,
    /// When a client behind the proxy fetched.
    pub(crate) gaps: Gaps,
    proxy: Proxy,
}

impl World {
    pub(crate) fn start() -> Self {
        let [port] = free_ports();
        let gaps = Gaps::default();
        let noting = gaps.clone();
        let proxy =
            Proxy::watched(&format!("127.0.0.1:{port}"), move |connection, answer, piece| {
                noting.note(connection, answer, piece);
            });
        let kafka = KafkaBroker::start_for_load(&[
            ("+listeners", &format!(",PROXIED://127.0.0.1:{port}")),
            ("+advertised.listeners", &format!(",PROXIED://{}", proxy.addr())),
            ("+listener.security.protocol.map", ",PROXIED:PLAINTEXT"),
        ]);
        Self { kafka, redis: RedisServer::start(), gaps, proxy }
    }

    /// Starts the service over `<name>-trades`, publishing every second but where `more` says
    /// otherwise.
    pub(crate) fn service(&self, program: &Program, name: &str, more: &[(&str, &str)]) -> Service {
        Service::start(&program.path, &self.variables(name, more))
    }

    /// As [`Self::service`], on the first `cores` cores alone.
    pub(crate) fn service_on(
        &self,
        program: &Program,
        name: &str,
        more: &[(&str, &str)],
        cores: usize,
    ) -> Service {
        let cores = format!("0-{}", cores - 1);
        let arguments = ["-c", &cores, program.path.to_str().unwrap()];
        Service::start_command("taskset".as_ref(), &arguments, &self.variables(name, more))
    }

    /// The broker's address through the proxy that notes fetches.
    pub(crate) fn proxied(&self) -> String {
        self.proxy.addr()
    }

    fn variables(&self, name: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let usual = [
            ("KAFKA_BROKERS", self.kafka.address()),
            ("REDIS_ADDR", self.redis.addr()),
            ("KAFKA_TOPIC", trades(name)),
            ("AGGREGATE_TOPIC", format!("{name}-aggregates")),
            ("DLQ_TOPIC", format!("{name}-letters")),
            ("AGGREGATE_PUBLISH_INTERVAL", "1s".to_owned()),
        ];
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        // What comes later wins.
        usual.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Forgets every checkpoint.
    pub(crate) fn forget(&self) {
        self.redis.command("FLUSHALL");
    }

    /// Gives a topic's disk back.
    pub(crate) fn delete(&self, topic: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = ClientBuilder::new(vec![self.kafka.address()]).build().await.unwrap();
            client.controller_client().unwrap().delete_topic(topic, 10_000).await.unwrap();
        });
    }
}

/// The name of the topic that a scenario's trades are in.
pub(crate) fn trades(name: &str) -> String {
    format!("{name}-trades")
}

/// The service's figures, summed over labels; `None` where nobody listens yet.
pub(crate) fn figures(service: &Service) -> Option<BTreeMap<String, f64>> {
    let (_, text) = service.get("/metrics")?;
    let mut figures = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("aggregator_")) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let name = name.split('{').next().unwrap();
        *figures.entry(name.to_owned()).or_default() += value.parse::<f64>().unwrap();
    }
    Some(figures)
}

/// Waits until so many trades are counted, and sees that none was counted as anything else.
pub(crate) fn until_counted(service: &Service, trades: usize) {
    let trades = as_f64(trades);
    let begun = Instant::now();
    loop {
        let figures = figures(service).unwrap_or_default();
        let figure = |name: &str| figures.get(name).copied().unwrap_or_default();
        let lost = figure("trades_late_total") + figure("rejected_total");
        assert!(
            lost < 0.5,
            "{lost} trades were late or rejected: what is measured is not the work"
        );
        if figure("trades_counted_total") >= trades {
            return;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{} of {trades} trades",
            figure("trades_counted_total")
        );
        std::thread::sleep(POLL);
    }
}

pub(crate) fn as_f64(count: usize) -> f64 {
    u32::try_from(count).unwrap().into()
}

/// Seldom enough that to ask costs the service nothing that shows.
const POLL: Duration = Duration::from_millis(25);
/// Far above the longest backlog on a slow machine.
const PATIENCE: Duration = Duration::from_secs(600);
