//! The steady load: every second its share of trades, as the end-to-end test makes them, numbered
//! in a header. What could not be produced in its second follows as soon as it can.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::topic::{PARTITIONS, Topic, now};
use crate::workload::{self, Order, Planned};
use crate::world::{Settings, Shared};

/// The header that numbers a record.
pub(crate) const NUMBER: &str = "number";

/// Batches a second.
const BATCHES: usize = 12;

/// How far trades are out of order, in milliseconds.
const DISORDER_MS: i64 = 8_000;

/// Every so many seconds trades come that lie so many seconds ahead.
const AHEAD_EVERY: u64 = 7;
const AHEAD: i64 = 4;

/// In one of so many waves all tokens are traded, in the others the lower part of them: the rest
/// fall silent.
const WAVES: u64 = 8;

/// Produces until the load is over.
pub(crate) fn run(settings: &Settings, topic: &Topic, shared: &Shared) {
    let mut rng = StdRng::seed_from_u64(settings.seed);
    let (begun, begun_s) = (Instant::now(), now().timestamp());
    let mut number = 0_u64;
    for second in 0_u64.. {
        let due = Duration::from_secs(second);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        if !shared.loading.load(SeqCst) {
            return;
        }
        let all = (second / settings.wave).is_multiple_of(WAVES);
        let ahead = if second % AHEAD_EVERY == 0 { AHEAD } else { 0 };
        let from = begun_s + i64::try_from(second).unwrap() + ahead;
        let records = workload::records(&Order {
            seed: rng.random(),
            trades: settings.rate,
            tokens: if all { settings.tokens } else { settings.tokens * 3 / 5 },
            from,
            to: from + 1,
            disorder_ms: DISORDER_MS,
        });
        for (turn, batch) in (0_u32..).zip(records.chunks(records.len().div_ceil(BATCHES))) {
            let share = Duration::from_secs(1) * turn / u32::try_from(BATCHES).unwrap();
            std::thread::sleep((due + share).saturating_sub(begun.elapsed()));
            produce(batch, &mut number, topic, shared, &mut rng);
        }
    }
}

fn produce(batch: &[Planned], number: &mut u64, topic: &Topic, shared: &Shared, rng: &mut StdRng) {
    let mut numbered = BTreeMap::new();
    for plan in batch {
        let mut plan = plan.clone();
        plan.headers.insert(NUMBER.to_owned(), number.to_string().into_bytes());
        numbered.insert(*number, plan);
        *number += 1;
    }
    let records = numbered.values().map(Planned::record).collect();
    shared.plans.lock().unwrap().append(&mut numbered);
    let partition = rng.random_range(0..PARTITIONS.unsigned_abs() as usize);
    topic.produce(partition, records, workload::codec(rng));
}
