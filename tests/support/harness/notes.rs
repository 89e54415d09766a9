//! What a scenario notes for the judge: the lives of the service, what was produced, and what was
//! published. Waits for what shows in the messages alone.

use std::collections::BTreeSet;

use rskafka::client::partition::Compression;

use super::judge::{self, Life, Said};
use super::service::Service;
use super::topic::{Cursor, Topic, now};
use super::workload::{self, Planned};

/// A scenario's notes.
pub struct Notes {
    /// Where messages are published.
    pub aggregates: Topic,
    /// Seconds between ticks.
    pub interval: i64,
    pub lives: Vec<Life>,
    pub planned: Vec<Planned>,
    said: Vec<Said>,
    cursor: Cursor,
    rounds: usize,
}

impl Notes {
    pub fn new(aggregates: Topic, interval: i64) -> Self {
        Self {
            aggregates,
            interval,
            lives: Vec::new(),
            planned: Vec::new(),
            said: Vec::new(),
            cursor: Cursor::default(),
            rounds: 0,
        }
    }

    /// A life of the service begins; what is published from now on is its own.
    pub fn life(&mut self, trades: &Topic) {
        let ends = trades.ends();
        self.lives.push(Life { since_ms: now().timestamp_millis(), ends });
    }

    /// A record of trades of the second `at` that marks a place of the log, and its tokens.
    pub fn next_mark(&mut self, at: i64) -> (Planned, Vec<String>) {
        self.rounds += 1;
        let mark = workload::mark(self.rounds, at);
        self.planned.push(mark.clone());
        (mark, workload::marks(self.rounds))
    }

    /// Marks the end of every partition; answers the tokens and how many of them there are.
    pub fn mark(&mut self, trades: &Topic, at: i64) -> (Vec<String>, usize) {
        let (mark, tokens) = self.next_mark(at);
        for partition in 0..trades.count() {
            trades.produce(partition, vec![mark.record()], Compression::Snappy);
        }
        (tokens, trades.count())
    }

    /// Waits until all that was produced is counted; answers the first tick's second that tells so.
    pub fn quiet(&mut self, service: &Service, trades: &Topic) -> i64 {
        let (tokens, times) = self.mark(trades, now().timestamp() - 1);
        self.heard(service, &tokens, times)
    }

    /// Waits until a mark that stands so often in the log is counted; answers the first tick's
    /// second that tells so.
    pub fn heard(&mut self, service: &Service, tokens: &[String], times: usize) -> i64 {
        let mut quiet = None;
        service.until("everything to be counted", || {
            let said = self.said();
            let counted = |one: &&Said| one.trades() >= times as u64;
            let seen = |token: &String| {
                said.iter().filter(|one| one.token == *token).find(counted).map(|one| one.end)
            };
            quiet = tokens.iter().map(seen).collect::<Option<Vec<_>>>();
            quiet.is_some()
        });
        quiet.into_iter().flatten().max().unwrap()
    }

    /// Waits for `count` whole ticks from now on.
    pub fn ticks(&mut self, service: &Service, count: usize) {
        let since = now().timestamp_millis();
        service.until("ticks", || {
            let later = self.said().iter().filter(|one| one.at_ms >= since).map(|one| one.end);
            // The first and the last may not be whole.
            later.collect::<BTreeSet<_>>().len() >= count + 2
        });
    }

    /// Everything published so far.
    pub fn said(&mut self) -> &[Said] {
        let stored = self.aggregates.read(&mut self.cursor);
        self.said.extend(stored.iter().map(|one| judge::said(one, self.interval)));
        &self.said
    }

    /// As [`said`](Self::said), with what the judge needs beside it.
    pub fn heard_of(&mut self) -> (&[Said], &[Life], &[Planned]) {
        self.said();
        (&self.said, &self.lives, &self.planned)
    }
}
