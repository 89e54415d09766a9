//! The oracle of an endless log, in bounded memory: the trades of the last minutes by token, told
//! by the same arithmetic as the end-to-end test's model. It finds, for a message, up to where the
//! log was read when it was made: figures are exact if they are those of all trades below one
//! position of each partition, and of no others.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::str::FromStr;

use bigdecimal::BigDecimal;
use serde_json::Value;

use crate::judge::Said;
use crate::model::{Entry, aggregate_data, held, units};
use crate::topic::PARTITIONS;
use support::oracle::{self, Known, Span, Told};

/// One past what was read, by partition.
pub(crate) type Positions = [i64; PARTITIONS as usize];

/// Sells, buys, their native volumes, USD: what tells one set of trades from another.
type Sums = [i128; 5];

/// How far before a message reading may have been, in milliseconds: the nearest is tried first.
const LOOKS_BACK: [i64; 4] = [2_000, 15_000, 60_000, i64::MAX / 2];

/// Trades are kept for so long after they left the longest window, in seconds: what is still under
/// way by then has been given up.
pub(crate) const KEPT: i64 = 180;

/// The trades of the last minutes.
pub(crate) struct Ledger {
    spans: Vec<Span>,
    longest: i64,
    tokens: BTreeMap<String, Vec<Held>>,
    /// Of each partition's records, in order: when they were stamped at the latest, and where.
    stamps: [VecDeque<(i64, i64)>; PARTITIONS as usize],
    /// Trades that stood in the log.
    pub(crate) noted: u64,
    /// Those that an exact message has counted.
    pub(crate) shown: u64,
    /// Those that were forgotten before one had.
    pub(crate) lost: u64,
}

struct Held {
    entry: Entry,
    known: Known,
    /// The end of the first message that counted it.
    shown: Option<i64>,
}

impl std::borrow::Borrow<Entry> for Held {
    fn borrow(&self) -> &Entry {
        &self.entry
    }
}

/// What a message turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Exactly the trades below one position of each partition.
    Exact,
    /// It counts more trades than there are.
    Doubled(u64),
    /// It leaves trades out.
    Lost(u64),
    /// The trades are there, the figures are others.
    Wrong,
}

impl Ledger {
    pub(crate) fn new(spans: &[Span]) -> Self {
        let longest = spans.iter().map(|(_, length)| *length).max().unwrap();
        let (tokens, stamps) = (BTreeMap::new(), Default::default());
        Self { spans: spans.to_vec(), longest, tokens, stamps, noted: 0, shown: 0, lost: 0 }
    }

    /// A record that stands in the log, trades or not.
    pub(crate) fn record(&mut self, partition: i32, offset: i64, stamp_ms: i64) {
        let stamps = &mut self.stamps[at(partition)];
        let latest = stamps.back().map_or(stamp_ms, |(latest, _)| stamp_ms.max(*latest));
        stamps.push_back((latest, offset));
    }

    /// A trade that stands in the log.
    pub(crate) fn trade(&mut self, told: &Told, position: (i32, i64, u32)) {
        self.noted += 1;
        let held = Held::new(told, position);
        let entries = self.tokens.entry(told.token.clone()).or_default();
        let place = entries.partition_point(|other| other.entry.order < held.entry.order);
        entries.insert(place, held);
    }

    /// Judges a message of a process that had read the log up to `floor` before it published.
    pub(crate) fn judge(&mut self, said: &Said, floor: &Positions) -> Finding {
        let longest = self.spans.iter().position(|(_, length)| *length == self.longest).unwrap();
        let target = sums_of(&said.data[longest]);
        let empty = Vec::new();
        let entries = self.tokens.get(&said.token).unwrap_or(&empty);
        let inside = held(entries, self.longest, said.end);
        let most = self.stamped_after(said.at_ms);
        let found = LOOKS_BACK.iter().find_map(|back| {
            let least = larger(self.stamped_from(said.at_ms.saturating_sub(*back)), floor);
            split(inside, &target, &least, &larger(most, &least))
        });
        let Some(read) = found else {
            let below = |ends: &Positions| {
                let count = inside.iter().filter(|held| below(&held.entry, ends)).count();
                i128::try_from(count).unwrap()
            };
            let (said, least, most) = (target[0] + target[1], below(floor), below(&most));
            return match () {
                () if said > most => Finding::Doubled(u64::try_from(said - most).unwrap()),
                () if said < least => Finding::Lost(u64::try_from(least - said).unwrap()),
                () => Finding::Wrong,
            };
        };
        let counted: Vec<_> = entries.iter().filter(|held| below(&held.entry, &read)).collect();
        if !oracle::same(&said.data, &figures(&self.spans, &counted, said.end)) {
            return Finding::Wrong;
        }
        // What was counted before stays counted, whoever publishes.
        let counted = |held: &&Held| held.shown.is_some_and(|end| end <= said.end);
        let back = inside.iter().filter(counted).filter(|held| !below(&held.entry, &read)).count();
        if back > 0 {
            return Finding::Lost(u64::try_from(back).unwrap());
        }
        self.show(said, &read);
        Finding::Exact
    }

    fn show(&mut self, said: &Said, read: &Positions) {
        for held in self.tokens.get_mut(&said.token).into_iter().flatten() {
            let second = held.entry.second;
            let inside = said.end - self.longest < second && second <= said.end;
            if inside && held.shown.is_none() && below(&held.entry, read) {
                held.shown = Some(said.end);
                self.shown += 1;
            }
        }
    }

    /// Tokens with a trade in the longest window that ends at `end`, of records that were stamped
    /// before `ms`.
    pub(crate) fn active(&self, end: i64, ms: i64) -> BTreeSet<&str> {
        let read = self.stamped_from(ms);
        let active = |entries: &Vec<Held>| {
            held(entries, self.longest, end).iter().any(|held| below(&held.entry, &read))
        };
        let active = self.tokens.iter().filter(|(_, entries)| active(entries));
        active.map(|(token, _)| token.as_str()).collect()
    }

    /// Forgets what no message can hold any more; answers the tokens that are silent now.
    pub(crate) fn forget(&mut self, now: i64) -> Vec<String> {
        let horizon = now - self.longest - KEPT;
        let mut silent = Vec::new();
        for (token, entries) in &mut self.tokens {
            let old = entries.partition_point(|held| held.entry.second <= horizon);
            let lost = entries.drain(..old).filter(|held| held.shown.is_none()).count();
            self.lost += u64::try_from(lost).unwrap();
            if entries.is_empty() {
                silent.push(token.clone());
            }
        }
        for token in &silent {
            self.tokens.remove(token);
        }
        for stamps in &mut self.stamps {
            while stamps.front().is_some_and(|(stamp, _)| *stamp <= horizon * 1_000) {
                stamps.pop_front();
            }
        }
        silent
    }

    /// Some of the trades that no message has shown.
    pub(crate) fn unshown(&self) -> Vec<String> {
        let all = self.tokens.iter().flat_map(|(token, held)| held.iter().map(move |h| (token, h)));
        let all = all.filter(|(_, held)| held.shown.is_none()).take(5);
        all.map(|(token, held)| format!("{token} {:?}", held.entry.order)).collect()
    }

    /// Where the first record stands that was stamped at `ms` or later.
    fn stamped_from(&self, ms: i64) -> Positions {
        self.first(|stamp| stamp >= ms)
    }

    fn stamped_after(&self, ms: i64) -> Positions {
        self.first(|stamp| stamp > ms)
    }

    fn first(&self, is: impl Fn(i64) -> bool) -> Positions {
        std::array::from_fn(|partition| {
            let stamps = &self.stamps[partition];
            let place = stamps.partition_point(|(stamp, _)| !is(*stamp));
            let end = stamps.back().map_or(0, |(_, offset)| offset + 1);
            stamps.get(place).map_or(end, |(_, offset)| *offset)
        })
    }
}

impl Held {
    fn new(told: &Told, position: (i32, i64, u32)) -> Self {
        let known = Told { position, ..told.clone() }.known();
        Self { entry: Entry::new(told, position), known, shown: None }
    }
}

/// `aggregate_data` with the extended figures, of one token's trades, which are in order.
fn figures(spans: &[Span], held: &[&Held], end: i64) -> Value {
    let entries: Vec<_> = held.iter().map(|held| &held.entry).collect();
    let mut data = aggregate_data(spans, &entries, end);
    let longest = spans.iter().map(|(_, length)| *length).max().unwrap();
    // The last one before them tells the price.
    let from = held.partition_point(|held| held.entry.second <= end - longest).saturating_sub(1);
    let known: Vec<Known> = held[from..].iter().map(|held| held.known.clone()).collect();
    let extended = oracle::extended(&known, spans, end);
    for (window, extended) in data.as_array_mut().unwrap().iter_mut().zip(extended) {
        let Value::Object(extended) = extended else { panic!("an object") };
        window.as_object_mut().unwrap().extend(extended);
    }
    data
}

/// Which positions between `least` and `most` the sums of all trades below them are `target` at.
fn split(inside: &[Held], target: &Sums, least: &Positions, most: &Positions) -> Option<Positions> {
    let mut rest = *target;
    let mut steps: [BTreeMap<i64, Sums>; PARTITIONS as usize] = Default::default();
    for held in inside {
        let (partition, offset, _) = held.entry.order.1;
        let sums = of(&held.entry);
        if offset < least[at(partition)] {
            rest = minus(&rest, &sums);
        } else if offset < most[at(partition)] {
            let step = steps[at(partition)].entry(offset).or_default();
            *step = plus(step, &sums);
        }
    }
    let mut choices = steps.iter().zip(least).map(|(steps, least)| {
        let mut choices = vec![(*least, Sums::default())];
        for (offset, sums) in steps {
            let so_far = plus(&choices.last().unwrap().1, sums);
            choices.push((offset + 1, so_far));
        }
        choices
    });
    let [first, second, third] = [(); PARTITIONS as usize].map(|()| choices.next().unwrap());
    let third: HashMap<Sums, i64> = third.iter().map(|(end, sums)| (*sums, *end)).collect();
    first.iter().find_map(|(first, sums)| {
        let rest = minus(&rest, sums);
        second.iter().find_map(|(second, sums)| {
            let third = third.get(&minus(&rest, sums))?;
            Some([*first, *second, *third])
        })
    })
}

fn below(entry: &Entry, ends: &Positions) -> bool {
    let (partition, offset, _) = entry.order.1;
    offset < ends[at(partition)]
}

fn of(entry: &Entry) -> Sums {
    match entry.buy {
        false => [1, 0, entry.native, 0, entry.usd],
        true => [0, 1, 0, entry.native, entry.usd],
    }
}

fn sums_of(item: &Value) -> Sums {
    let count = |name: &str| i128::from(item[name].as_u64().unwrap());
    let volume = |name: &str| units(&BigDecimal::from_str(item[name].as_str().unwrap()).unwrap());
    [
        count("sell_count"),
        count("buy_count"),
        volume("sell_volume"),
        volume("buy_volume"),
        volume("volume_usd"),
    ]
}

fn plus(left: &Sums, right: &Sums) -> Sums {
    std::array::from_fn(|place| left[place] + right[place])
}

fn minus(left: &Sums, right: &Sums) -> Sums {
    std::array::from_fn(|place| left[place] - right[place])
}

fn larger(left: Positions, right: &Positions) -> Positions {
    std::array::from_fn(|partition| left[partition].max(right[partition]))
}

fn at(partition: i32) -> usize {
    usize::try_from(partition).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: i64 = 1_700_000_000;
    const SPANS: [Span; 2] = [("10s", 10), ("1min", 60)];

    /// A trade of each second of the last 30, in partitions in turn, a record each.
    fn log() -> Vec<(Told, (i32, i64, u32))> {
        let told = |at: i64| Told {
            token: "a".to_owned(),
            buy: at % 2 == 0,
            native: format!("{}.5", at * at),
            amount: at.to_string(),
            price: "2".to_owned(),
            at_ns: i128::from(END - 29 + at) * 1_000_000_000,
            position: (0, 0, 0),
        };
        (0..30).map(|at| (told(at), (i32::try_from(at % 3).unwrap(), at / 3, 0))).collect()
    }

    /// What is found of a message that counts these of the trades, each so many times.
    fn finding(times: impl Fn(i64) -> usize, floor: Positions) -> Finding {
        let mut ledger = Ledger::new(&SPANS);
        let mut counted = Vec::new();
        for (at, (told, position)) in (0..).zip(log()) {
            ledger.record(position.0, position.1, (END - 29 + at) * 1_000);
            ledger.trade(&told, position);
            counted.extend((0..times(at)).map(|_| Held::new(&told, position)));
        }
        let counted: Vec<_> = counted.iter().collect();
        let data = figures(&SPANS, &counted, END);
        let (token, at_ms) = ("a".to_owned(), END * 1_000 + 5);
        ledger.judge(&Said { token, end: END, at_ms, bytes: 0, data }, &floor)
    }

    #[test]
    fn all_below_one_position_of_each_partition_is_exact_wherever_they_are() {
        assert_eq!(finding(|_| 1, [0; 3]), Finding::Exact);
        // Partition 0 was read up to its sixth record, the others to their ends.
        assert_eq!(finding(|at| usize::from(at % 3 > 0 || at < 18), [0; 3]), Finding::Exact);
        assert_eq!(finding(|at| usize::from(at % 3 == 2), [0; 3]), Finding::Exact);
    }

    #[test]
    fn one_that_is_left_out_or_counted_twice_is_found() {
        assert_eq!(finding(|at| usize::from(at != 12), [0; 3]), Finding::Wrong);
        assert_eq!(finding(|at| 1 + usize::from(at == 12), [0; 3]), Finding::Doubled(1));
        // As many as there are, but not those.
        let swapped = |at| match at {
            12 => 0,
            13 => 2,
            _ => 1,
        };
        assert_eq!(finding(swapped, [0; 3]), Finding::Wrong);
    }

    #[test]
    fn what_was_counted_once_is_not_left_out_later() {
        let mut ledger = Ledger::new(&SPANS);
        let entries: Vec<_> = log()
            .into_iter()
            .map(|(told, position)| {
                ledger.record(position.0, position.1, told.second() * 1_000);
                ledger.trade(&told, position);
                Held::new(&told, position)
            })
            .collect();
        let mut judge = |count: usize, end: i64| {
            let counted: Vec<_> = entries[..count].iter().collect();
            let data = figures(&SPANS, &counted, end);
            let (token, at_ms) = ("a".to_owned(), END * 1_000 + 5);
            ledger.judge(&Said { token, end, at_ms, bytes: 0, data }, &[0; 3])
        };
        assert_eq!(judge(24, END), Finding::Exact);
        assert_eq!(judge(21, END + 1), Finding::Lost(3));
        assert_eq!(judge(21, END - 1), Finding::Exact, "an older one that comes later");
        assert_eq!(judge(30, END + 1), Finding::Exact);
    }

    #[test]
    fn who_began_later_has_read_what_was_there() {
        let up_to = |at| usize::from(at < 15);
        assert_eq!(finding(up_to, [5; 3]), Finding::Exact);
        assert_eq!(finding(up_to, [6, 5, 5]), Finding::Lost(1));
    }
}
