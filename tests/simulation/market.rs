//! Who trades, and what was told: every record that ever stood in the log, whatever became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::time::WallMs;
use aggregator_service::ports::{Clock, Record};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::plan::Outage;
use crate::world::{MARKER, POISON, World};
use support::oracle::Told;

/// Partition, offset, index in the array.
pub(crate) type Place = (i32, i64, Option<u32>);

/// All that was told.
#[derive(Default)]
pub(crate) struct Market {
    /// Valid trades, with the shard of their token.
    pub(crate) told: Vec<(u16, Told)>,
    /// What no trade can be read from.
    pub(crate) bad: BTreeSet<Place>,
    /// The shards of those that have a token.
    pub(crate) owners: BTreeMap<Place, u16>,
    /// Records that are no array.
    singles: BTreeSet<(i32, i64)>,
}

impl Market {
    /// No trade may count in this world: each is as bad as the others.
    pub(crate) fn call_all_bad(&mut self) {
        self.bad.extend(self.told.iter().map(|(_, told)| {
            let (partition, offset, index) = told.position;
            let single = self.singles.contains(&(partition, offset));
            (partition, offset, (!single).then_some(index))
        }));
    }
}

impl World {
    /// Appends records at random moments.
    pub(crate) async fn trade(self: Arc<Self>, during_ms: u32, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let until = self.elapsed_ms() + i64::from(during_ms);
        while self.elapsed_ms() < until {
            if !self.is_out(Outage::Topic) {
                self.append(&mut rng);
            }
            let quiet = if rng.random_ratio(1, 40) { 3_000 } else { 60 };
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..quiet))).await;
        }
    }

    fn append(&self, rng: &mut StdRng) {
        let partition = rng.random_range(0..self.partitions.load(SeqCst));
        let mut market = self.market.lock().unwrap();
        match rng.random_range(0..150) {
            0 => {
                let offset = self.put(partition, POISON.into());
                market.bad.insert((partition, offset, None));
            }
            1..=3 => {
                self.put(partition, MARKER.into());
            }
            _ => self.append_trades(rng, partition, &mut market),
        }
    }

    fn append_trades(&self, rng: &mut StdRng, partition: i32, market: &mut Market) {
        let count = if rng.random_bool(0.5) { 1 } else { rng.random_range(0..6) };
        let mut elements = Vec::new();
        let mut trades = Vec::new();
        let mut bad = Vec::new();
        for index in 0..count {
            if rng.random_ratio(1, 30) {
                // Whose dead letter it is depends on whether its token is one.
                let token = ["", "token-1", "token-2", "token-3"][rng.random_range(0..4)];
                let of_token = || self.shards.of_token(token).0;
                bad.push((index, (!token.is_empty()).then(of_token)));
                elements.push(format!(r#"{{"Token":"{token}"}}"#));
            } else {
                let told = self.told(rng, partition, index);
                elements.push(told.json().to_string());
                trades.push((self.shards.of_token(&told.token).0, told));
            }
        }
        let single = count == 1 && rng.random_bool(0.5);
        let value = if single { elements.remove(0) } else { format!("[{}]", elements.join(",")) };
        let offset = self.put(partition, value.into());
        trades.iter_mut().for_each(|(_, told)| told.position.1 = offset);
        market.told.extend(trades);
        if single {
            market.singles.insert((partition, offset));
        }
        let index = |index| if single { None } else { Some(index) };
        for (at, owner) in bad {
            let place = (partition, offset, index(at));
            market.bad.insert(place);
            market.owners.extend(owner.map(|shard| (place, shard)));
        }
    }

    /// Appends a record; its offset.
    pub(crate) fn put(&self, partition: i32, value: Vec<u8>) -> i64 {
        let timestamp = Some(self.now());
        let record = Record { timestamp, value: Some(value.into()), ..Record::default() };
        let Offset(offset) = self.log.append(Partition(partition), record);
        offset
    }

    fn told(&self, rng: &mut StdRng, partition: i32, index: u32) -> Told {
        let WallMs(now) = self.now();
        let at_ms = now - rng.random_range(0..3_000) + rng.random_range(0..200);
        // Some trade all the time, some for a few seconds only.
        let token = match rng.random_range(0..4) {
            0 => format!("brief-{}", now / 4_000),
            _ => {
                let mut one = || rng.random_range(0..self.tokens);
                format!("token-{}", one().min(one()))
            }
        };
        Told {
            token,
            buy: rng.random(),
            native: format!("{}.{}", rng.random_range(0..100), rng.random_range(0..1_000)),
            amount: format!("{}e-{}", rng.random_range(0..10_000), rng.random_range(0..18)),
            price: format!("0.000{}", rng.random_range(1..1_000_000)),
            at_ns: i128::from(at_ms) * 1_000_000,
            position: (partition, 0, index),
        }
    }
}
