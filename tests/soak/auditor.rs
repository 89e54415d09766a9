//! The auditor: reads the log, the messages and the dead letters as they come, judges each, and
//! forgets. Its memory is that of the last minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use rskafka::record::Record;
use serde_json::Value;

use crate::judge::{self, Said};
use crate::ledger::{Finding, KEPT, Ledger};
use crate::load::NUMBER;
use crate::model::Place;
use crate::topic::{Cursor, Stored, Topic, now};
use crate::workload::{Bad, Element, Planned};
use crate::world::{Settings, Shared};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(700);

/// A tick is judged as a whole when one so many seconds later is there.
const WHOLE_AFTER: i64 = 30;

/// After a fault it takes this part of the time between two until all is calm.
const SETTLED_PART: i64 = 6;

/// Reading may be so far behind outside of faults, in milliseconds, on a machine that is shared.
const BEHIND_MS: i64 = 10_000;

/// A dead letter may be doubled by a start from Kafka alone, which goes back the longest window
/// and five minutes; seconds.
const LETTERS_KEPT: i64 = 1_200;

/// So many findings end the run: one is enough, the others help to see why.
pub(crate) const ENOUGH: u64 = 20;

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    pub(crate) produced_again: u64,
    pub(crate) trades: u64,
    pub(crate) counted: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) left_out: u64,
    pub(crate) wrong: u64,
    pub(crate) messages: u64,
    pub(crate) sent_again: u64,
    pub(crate) differing: u64,
    pub(crate) older_after_newer: u64,
    pub(crate) missing: u64,
    pub(crate) surplus: u64,
    pub(crate) closed: u64,
    pub(crate) unclosed: u64,
    pub(crate) bad: u64,
    pub(crate) letters: u64,
    pub(crate) letters_again: u64,
    pub(crate) letters_missing: u64,
    pub(crate) ticks: u64,
    pub(crate) whole_ticks: u64,
    pub(crate) ticks_missed: u64,
    pub(crate) longest_gap_ms: i64,
    pub(crate) longest_calm_gap_ms: i64,
    /// The end of the newest message.
    pub(crate) newest_end: i64,
}

impl Tally {
    /// Whether everything is as it should be.
    pub(crate) fn clean(&self) -> bool {
        self.trades == self.counted && self.findings() == 0
    }

    /// Everything that must not be.
    pub(crate) fn findings(&self) -> u64 {
        let letters = self.letters_missing;
        let messages = self.missing + self.surplus + self.unclosed + self.differing;
        self.lost + self.doubled + self.left_out + self.wrong + messages + letters
    }
}

struct Tick {
    at_ms: i64,
    by_token: BTreeMap<String, Told>,
}

/// What a message said: trades in the longest window, and a hash of all figures.
#[derive(Clone, Copy)]
struct Told {
    trades: u64,
    hash: u64,
}

/// A bad thing in the log, and whether its dead letter was seen.
struct Expected {
    bad: Bad,
    stored: Stored,
    second: i64,
    seen: bool,
}

/// The last message of a token.
struct Last {
    end: i64,
    at_ms: i64,
    closing: bool,
}

pub(crate) struct Auditor<'a> {
    settings: &'a Settings,
    shared: &'a Shared,
    ledger: Ledger,
    plans: BTreeMap<u64, (i64, Planned)>,
    ticks: BTreeMap<i64, Tick>,
    last_by_token: BTreeMap<String, Last>,
    letters: BTreeMap<Place, Expected>,
    tally: Tally,
}

impl<'a> Auditor<'a> {
    pub(crate) fn new(settings: &'a Settings, shared: &'a Shared) -> Self {
        Self {
            settings,
            shared,
            ledger: Ledger::new(&settings.spans),
            plans: BTreeMap::new(),
            ticks: BTreeMap::new(),
            last_by_token: BTreeMap::new(),
            letters: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    /// Reads and judges until told that it is over.
    pub(crate) fn run(mut self, [trades, aggregates, letters]: [&Topic; 3]) -> Tally {
        let mut cursors = [const { Cursor(Vec::new()) }; 3];
        let [of_trades, of_messages, of_letters] = &mut cursors;
        loop {
            let last = self.shared.over.load(SeqCst);
            // In this order: what a message counts is in the log before it.
            let messages = aggregates.read(of_messages);
            let dead = letters.read(of_letters);
            for stored in trades.read(of_trades) {
                self.record(stored);
            }
            for message in &messages {
                self.message(&judge::said(message, self.settings.interval));
            }
            for letter in &dead {
                self.letter(letter, &trades.name);
            }
            self.ticks(if last { 0 } else { WHOLE_AFTER });
            self.forget();
            self.publish_tally();
            if last {
                return self.end();
            }
            std::thread::sleep(LOOK);
        }
    }

    fn record(&mut self, stored: Stored) {
        self.tally.records += 1;
        let number = std::str::from_utf8(&stored.record.headers[NUMBER]).unwrap();
        let number: u64 = number.parse().unwrap();
        if let Some(plan) = self.shared.plans.lock().unwrap().remove(&number) {
            self.plans.insert(number, (now().timestamp(), plan));
        } else {
            self.tally.produced_again += 1;
        }
        let (_, plan) = self.plans.get(&number).expect("a record that was planned");
        let Stored { partition, offset, timestamp_ms, record } = stored;
        self.ledger.record(partition, offset, timestamp_ms);
        for (index, element) in (0_u32..).zip(&plan.elements) {
            match element {
                Element::Trade(told) => self.ledger.trade(told, (partition, offset, index)),
                Element::Bad(bad) => {
                    self.tally.bad += 1;
                    let place = (partition, offset, (!bad.whole).then_some(index));
                    let (key, headers) = (record.key.clone(), record.headers.clone());
                    let record = Record { key, value: None, headers, timestamp: record.timestamp };
                    let stored = Stored { partition, offset, timestamp_ms, record };
                    let second = now().timestamp();
                    let expected = Expected { bad: bad.clone(), stored, second, seen: false };
                    self.letters.insert(place, expected);
                }
            }
        }
    }

    fn message(&mut self, said: &Said) {
        self.tally.messages += 1;
        let floor = self.shared.floor(said.at_ms);
        let finding = self.ledger.judge(said, &floor);
        match finding {
            Finding::Exact => {}
            Finding::Doubled(count) => self.tally.doubled += count,
            Finding::Lost(count) => self.tally.left_out += count,
            Finding::Wrong => self.tally.wrong += 1,
        }
        if finding != Finding::Exact && self.tally.findings() < ENOUGH {
            println!("{finding:?}: {} at {}, made {}", said.token, said.end, said.at_ms);
            println!("  above {floor:?}: {}", said.data);
        }
        let trades = said.trades();
        let tick = self.ticks.entry(said.end);
        let tick = tick.or_insert_with(|| Tick { at_ms: said.at_ms, by_token: BTreeMap::new() });
        let told = Told { trades, hash: hash(&said.data) };
        if let Some(before) = tick.by_token.insert(said.token.clone(), told) {
            self.tally.sent_again += 1;
            if before.hash != told.hash {
                self.tally.differing += 1;
                println!("said otherwise before: {} at {}: {}", said.token, said.end, said.data);
            }
        }
        let last = Last { end: said.end, at_ms: said.at_ms, closing: trades == 0 };
        let before = self.last_by_token.get(&said.token);
        if before.is_some_and(|before| before.end > said.end) {
            self.tally.older_after_newer += 1;
            return;
        }
        let known = before.is_some_and(|before| {
            // What the last owner closed may be closed once more.
            !before.closing || self.shared.taken_over(before.at_ms, said.at_ms)
        });
        if trades == 0 {
            self.tally.closed += 1;
            if !known && before.is_none_or(|before| before.end != said.end) {
                self.tally.surplus += 1;
                println!("no trades, and none before: {} at {}", said.token, said.end);
            }
        }
        let missed = before
            .filter(|before| !before.closing)
            .map_or(0, |before| said.end - before.end - self.settings.interval);
        if missed > 0 {
            self.shared.missed(said, missed);
        }
        self.last_by_token.insert(said.token.clone(), last);
        self.tally.newest_end = self.tally.newest_end.max(said.end);
    }

    fn letter(&mut self, letter: &Stored, topic: &str) {
        self.tally.letters += 1;
        let place = judge::place(&letter.record);
        let expected = self.letters.get_mut(&place);
        let expected = expected.unwrap_or_else(|| panic!("nothing bad at {place:?}"));
        judge::dead_letter(&letter.record, topic, &expected.bad, &expected.stored);
        self.tally.letters_again += u64::from(std::mem::replace(&mut expected.seen, true));
    }

    /// Judges the ticks that are whole by now, each with the one before it.
    fn ticks(&mut self, whole_after: i64) {
        while let Some((before, end, newest)) = self.two_oldest() {
            if end + whole_after > newest || end == newest {
                return;
            }
            self.tick(before, end);
            self.ticks.remove(&before);
        }
    }

    fn two_oldest(&self) -> Option<(i64, i64, i64)> {
        let mut ends = self.ticks.keys();
        Some((*ends.next()?, *ends.next()?, *self.ticks.keys().next_back()?))
    }

    fn tick(&mut self, before: i64, end: i64) {
        self.tally.ticks += 1;
        let (older, newer) = (&self.ticks[&before], &self.ticks[&end]);
        let gap = newer.at_ms - older.at_ms;
        let missed = (end - before) / self.settings.interval - 1;
        self.tally.ticks_missed += u64::try_from(missed).unwrap();
        self.tally.longest_gap_ms = self.tally.longest_gap_ms.max(gap);
        let settled = i64::try_from(self.settings.fault_every.as_millis()).unwrap() / SETTLED_PART;
        if !self.shared.calm(before * 1_000 - settled, (end + self.settings.interval) * 1_000) {
            return;
        }
        self.tally.longest_calm_gap_ms = self.tally.longest_calm_gap_ms.max(gap);
        self.tally.whole_ticks += 1;
        let was_active = older.by_token.iter().filter(|(_, told)| told.trades > 0);
        let mut expected = self.ledger.active(end, end * 1_000 - BEHIND_MS);
        expected.extend(was_active.map(|(token, _)| token.as_str()));
        let found: BTreeSet<_> = newer.by_token.keys().map(String::as_str).collect();
        let missing: Vec<_> = expected.difference(&found).collect();
        if !missing.is_empty() {
            self.tally.missing += u64::try_from(missing.len()).unwrap();
            println!("no message at {end} of {} tokens: {:?}", missing.len(), missing.first());
        }
    }

    fn forget(&mut self) {
        let now = now().timestamp();
        for token in self.ledger.forget(now) {
            if !self.last_by_token.remove(&token).is_some_and(|last| last.closing) {
                self.tally.unclosed += 1;
                println!("never closed: {token}");
            }
        }
        self.plans.retain(|_, (second, _)| now - *second < KEPT);
        let missing = &mut self.tally.letters_missing;
        self.letters.retain(|place, expected| {
            let kept = now - expected.second < LETTERS_KEPT;
            if !kept && !expected.seen {
                *missing += 1;
                println!("no dead letter of {place:?}");
            }
            kept
        });
    }

    fn publish_tally(&mut self) {
        self.tally.trades = self.ledger.noted;
        self.tally.counted = self.ledger.shown;
        self.tally.lost = self.ledger.lost;
        *self.shared.tally.lock().unwrap() = self.tally.clone();
    }

    fn end(mut self) -> Tally {
        let missing = self.letters.values().filter(|expected| !expected.seen).count();
        self.tally.letters_missing += u64::try_from(missing).unwrap();
        let unshown = self.ledger.unshown();
        if !unshown.is_empty() {
            println!("in no message: {unshown:?}");
        }
        self.tally.lost = self.tally.trades - self.tally.counted;
        assert!(self.shared.plans.lock().unwrap().is_empty(), "the log holds every record");
        self.tally
    }
}

fn hash(data: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    data.to_string().hash(&mut hasher);
    hasher.finish()
}
