//! A bad network between the service and a broker that is well.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::kafka::{Cluster, KafkaConfig, KafkaLog};
use aggregator_service::ports::TradeLog;
use rskafka::client::partition::Compression;
use rskafka::record::Record;

use crate::service::{PATIENCE, Service};
use crate::site;
use crate::stage::{Stage, logged, stop};
use crate::topic::{Topic, now};
use support::kafka::topic::noise;
use support::proxy::{Proxy, Weather};

pub(crate) fn connections_that_are_slow_trickle_are_cut_or_refused_cost_nothing() {
    let (mut stage, proxy) = behind("weather", 0);
    let records = stage.plan();
    let service = stage.service();
    service.ready();
    let mut slices = records.chunks(records.len().div_ceil(4));
    let mut slice = || slices.next().unwrap();
    stage.load_while(slice(), |stage| {
        proxy.weather(Weather::Slow(Duration::from_millis(50)));
        stage.ticks(&service, 1);
    });
    proxy.weather(Weather::Clear);
    stage.load_while(slice(), |_| {
        for _ in 0..10 {
            let before = proxy.accepted();
            proxy.cut();
            service.until("a new connection", || proxy.accepted() > before);
        }
    });
    stage.load_while(slice(), |_| {
        proxy.weather(Weather::Refuse);
        proxy.cut();
        service.until("it to say so", || {
            let (status, body) = service.get("/readyz").unwrap();
            status == 503 && body.contains("kafka: ") && body.contains("publishing: ")
        });
    });
    proxy.weather(Weather::Clear);
    stage.load_while(slice(), |stage| {
        proxy.weather(Weather::Trickle(20_000));
        stage.ticks(&service, 1);
    });
    proxy.weather(Weather::Clear);
    let quiet = stage.quiet(&service);
    service.ready();
    stage.ticks(&service, 1);
    assert!(!logged(&service, "WARN", "reading waits for the brokers").is_empty());
    assert!(!logged(&service, "WARN", PUBLISHING_WAITS).is_empty());
    assert!(service.figure("publish_errors_total") > 0.0);
    stop(service);
    stage.judge(quiet, true);
}

pub(crate) fn connections_that_swallow_everything_cost_nothing() {
    let (stage, proxy) = behind("swallow", 1);
    swallowed(stage, proxy, Weather::Swallow);
}

pub(crate) fn connections_that_swallow_replies_cost_nothing() {
    let (stage, proxy) = behind("replies", 2);
    swallowed(stage, proxy, Weather::SwallowReplies);
}

/// The connections of that time stay deaf; new ones pass when it is over.
fn swallowed(mut stage: Stage, proxy: &Proxy, weather: Weather) {
    let records = stage.plan();
    let service = stage.service();
    service.ready();
    let (back_ms, back) = stage.load_while(&records, |stage| {
        stage.ticks(&service, 1);
        proxy.weather(weather);
        let since = Instant::now();
        while since.elapsed() < SWALLOWED {
            assert_eq!(service.get("/livez").unwrap().0, 200, "live");
            std::thread::sleep(LOOK);
        }
        proxy.weather(Weather::Clear);
        (now().timestamp_millis(), Instant::now())
    });
    service.until("a message", || stage.said().iter().any(|one| one.at_ms > back_ms));
    println!("{weather:?}: the first message came {:?} after it was over", back.elapsed());
    let quiet = stage.quiet(&service);
    service.ready();
    stage.ticks(&service, 1);
    told(&service);
    stop(service);
    stage.judge(quiet, true);
}

pub(crate) fn a_backlog_is_read_over_a_connection_that_trickles() {
    let site = site::shared();
    let proxy = &site.proxies[3];
    let topic = Topic::reach(&site.broker.config(), "trickle");
    for _ in 0..BACKLOG {
        let value = Some(noise(RECORD_BYTES));
        let record = Record { key: None, value, headers: BTreeMap::new(), timestamp: now() };
        topic.produce(0, vec![record], Compression::NoCompression);
    }
    // All of it at once takes 12 s, more than one fetch has.
    proxy.weather(Weather::Trickle(250_000));
    let config = KafkaConfig { brokers: vec![proxy.addr()], ..site.broker.config() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reading = async {
        let log = KafkaLog::new(Cluster::connect(config, PATIENCE).await.unwrap(), "trickle");
        let mut next = Offset(0);
        while next < Offset(BACKLOG) {
            next = log.fetch(Partition(0), next).await.map_or(next, |fetched| fetched.next);
        }
    };
    let within = async { tokio::time::timeout(PATIENCE, reading).await };
    runtime.block_on(within).expect("the backlog is read");
}

fn told(service: &Service) {
    assert!(!logged(service, "WARN", "reading waits for the brokers").is_empty());
    assert!(!logged(service, "WARN", PUBLISHING_WAITS).is_empty());
    for figure in ["fetch_errors_total", "publish_errors_total"] {
        assert!(service.figure(figure) > 0.0, "{figure}");
    }
}

/// A stage whose service reaches the shared broker through a proxy of its own.
fn behind(name: &str, at: usize) -> (Stage, &'static Proxy) {
    let site = site::shared();
    let mut stage = Stage::set(name, site.broker.config());
    let proxy = &site.proxies[at];
    stage.brokers = proxy.addr();
    (stage, proxy)
}

/// Records of the backlog, and bytes of each.
const BACKLOG: i64 = 60;
const RECORD_BYTES: usize = 50_000;
/// Longer than a fetch is waited for.
const SWALLOWED: Duration = Duration::from_secs(15);
/// Between two looks at a service that waits.
const LOOK: Duration = Duration::from_millis(200);
const PUBLISHING_WAITS: &str = "publishing waits: the newest message of each token is kept";
