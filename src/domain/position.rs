//! Where a trade stands in the log: partition, offset, and its index in the record's array.
//! Newtypes, so that a partition is never taken for an offset.

use std::fmt;

/// A partition of the input topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub i32);

/// A record's offset in its partition; as a position, the next one that is expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

/// The place of one trade in the log. The derived order is the contract's tie-break after the
/// trade's time: partition, then offset, then index in the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Source partition.
    pub partition: Partition,
    /// Offset of the record in it.
    pub offset: Offset,
    /// Place in the record's array; 0 for a single object.
    pub index: u32,
}

/// Where a partition is read from when no checkpoint says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// At now − longest window − `MAX_FUTURE_SKEW`, by record timestamp.
    Window,
    /// At the oldest record.
    Earliest,
    /// At the end.
    Latest,
}

impl Offset {
    /// The offset behind this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
