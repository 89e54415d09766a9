//! Why a trade was rejected: the contract's reasons, which are also the metric's labels.

use std::fmt;

/// The reason of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The value is not JSON.
    NotJson,
    /// JSON, but no object where a trade was expected.
    NotATrade,
    /// A field is missing, null or empty.
    MissingField,
    /// The token is not a string of 1 to 128 bytes.
    InvalidToken,
    /// The side is neither buy nor sell.
    InvalidSide,
    /// An amount is no decimal ≥ 0.
    InvalidAmount,
    /// An amount is above the contract's limit.
    OutOfRange,
    /// The time is not RFC 3339 with an offset.
    InvalidTime,
    /// Too far ahead of its record's timestamp.
    Future,
    /// The value is larger than what is read.
    TooLarge,
    /// A new token, and no room for it.
    Capacity,
    /// The batch could not be decoded by anyone.
    UnreadableBatch,
}

impl Reason {
    /// All reasons, in the order of the contract.
    pub const ALL: [Self; 12] = [
        Self::NotJson,
        Self::NotATrade,
        Self::MissingField,
        Self::InvalidToken,
        Self::InvalidSide,
        Self::InvalidAmount,
        Self::OutOfRange,
        Self::InvalidTime,
        Self::Future,
        Self::TooLarge,
        Self::Capacity,
        Self::UnreadableBatch,
    ];

    /// The reason's name in headers and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotATrade => "not_a_trade",
            Self::MissingField => "missing_field",
            Self::InvalidToken => "invalid_token",
            Self::InvalidSide => "invalid_side",
            Self::InvalidAmount => "invalid_amount",
            Self::OutOfRange => "out_of_range",
            Self::InvalidTime => "invalid_time",
            Self::Future => "future",
            Self::TooLarge => "too_large",
            Self::Capacity => "capacity",
            Self::UnreadableBatch => "unreadable_batch",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
