//! A member's part of the plan: what it was told last, and what it says of that when it joins.

use std::collections::BTreeSet;

use tokio::time::Instant;

use crate::domain::plan::{Claim, Standing};
use crate::domain::token::ShardId;
use crate::domain::warmup::{WARM_UP_LIMIT, WarmUp};
use crate::ports::group::{Here, Member};

/// What a member has, by what it was told last.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) standing: Standing,
    /// Itself, with what it was told last.
    pub(super) own: Member,
    /// What it said at the last join.
    claimed: BTreeSet<ShardId>,
    /// What it claimed and was not given: once it has let go of that, there is a second step.
    leaving: BTreeSet<ShardId>,
    /// Whether it said at the last join that it is about to end.
    retires: bool,
    warm_up: WarmUp<Instant>,
}

impl Part {
    /// Nothing yet.
    pub(super) fn none() -> Self {
        Self {
            standing: Standing { unbroken: false, generation: -1 },
            own: Member::default(),
            claimed: BTreeSet::new(),
            leaving: BTreeSet::new(),
            retires: false,
            warm_up: WarmUp::default(),
        }
    }

    /// Whether the group is to hear of what has changed here.
    pub(super) fn has_news(&self, now: Instant, here: &Here) -> bool {
        let let_go = !self.leaving.is_empty() && self.leaving.is_disjoint(&here.held);
        // What a process before it said of itself is no longer true.
        let retires = here.retires && !self.retires || self.own.retires && !here.retires;
        let_go || retires || self.warm_up.is_due(now, &here.ready)
    }

    /// What it says at a join. What it was told counts, also before it is held.
    pub(super) fn claim(&mut self, now: Instant, here: &Here, replicas: u16) -> Claim {
        let Here { held, ready, retires } = here.clone();
        self.claimed = held.union(&self.own.shards).copied().collect();
        self.retires = retires;
        Claim {
            standing: self.standing,
            owned: self.own.shards.clone(),
            held,
            follows: self.own.standby.clone(),
            warms_up: self.warm_up.says(now, &ready),
            ready,
            retires,
            replicas,
        }
    }

    /// It was told what it has in a generation; nothing, where nobody listed it. Of its shards
    /// these are held by a process before it, as far as anybody knows.
    pub(super) fn told(
        &mut self,
        now: Instant,
        own: Option<&Member>,
        held_before: BTreeSet<ShardId>,
        generation: i32,
    ) {
        self.own = own.cloned().unwrap_or_default();
        self.standing = Standing { unbroken: true, generation };
        self.leaving = held_before;
        self.leaving.extend(self.claimed.difference(&self.own.shards));
        self.warm_up.told(&self.own.warm, now + WARM_UP_LIMIT);
    }
}
