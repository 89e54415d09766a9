//! A life's faults as data: a seed makes a plan, and a plan makes a life, always the same one. Any
//! part of a plan is a plan, so that a failing one can be cut down.

use std::fmt;

use aggregator_service::domain::token::Shards;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::misfortune::misfortune;

/// Everything that decides how a life goes.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Of the market, and of the dice that the weather throws.
    pub(crate) seed: u64,
    pub(crate) shards: Shards,
    /// How long trades come in under faults.
    pub(crate) trading_ms: u32,
    /// By their moments.
    pub(crate) faults: Vec<Fault>,
}

/// What goes wrong, and when.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Milliseconds since the begin of the life.
    pub(crate) at: u32,
    pub(crate) what: What,
}

pub(crate) const fn fault(at: u32, what: What) -> Fault {
    Fault { at, what }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A process starts, as a rival where one runs.
    Start,
    /// The newest process is killed. It stays away until the next start.
    Kill,
    /// The newest process is killed at the so many-th step from here: a call of a port on its way
    /// there, or on its way back. It is started anew at once.
    KillAtCall(u64),
    /// The newest process is asked to stop. It stays away until the next start.
    Stop,
    /// The newest process stands still.
    Freeze,
    /// All that stand still go on.
    Thaw,
    /// Something is away or refuses, for so many milliseconds.
    Out(Outage, u32),
    /// Retention takes all but the newest records of a partition.
    Truncate { partition: i32, keep: i64 },
    /// The topic is deleted, and made again after so many milliseconds.
    Remake(u32),
    /// One more partition.
    AddPartition,
    /// The store comes back empty.
    StoreEmpty,
    /// The store comes back as it was a write ago, perhaps without the last claims.
    StoreBehind { claims: bool },
    /// The store evicts one key of every so many-th shard.
    Evict { key: Key, every: u16 },
    /// The clock is set by so many milliseconds.
    ClockStep(i64),
    /// One in so many calls suffers from this, for the whole life.
    Weather(Weather, u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Meta,
    Log,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outage {
    /// No broker takes a message.
    Producing,
    /// What is produced is appended and answered with an error.
    Throttled,
    /// The input topic is unknown.
    Topic,
    /// The leader of a partition moves, of the input and of the output.
    Leader(i32),
    /// Fetches of a partition fail, but where it begins and ends is told.
    Fetches(i32),
    /// The store does not answer.
    Store,
    /// The store refuses all writes: out of memory, or a replica.
    StoreReadOnly,
}

/// What may happen to any call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Slow,
    AskFails,
    FetchFails,
    FetchCutShort,
    ClaimFails,
    ClaimReplyLost,
    LoadFails,
    FlushFails,
    FlushTakesEffectLater,
    FlushArrivesTwice,
    FlushReplyLost,
    ProduceFails,
    ProduceTakesEffectLater,
    ProduceArrivesTwice,
    ProduceReplyLost,
    LettersSlow,
}

impl Weather {
    pub(crate) const ALL: [Self; 16] = [
        Self::Slow,
        Self::AskFails,
        Self::FetchFails,
        Self::FetchCutShort,
        Self::ClaimFails,
        Self::ClaimReplyLost,
        Self::LoadFails,
        Self::FlushFails,
        Self::FlushTakesEffectLater,
        Self::FlushArrivesTwice,
        Self::FlushReplyLost,
        Self::ProduceFails,
        Self::ProduceTakesEffectLater,
        Self::ProduceArrivesTwice,
        Self::ProduceReplyLost,
        Self::LettersSlow,
    ];

    /// A start makes so many calls of these that they are rarer.
    const fn times_rarer(self) -> u32 {
        if matches!(self, Self::ClaimFails | Self::ClaimReplyLost) {
            40
        } else if matches!(self, Self::LoadFails) {
            10
        } else {
            1
        }
    }
}

/// As it is written in the source: a failing plan can be kept.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, shards, trading_ms, faults } = self;
        let shards = format!("Shards::new({}).unwrap()", shards.count());
        let shape = format!("seed: {seed}, shards: {shards}, trading_ms: {trading_ms}");
        writeln!(f, "Plan {{ {shape}, faults: vec![")?;
        faults.iter().try_for_each(|fault| writeln!(f, "    {fault:?},"))?;
        f.write_str("] }")
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fault({}, {:?})", self.at, self.what)
    }
}

/// All small back steps of a plan together. Ticks pause for no longer, and the judge waits.
pub(crate) const SMALL_STEP_MS: i64 = 4_900;

/// From here on a back step is too large to be waited for.
pub(crate) const LARGE_STEP_MS: i64 = 61_000;

/// All large ones together: trades do not come to lie too far ahead of the clock to be counted.
const LARGE_STEPS_MS: i64 = 250_000;

/// Mostly as many as there are by default.
pub(crate) fn shards(rng: &mut StdRng) -> Shards {
    let others = [1, 2, 8, 128][rng.random_range(0..4)];
    if rng.random_bool(0.2) { Shards::new(others).unwrap() } else { Shards::DEFAULT }
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let trading_ms = rng.random_range(8_000..25_000);
        let mut faults = Vec::new();
        let one_in = rng.random_range(4..60);
        for kind in Weather::ALL {
            if rng.random_bool(0.6) {
                let what = What::Weather(kind, one_in * kind.times_rarer());
                faults.push(fault(0, what));
            }
        }
        for _ in 0..rng.random_range(0..9) {
            let at = rng.random_range(100..trading_ms + 2_000);
            faults.extend(misfortune(&mut rng, at));
        }
        let (mut small, mut large) = (SMALL_STEP_MS, LARGE_STEPS_MS);
        faults.retain(|fault| {
            let What::ClockStep(by @ ..0) = fault.what else { return true };
            let room = if -by < LARGE_STEP_MS { &mut small } else { &mut large };
            *room += by;
            *room >= 0
        });
        faults.sort_by_key(|fault| fault.at);
        Self { seed, shards: shards(&mut rng), trading_ms, faults }
    }

    /// Whether the clock is set back: records may then lie ahead of it.
    pub(crate) fn sets_back(&self) -> bool {
        self.steps_at_most(0)
    }

    /// Whether it is set back by so much that all is rebuilt.
    pub(crate) fn sets_far_back(&self) -> bool {
        self.steps_at_most(-LARGE_STEP_MS)
    }

    fn steps_at_most(&self, most: i64) -> bool {
        let back = |fault: &Fault| matches!(fault.what, What::ClockStep(by) if by < most);
        self.faults.iter().any(back)
    }
}
