//! A steady load: so many trades a second, in arrays, to every partition of a topic, each of the
//! second in which it goes out. Made beforehand but for the time, so that the load itself costs
//! little of the cores that the service is measured on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use aggregator_service::domain::position::Partition;
use aggregator_service::domain::time::WallMs;
use aggregator_service::kafka::{Cluster, KafkaProducer};
use aggregator_service::ports::{Message, Producer, Target};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::backlog::{ARRAY, Backlog};
use support::harness::topic::{Topic, now};
use support::kafka::KafkaBroker;

/// Records made beforehand.
pub(crate) struct Stream {
    templates: Vec<Template>,
}

struct Template {
    value: String,
    times: Vec<usize>,
}

impl Stream {
    /// Of so many tokens, each of them in it.
    pub(crate) fn of(tokens: usize) -> Self {
        Self::long(tokens, tokens.max(LEAST))
    }

    /// Of so many tokens, and so many different trades.
    pub(crate) fn long(tokens: usize, trades: usize) -> Self {
        let backlog = Backlog { tokens, ..Backlog::usual(0) };
        let template = |first: usize| {
            let value = backlog.value(first..first + ARRAY, EPOCH);
            let times = value.match_indices(EPOCH).map(|(at, _)| at).collect();
            Template { value, times }
        };
        Self { templates: (0..trades).step_by(ARRAY).map(template).collect() }
    }

    /// Produces `rate` trades a second while `meanwhile` lasts; how many that were.
    pub(crate) fn pour(
        &self,
        broker: &KafkaBroker,
        name: &str,
        rate: f64,
        meanwhile: impl FnOnce(),
    ) -> u64 {
        let partitions = Topic::open(broker, name).count();
        let (on, sent) = (AtomicBool::new(true), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for partition in 0..partitions {
                let (on, sent, rate) = (&on, &sent, rate / partitions as f64);
                scope.spawn(move || {
                    let mut runtime = tokio::runtime::Builder::new_current_thread();
                    let count = runtime.enable_all().build().unwrap().block_on(async {
                        let cluster = Cluster::connect(broker.config(), PATIENCE).await.unwrap();
                        let producer = KafkaProducer::new(&cluster, name, None).await.unwrap();
                        self.produce(&producer, [partition, partitions], rate, on).await
                    });
                    sent.fetch_add(count, SeqCst);
                });
            }
            let _off = Off(&on);
            meanwhile();
        });
        sent.into_inner()
    }

    /// By the service's own producer: `rskafka`'s would hold each batch back for 40 ms.
    async fn produce(
        &self,
        producer: &KafkaProducer,
        [partition, partitions]: [usize; 2],
        rate: f64,
        on: &AtomicBool,
    ) -> u64 {
        let to = Partition(i32::try_from(partition).unwrap());
        let begun = Instant::now();
        let (mut sent, mut next) = (0, partition);
        while on.load(SeqCst) {
            let due = begun.elapsed().as_secs_f64() * rate;
            if sent as f64 >= due {
                tokio::time::sleep(TURN).await;
                continue;
            }
            let timestamp = WallMs(now().timestamp_millis());
            let second = OffsetDateTime::from_unix_timestamp(now().timestamp()).unwrap();
            let time = second.format(&Rfc3339).unwrap();
            let mut batch = Vec::new();
            while (sent as f64) < due && batch.len() < MOST_RECORDS {
                let value = Some(self.templates[next].at(&time).into());
                let (key, common, headers) = (None, None, Vec::new());
                batch.push(Message { key, value, common, headers, timestamp });
                next = (next + partitions) % self.templates.len();
                sent += ARRAY as u64;
            }
            producer.produce(Target::Aggregates, to, &batch).await.unwrap();
        }
        sent
    }
}

impl Template {
    fn at(&self, time: &str) -> String {
        let mut value = self.value.clone();
        for place in &self.times {
            value.replace_range(*place..*place + time.len(), time);
        }
        value
    }
}

/// Ends the load, also where what was measured meanwhile did not come.
struct Off<'a>(&'a AtomicBool);

impl Drop for Off<'_> {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

/// Far above a connection to a broker that is there.
const PATIENCE: Duration = Duration::from_secs(20);
const EPOCH: &str = "1970-01-01T00:00:00Z";
/// As collectors send: often, and little at a time.
const TURN: Duration = Duration::from_millis(10);
/// Some 1 MB before the codec; brokers take no more in a batch, even where it saves nothing.
const MOST_RECORDS: usize = 60;
/// Trades made beforehand at least.
const LEAST: usize = 10_000;
