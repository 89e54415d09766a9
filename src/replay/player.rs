//! The event clock and what follows from it. The clock is the newest second that a trade was
//! seen in; a tick is published when the first trade after it is met, before that one counts.
//!
//! Rules, with `I` the publish interval:
//! - the first tick is the first multiple of `I` that is not before the first trade's second;
//! - tick `T` holds the trades read before it fired, with `T − D < pane ≤ T` per window;
//! - late is a trade that the longest window of the last tick (of `T − I` before the first) has
//!   lost;
//! - every multiple of `I` up to the clock is a tick, but for those at which no token is known;
//! - the end of the lines fires the last tick, the first multiple that is not before the clock.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use super::ReplayError;
use super::due::Due;
use super::lines::Line;
use crate::domain::budget::Budget;
use crate::domain::emission::Emission;
use crate::domain::position::{Offset, Partition, Position};
use crate::domain::reject::Reason;
use crate::domain::shard::{Outcome, Shard};
use crate::domain::time::{EventTime, Second, WallMs};
use crate::domain::token::Shards;
use crate::domain::trade::Trade;
use crate::domain::window::Windows;
use crate::pipeline::engine::Engine;
use crate::pipeline::route::MAX_VALUE_BYTES;
use crate::pipeline::worker::refusal;
use crate::wire::aggregate::{Form, TokenNames};
use crate::wire::extended::Chosen;
use crate::wire::trade::{Element, Elements};

/// Something that cannot count.
#[derive(Clone, Copy, Debug)]
pub struct Rejected<'a> {
    /// Number of its line, from 0: its offset.
    pub line: u64,
    /// Place in the line's array; `None` for a whole value.
    pub index: Option<u32>,
    /// Why.
    pub reason: Reason,
    /// Why, for people.
    pub message: &'a str,
    /// The element as it stands in the line, or the whole line; `None` where it was too long to
    /// be held.
    pub value: Option<&'a [u8]>,
}

/// What was met so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines, blank ones too.
    pub lines: u64,
    /// Trades that keep every rule, late ones too.
    pub trades: u64,
    /// Trades older than the longest window.
    pub late: u64,
    /// Messages written.
    pub messages: u64,
    /// Rejected things, in the order of [`Reason::ALL`].
    pub rejected: [u64; Reason::ALL.len()],
}

/// Plays lines through all shards. Messages go to `messages`, rejected things to `reject`.
pub struct Player<M, R> {
    engine: Engine,
    budget: Arc<Budget>,
    form: Form,
    windows: Windows,
    fields: Chosen,
    emission: Emission,
    /// The tick that fires next; `None` before the first trade.
    next_tick: Option<Second>,
    counts: Counts,
    messages: M,
    reject: R,
    due: Due,
    message: Vec<u8>,
}

impl<M: Write, R: FnMut(&Rejected<'_>) -> Result<(), ReplayError>> Player<M, R> {
    /// A player that has met nothing yet.
    pub fn new(
        windows: Windows,
        budget: Budget,
        emission: Emission,
        messages: M,
        reject: R,
    ) -> Self {
        let budget = Arc::new(budget);
        let mut engine = Engine::new(Shards::DEFAULT, 0, 1);
        for id in engine.shard_ids() {
            let shard = Shard::new(windows.clone(), budget.clone(), BEFORE_ALL, BEFORE_ALL);
            engine.adopt(id, shard, BTreeMap::new(), BEFORE_ALL, BEFORE_ALL);
        }
        engine.open(BEFORE_ALL);
        Self {
            engine,
            budget,
            form: Form::new(&windows),
            windows,
            fields: Chosen::STANDARD,
            emission,
            next_tick: None,
            counts: Counts::default(),
            messages,
            reject,
            due: Due::default(),
            message: Vec::new(),
        }
    }

    /// The same with these extended fields; with any, its budget has wallets.
    #[must_use]
    pub fn with(mut self, fields: Chosen) -> Self {
        self.fields = fields;
        self.form = Form::extended(&self.windows, fields);
        self
    }

    /// What was met so far.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Plays the next line. A trade after `latest` is rejected.
    ///
    /// # Errors
    /// What is written cannot be written.
    pub fn play(&mut self, line: Line<'_>, latest: EventTime) -> Result<(), ReplayError> {
        let number = self.counts.lines;
        self.counts.lines += 1;
        match line {
            Line::Text(text) if text.trim_ascii().is_empty() => Ok(()),
            Line::Text(text) => {
                let elements = Elements::of(text, Some(latest));
                let mut elements = elements.extended(self.fields.any());
                while let Some(element) = elements.read_next(None) {
                    element.map_or(Ok(()), |element| self.element(number, &element))?;
                }
                Ok(())
            }
            Line::TooLong(bytes) => self.rejected(&Rejected {
                line: number,
                index: None,
                reason: Reason::TooLarge,
                message: &format!("{bytes} bytes: at most {MAX_VALUE_BYTES} are read"),
                value: None,
            }),
        }
    }

    /// The lines have ended: the last tick.
    ///
    /// # Errors
    /// What is written cannot be written.
    pub fn finish(&mut self) -> Result<(), ReplayError> {
        self.next_tick.map_or(Ok(()), |tick| self.tick(tick))
    }

    fn element(&mut self, line: u64, element: &Element<'_>) -> Result<(), ReplayError> {
        match *element {
            Element::Trade { index, bytes, ref trade } => self.trade(line, index, bytes, trade),
            Element::Rejected { index, bytes, reason, ref message, .. } => {
                self.rejected(&Rejected { line, index, reason, message, value: Some(bytes) })
            }
        }
    }

    fn trade(
        &mut self,
        line: u64,
        index: u32,
        bytes: &[u8],
        trade: &Trade<'_>,
    ) -> Result<(), ReplayError> {
        self.tick_before(trade.at.second)?;
        let offset = Offset(i64::try_from(line).unwrap_or(i64::MAX));
        let position = Position { partition: Partition(0), offset, index };
        match self.engine.absorb_one(position, trade) {
            Outcome::Counted | Outcome::Duplicate => self.counts.trades += 1,
            Outcome::Late => {
                self.counts.trades += 1;
                self.counts.late += 1;
            }
            Outcome::Refused(reason) => {
                let (index, value) = (Some(index), Some(bytes));
                let message = refusal(reason);
                return self.rejected(&Rejected { line, index, reason, message, value });
            }
        }
        Ok(())
    }

    /// Fires the ticks that come before a trade of this second.
    fn tick_before(&mut self, second: Second) -> Result<(), ReplayError> {
        loop {
            match self.next_tick {
                Some(tick) if second <= tick => return Ok(()),
                // Nobody has anything to say until this trade: no tick in between would either.
                _ if self.budget.tokens() == 0 => {
                    let tick = first_multiple(self.interval(), second);
                    self.engine.advance(tick.plus(-self.interval()));
                    self.next_tick = Some(tick);
                }
                Some(tick) => self.tick(tick)?,
                None => return Ok(()),
            }
        }
    }

    fn tick(&mut self, tick: Second) -> Result<(), ReplayError> {
        self.engine.advance(tick);
        self.engine.clear_changes(); // nobody writes a checkpoint of them
        self.due.collect(&mut self.engine, tick, &self.emission);
        let generated_at = WallMs(tick.0.saturating_mul(1_000));
        for aggregate in self.due.iter() {
            self.message.clear();
            let (out, names) = (&mut self.message, TokenNames::default());
            self.form.write(out, &aggregate, names, generated_at);
            self.message.push(b'\n');
            self.messages.write_all(&self.message).map_err(ReplayError::Messages)?;
            self.counts.messages += 1;
        }
        // Whoever reads along sees each tick as it fires, and one who left ends the replay soon.
        self.messages.flush().map_err(ReplayError::Messages)?;
        self.next_tick = Some(tick.plus(self.interval()));
        Ok(())
    }

    /// Whole seconds between ticks.
    fn interval(&self) -> i64 {
        i64::try_from(self.emission.interval().as_secs()).unwrap_or(i64::MAX).max(1)
    }

    fn rejected(&mut self, rejected: &Rejected<'_>) -> Result<(), ReplayError> {
        let place = Reason::ALL.iter().position(|reason| *reason == rejected.reason);
        if let Some(count) = place.and_then(|place| self.counts.rejected.get_mut(place)) {
            *count += 1;
        }
        (self.reject)(rejected)
    }
}

impl<M, R> std::fmt::Debug for Player<M, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Player").field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// The first multiple of `step` that is not before `second`.
fn first_multiple(step: i64, second: Second) -> Second {
    second.plus((-second.0).rem_euclid(step))
}

/// Before the first trade no window has an end.
const BEFORE_ALL: Second = Second(i64::MIN);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_holds_the_seconds_up_to_itself() {
        for (second, tick) in [(0, 0), (1, 30), (29, 30), (30, 30), (31, 60), (-1, 0), (-30, -30)] {
            assert_eq!(first_multiple(30, Second(second)), Second(tick), "{second}");
        }
    }
}
