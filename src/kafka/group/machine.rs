//! What a member does next, and what it may do meanwhile. Pure: answers, time and the shards that
//! are here come in; requests, assignments and the lease go out. Any request may get no answer, and
//! any answer may say that the group has moved on; the state is always one from which asking again
//! leads back into the group.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError as Error;
use kafka_protocol::messages::{
    DescribeGroupsResponse, FindCoordinatorResponse, JoinGroupResponse, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::calls::{Answer, Call, Next, Who, not_kept};
use super::part::Part;
use super::timing::{COMMIT_INTERVAL, PAUSE_FIRST, PAUSE_MOST, Timing};
use super::wire::{self, Subscription};
use super::{GroupConfig, GroupError, GroupStatus, State, leader, said};
use crate::domain::position::{Offset, Partition};
use crate::ports::group::{Assignment, Here, Member};

/// A member of the group, as it sees itself.
#[derive(Debug)]
pub struct Machine {
    config: GroupConfig,
    timing: Timing,
    who: Who,
    /// `host:port`, while it is known.
    coordinator: Option<String>,
    /// How many the topic has.
    partitions: i32,
    state: State,
    /// The id that the coordinator has surely stored.
    synced_as: StrBytes,
    /// What it brings to the next sync, if it leads.
    plan: Vec<(StrBytes, Bytes)>,
    part: Part,
    /// How often it has become a member.
    membership: u64,
    told: Option<Assignment>,
    /// Until when, and when that was asked for.
    lease: Option<(Instant, Instant)>,
    /// When it first asked to join, of what was not answered since. Who asks again may be told what
    /// it missed the first time, and the coordinator counts the session from that.
    joins_since: Option<Instant>,
    /// It does not publish before: a process that it follows under its name may live.
    quiet: Option<Instant>,
    /// Nothing is asked before.
    rest: Option<Instant>,
    pause: Duration,
    heartbeat_at: Option<Instant>,
    commit_at: Option<Instant>,
    trouble: Option<String>,
    commit_trouble: Option<String>,
    /// A member whom the plan leaves out.
    stranger: Option<String>,
}

impl Machine {
    /// One that has asked nothing yet.
    #[must_use]
    pub fn new(config: GroupConfig) -> Self {
        Self {
            timing: Timing { session: config.session },
            who: Who::new(&config),
            config,
            coordinator: None,
            partitions: 0,
            state: State::Arriving,
            synced_as: StrBytes::default(),
            plan: Vec::new(),
            part: Part::none(),
            membership: 0,
            told: None,
            lease: None,
            joins_since: None,
            quiet: None,
            rest: None,
            pause: PAUSE_FIRST,
            heartbeat_at: None,
            commit_at: None,
            trouble: None,
            commit_trouble: None,
            stranger: None,
        }
    }

    /// What is to be done now, with this to say, and these positions reached.
    pub fn next(&mut self, now: Instant, here: &Here, positions: &[(Partition, Offset)]) -> Next {
        let ask = |call| Next::Ask(Box::new(call));
        if let Some(until) = self.rest.filter(|until| *until > now) {
            return Next::Wait(until);
        }
        self.rest = None;
        if self.coordinator.is_none() {
            return ask(self.who.find(&self.config.topic));
        }
        let news = self.part.has_news(now, here);
        match self.state {
            State::Arriving => ask(self.who.describe()),
            State::Member if !news => self.keep(now, positions),
            State::Syncing => ask(self.who.sync(self.plan.clone())),
            State::Member | State::Joining => self.join(now, here),
            State::Left => Next::Wait(now + PAUSE_MOST),
        }
    }

    /// Heartbeats, and positions now and then.
    fn keep(&mut self, now: Instant, positions: &[(Partition, Offset)]) -> Next {
        let beat = self.heartbeat_at.unwrap_or(now);
        if beat <= now {
            return Next::Ask(Box::new(self.who.heartbeat()));
        }
        let commit = self.commit_at.unwrap_or(now);
        if commit > now {
            return Next::Wait(beat.min(commit));
        }
        self.commit_at = Some(now + COMMIT_INTERVAL);
        if positions.is_empty() {
            return Next::Wait(beat);
        }
        Next::Ask(Box::new(self.who.commit(&self.config.topic, positions)))
    }

    fn join(&mut self, now: Instant, here: &Here) -> Next {
        self.state = State::Joining;
        self.joins_since.get_or_insert(now);
        let claim = self.part.claim(now, here, self.config.replicas);
        let GroupConfig { topic, shards, address, .. } = self.config.clone();
        let said = Subscription { topic, shards, claim, address };
        match wire::subscription(&said) {
            Ok(brings) => Next::Ask(Box::new(self.who.join(self.timing, brings))),
            Err(error) => Next::Wait(self.back_off(now, error)),
        }
    }

    /// How long an answer is waited for.
    #[must_use]
    pub fn limit(&self, call: &Call) -> Duration {
        self.timing.limit(matches!(call, Call::Join(_)))
    }

    /// Takes an answer to what was asked at `sent`.
    ///
    /// # Errors
    /// It is final.
    pub fn answered(
        &mut self,
        sent: Instant,
        now: Instant,
        answer: Answer,
    ) -> Result<(), GroupError> {
        match answer {
            Answer::Found(found, partitions) => self.found(now, &found, partitions)?,
            Answer::Described(described) => self.described(now, &described)?,
            Answer::Joined(joined) => self.joined(sent, now, joined)?,
            Answer::Synced(synced) => self.synced(sent, now, &synced)?,
            Answer::Beaten(beaten) => {
                self.heartbeat_at = Some(now + self.timing.heartbeat());
                if self.fine(now, beaten.error_code)? {
                    self.well(sent);
                }
            }
            // What is wrong with the membership a heartbeat says.
            Answer::Committed(committed) => self.commit_trouble = not_kept(&committed),
            Answer::Left(_) => {}
        }
        Ok(())
    }

    /// There was no answer: the connection broke, or the time was up.
    pub fn failed(&mut self, now: Instant, cause: impl Display) {
        self.coordinator = None;
        self.back_off(now, cause);
    }

    fn found(
        &mut self,
        now: Instant,
        found: &FindCoordinatorResponse,
        partitions: i32,
    ) -> Result<(), GroupError> {
        if self.fine(now, found.error_code)? {
            self.coordinator = Some(format!("{}:{}", &*found.host, found.port));
            self.partitions = partitions;
        }
        Ok(())
    }

    /// Where nobody is, all shards are ours: they need not wait for the first rebalance.
    fn described(
        &mut self,
        now: Instant,
        described: &DescribeGroupsResponse,
    ) -> Result<(), GroupError> {
        let group = described.groups.first();
        if !self.fine(now, group.map_or(0, |group| group.error_code))? {
            return Ok(());
        }
        if group.is_none_or(|group| group.members.is_empty()) {
            let shards = self.config.shards.all().collect();
            let address = self.config.address.clone();
            self.part.own = Member { address, shards, here: true, ..Member::default() };
            self.tell(vec![self.part.own.clone()]);
        }
        self.state = State::Joining;
        Ok(())
    }

    fn joined(
        &mut self,
        sent: Instant,
        now: Instant,
        joined: JoinGroupResponse,
    ) -> Result<(), GroupError> {
        let required = joined.error_code == Error::MemberIdRequired.code();
        if required && self.who.member.is_empty() {
            self.who.member = joined.member_id;
            return Ok(());
        }
        if !self.fine(now, joined.error_code)? {
            if self.rest.is_none() {
                self.back_off(now, said(joined.error_code));
            }
            return Ok(());
        }
        self.who.member = joined.member_id.clone();
        self.who.generation = joined.generation_id;
        let since = self.joins_since.take().unwrap_or(sent);
        if self.part.standing.unbroken {
            self.extend(since);
        }
        self.plan.clear();
        if joined.leader == joined.member_id {
            match leader::plans(&self.config, self.partitions, &joined.members) {
                Ok(led) => (self.plan, self.stranger) = (led.plan, led.stranger),
                Err(error) => {
                    self.back_off(now, error);
                    return Ok(());
                }
            }
        }
        self.state = State::Syncing;
        Ok(())
    }

    fn synced(
        &mut self,
        sent: Instant,
        now: Instant,
        synced: &SyncGroupResponse,
    ) -> Result<(), GroupError> {
        if !self.fine(now, synced.error_code)? {
            return Ok(());
        }
        let mut members = match wire::assigned(&synced.assignment) {
            Ok(members) => members,
            Err(error) => {
                self.lose();
                self.back_off(now, error);
                return Ok(());
            }
        };
        let mut held_before = BTreeSet::new();
        let withheld = leader::withheld(&members, self.config.shards);
        if let Some(own) = members.iter_mut().find(|member| member.here) {
            let stored = std::mem::replace(&mut own.id, self.who.member.to_string());
            if stored != own.id {
                // A static member began anew: nobody knows yet that its last process let go.
                held_before = withheld;
                self.quiet = Some(now + self.timing.quiet());
            }
        }
        self.membership += u64::from(!self.part.standing.unbroken);
        let own = members.iter().find(|member| member.here);
        self.part.told(now, own, held_before, self.who.generation);
        self.state = State::Member;
        self.synced_as = self.who.member.clone();
        self.heartbeat_at = Some(now + self.timing.heartbeat());
        self.tell(members);
        self.well(sent);
        Ok(())
    }

    /// Whether a code is none; else what follows.
    fn fine(&mut self, now: Instant, code: i16) -> Result<bool, GroupError> {
        let mut error = Error::try_from_code(code);
        if error == Some(Error::FencedInstanceId) && self.synced_as != self.who.member {
            // A coordinator that moved has not stored the id yet: there is no other process.
            error = Some(Error::UnknownMemberId);
        } else if let Some(last) = GroupError::of(code, &self.config) {
            return Err(last);
        }
        match error {
            None => return Ok(true),
            Some(Error::RebalanceInProgress) => self.state = State::Joining,
            Some(Error::IllegalGeneration) => self.lose(),
            Some(Error::UnknownMemberId) => {
                self.lose();
                self.who.member = StrBytes::default();
            }
            Some(Error::NotCoordinator | Error::CoordinatorNotAvailable) => {
                self.failed(now, said(code));
            }
            Some(_) => _ = self.back_off(now, said(code)),
        }
        Ok(false)
    }

    /// The membership is over; the last assignment stays until there is another.
    fn lose(&mut self) {
        self.lease = None;
        self.part.standing.unbroken = false;
        self.state = State::Joining;
    }

    fn tell(&mut self, members: Vec<Member>) {
        let (generation, membership) = (self.who.generation, self.membership);
        let Member { shards, standby, warm, .. } = self.part.own.clone();
        self.told = Some(Assignment { generation, membership, shards, standby, warm, members });
    }

    /// The coordinator has said that all is well, to what was sent then.
    fn well(&mut self, sent: Instant) {
        self.extend(sent);
        self.pause = PAUSE_FIRST;
        self.trouble = None;
    }

    fn extend(&mut self, sent: Instant) {
        let asked = self.lease.map_or(sent, |(_, asked)| asked.max(sent));
        self.lease = Some((asked + self.timing.lease(), asked));
    }

    /// Until when it rests.
    fn back_off(&mut self, now: Instant, cause: impl Display) -> Instant {
        self.trouble = Some(cause.to_string());
        let until = now + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MOST);
        *self.rest.insert(until)
    }

    /// What there is to say before it ends; it may publish no more.
    pub fn farewell(&mut self, positions: &[(Partition, Offset)]) -> Vec<Call> {
        let keeps = self.state == State::Member && !positions.is_empty();
        let commit = keeps.then(|| self.who.commit(&self.config.topic, positions));
        let leave = (!self.who.member.is_empty()).then(|| self.who.leave());
        self.state = State::Left;
        self.lease = None;
        commit.into_iter().chain(leave).collect()
    }

    /// An assignment that has not been told yet.
    pub const fn told(&mut self) -> Option<Assignment> {
        self.told.take()
    }

    /// Until when it may publish, and when that was asked for.
    #[must_use]
    pub fn lease(&self, now: Instant) -> Option<(Instant, Instant)> {
        self.lease.filter(|_| self.quiet.is_none_or(|until| until <= now))
    }

    /// Where the coordinator is, `host:port`, while it is known.
    #[must_use]
    pub fn coordinator(&self) -> Option<&str> {
        self.coordinator.as_deref()
    }

    /// Where it stands, for people.
    #[must_use]
    pub fn status(&self) -> GroupStatus {
        let troubles = [&self.trouble, &self.commit_trouble, &self.stranger];
        GroupStatus {
            state: self.state,
            member: self.who.member.to_string(),
            generation: self.part.standing.generation,
            coordinator: self.coordinator.clone().unwrap_or_default(),
            trouble: troubles.into_iter().flatten().next().cloned(),
        }
    }
}
