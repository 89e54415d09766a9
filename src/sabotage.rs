//! Deliberate bugs, to prove that the simulation's judge would find them. Compiled in with debug
//! assertions alone, as tests are; in a release every question is answered `false` at compile time.

/// A bug that can be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A fenced owner goes on.
    FenceSkipped,
    /// A gap in the checkpoint is taken for an acknowledgement.
    GapIgnored,
    /// After an unknown answer the flush is given up and the next one takes its place.
    UnknownFlushDropped,
    /// Positions are stored, half of the panes are not.
    PositionsBeforePanes,
    /// A snapshot holds half of the panes.
    SnapshotCut,
    /// Entries are trimmed that a window still needs.
    TrimmedTooEarly,
    /// A flush does not wait for the dead letters before it.
    DeadLettersNotAwaited,
    /// A dead letter is not sent again after an error.
    DeadLetterDropped,
    /// A trade that was counted before is counted again.
    DuplicateCounted,
    /// A trade into a second that is folded already is forgotten.
    LatePaneForgotten,
    /// A batch of messages is not sent again after an error.
    BatchDropped,
    /// An old message takes the place of a newer one.
    OldMessageWins,
    /// It publishes before it has caught up.
    PublishedTooEarly,
    /// The windows end a second after the tick.
    TickOffByOne,
    /// A record is skipped after a failed fetch.
    RecordSkippedAfterError,
    /// A recovered shard goes on at the end of the log.
    RecoveredAtTheEnd,
    /// No closing message is sent.
    ClosingForgotten,
    /// A clock that was set back is not noticed, nor a checkpoint of one that was ahead.
    ClockTrusted,
    /// Trades that a shard refuses or rejects have no dead letter when they stand in an array.
    ArrayRejectsSwallowed,
    /// What retention took is in no figure.
    LostRangeNotCounted,
    /// Where retention took what one shard had not read, the others go back with it.
    LostRangeMovesBack,
    /// The shards do not hear that the topic was made anew.
    RemadeLogForgotten,
    /// A topic that was made anew while it was stopped is read from its end.
    RemadeLogReadFromItsEnd,
    /// A partition that was added is read from its end.
    NewPartitionAtItsEnd,
    /// A shard whose changelog is not whole is rebuilt from the end of the log.
    DamagedShardStartsAtTheEnd,
    /// After an unknown answer newer panes go into the very same flush.
    MergedAfterUnknown,
    /// A shard that the checkpoint has lost is taken for acknowledged.
    LostIgnored,
    /// Shards expect different positions; reading begins at the highest.
    ReadFromTheHighestPosition,
    /// The checkpoint says that a tick was published when it was only made.
    PublishedBeforeAcknowledged,
    /// A batch that nobody can read has no dead letter.
    UnreadableNotReported,
    /// Positions do not pass a transaction's marker.
    MarkerNotPassed,
    /// A stop does not write the last flush.
    LastFlushSkipped,
    /// What a failed load had taken of the budget stays taken.
    FailedLoadKeepsItsBudget,
    /// Only the last page of a changelog is loaded.
    PageSkipped,
    /// It publishes without a lease.
    LeaseIgnored,
    /// A shard that came is covered before it stands where the partition's reader does.
    CoveredTooEarly,
    /// A shard that was followed is taken for as whole in the checkpoint as in memory.
    FollowedTakenForWritten,
    /// What was rejected between the checkpoint and a shard that was followed is not read again.
    FollowedLettersForgotten,
    /// Its positions are written before that is on its way.
    FollowedLettersNotAwaited,
    /// A shard that is followed closes tokens by the clock and not as its owner publishes.
    FollowedClosesEarly,
}

impl Bug {
    /// All bugs.
    pub const ALL: [Self; 40] = [
        Self::FenceSkipped,
        Self::GapIgnored,
        Self::UnknownFlushDropped,
        Self::PositionsBeforePanes,
        Self::SnapshotCut,
        Self::TrimmedTooEarly,
        Self::DeadLettersNotAwaited,
        Self::DeadLetterDropped,
        Self::DuplicateCounted,
        Self::LatePaneForgotten,
        Self::BatchDropped,
        Self::OldMessageWins,
        Self::PublishedTooEarly,
        Self::TickOffByOne,
        Self::RecordSkippedAfterError,
        Self::RecoveredAtTheEnd,
        Self::ClosingForgotten,
        Self::ClockTrusted,
        Self::ArrayRejectsSwallowed,
        Self::LostRangeNotCounted,
        Self::LostRangeMovesBack,
        Self::RemadeLogForgotten,
        Self::RemadeLogReadFromItsEnd,
        Self::NewPartitionAtItsEnd,
        Self::DamagedShardStartsAtTheEnd,
        Self::MergedAfterUnknown,
        Self::LostIgnored,
        Self::ReadFromTheHighestPosition,
        Self::PublishedBeforeAcknowledged,
        Self::UnreadableNotReported,
        Self::MarkerNotPassed,
        Self::LastFlushSkipped,
        Self::FailedLoadKeepsItsBudget,
        Self::PageSkipped,
        Self::LeaseIgnored,
        Self::CoveredTooEarly,
        Self::FollowedTakenForWritten,
        Self::FollowedLettersForgotten,
        Self::FollowedLettersNotAwaited,
        Self::FollowedClosesEarly,
    ];

    /// Whether only a group of several has it.
    #[must_use]
    pub const fn is_of_groups(self) -> bool {
        matches!(
            self,
            Self::LeaseIgnored
                | Self::CoveredTooEarly
                | Self::FollowedTakenForWritten
                | Self::FollowedLettersForgotten
                | Self::FollowedLettersNotAwaited
                | Self::FollowedClosesEarly
        )
    }
}

#[cfg(not(debug_assertions))]
impl Bug {
    /// Whether the bug is switched on: never.
    #[must_use]
    pub const fn on(self) -> bool {
        false
    }
}

#[cfg(debug_assertions)]
mod switch {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static ON: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    impl Bug {
        /// Whether the bug is switched on in this thread.
        #[must_use]
        pub fn on(self) -> bool {
            ON.get() == Some(self)
        }

        /// Switches one bug on in this thread, or all off.
        pub fn switch(bug: Option<Self>) {
            ON.set(bug);
        }
    }
}
