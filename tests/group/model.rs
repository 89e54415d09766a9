//! A coordinator of one group, as Kafka's classic one decides: states, generations, sessions,
//! static members, waiting joins and syncs. What it keeps over a move is what it had
//! stored: the last stable generation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aggregator_service::kafka::group::{Answer, Call};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    DescribeGroupsResponse, FindCoordinatorResponse, HeartbeatResponse, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupResponse, OffsetCommitResponse, SyncGroupRequest,
    SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

/// Which request an answer is to.
pub(crate) type Ticket = u64;

#[derive(Clone, Debug)]
struct Member {
    instance: Option<StrBytes>,
    metadata: Bytes,
    session: Duration,
    rebalance: Duration,
    seen: Instant,
    assignment: Bytes,
    /// It waits for the end of a join, or for the plan.
    waits: Option<Ticket>,
    joined: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Stable,
    /// All are to join, until then at the latest.
    Joining(Instant),
    /// The leader is to bring the plan.
    Syncing,
}

/// The coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Coordinator {
    /// How often it has moved; part of its address.
    pub(crate) moves: u16,
    phase: Phase,
    generation: i32,
    leader: StrBytes,
    members: BTreeMap<StrBytes, Member>,
    /// Given ids that have not joined yet.
    pending: BTreeSet<StrBytes>,
    ids: u64,
    /// Answers that are ready.
    ready: Vec<(Ticket, Answer)>,
    stored: Option<Box<Coordinator>>,
    /// Rebalances so far.
    pub(crate) rebalances: usize,
}

/// What a first join waits for others.
const INITIAL_DELAY: Duration = Duration::from_secs(3);

impl Coordinator {
    pub(crate) fn new() -> Self {
        Self {
            moves: 0,
            phase: Phase::Stable,
            generation: 0,
            leader: StrBytes::default(),
            members: BTreeMap::new(),
            pending: BTreeSet::new(),
            ids: 0,
            ready: Vec::new(),
            stored: None,
            rebalances: 0,
        }
    }

    /// Another broker takes over with what was stored; waiting requests are lost.
    pub(crate) fn relocate(&mut self, now: Instant) {
        let (moves, ids, rebalances) = (self.moves + 1, self.ids, self.rebalances);
        let stored = self.stored.take().map_or_else(Self::new, |stored| *stored);
        *self = Self { moves, ids, rebalances, ..stored };
        for member in self.members.values_mut() {
            (member.seen, member.waits, member.joined) = (now, None, false);
        }
        self.store();
    }

    /// An operator deletes the group, which only one without members allows.
    pub(crate) fn delete(&mut self) {
        if self.members.is_empty() {
            *self = Self { moves: self.moves, ids: self.ids, ..Self::new() };
        }
    }

    /// Answers that have become ready.
    pub(crate) fn take_ready(&mut self) -> Vec<(Ticket, Answer)> {
        std::mem::take(&mut self.ready)
    }

    /// What time does: members that were silent are cut off, joins end.
    pub(crate) fn tick(&mut self, now: Instant) {
        let silent = |member: &Member| member.waits.is_none() && member.seen + member.session < now;
        let gone = self.members.iter().filter(|(_, member)| silent(member));
        let gone: Vec<_> = gone.map(|(id, _)| id.clone()).collect();
        for id in &gone {
            self.remove(now, id);
        }
        self.complete(now);
    }

    pub(crate) fn handle(&mut self, now: Instant, ticket: Ticket, call: &Call) {
        let answer = match call {
            Call::Find(..) => {
                let found = FindCoordinatorResponse::default().with_host("moved".into());
                Some(Answer::Found(found.with_port(self.moves.into()), 16))
            }
            Call::Describe(_) => Some(Answer::Described(self.describe())),
            Call::Join(join) => self.join(now, ticket, join).map(Answer::Joined),
            Call::Sync(sync) => self.sync(now, ticket, sync).map(Answer::Synced),
            Call::Heartbeat(beat) => {
                let known = self.known(&beat.member_id, beat.group_instance_id.as_ref());
                let error =
                    known.err().or_else(|| self.beat(now, &beat.member_id, beat.generation_id));
                Some(Answer::Beaten(HeartbeatResponse::default().with_error_code(code(error))))
            }
            Call::Commit(_) => Some(Answer::Committed(OffsetCommitResponse::default())),
            Call::Leave(leave) => {
                let said = leave.members.iter().map(|member| {
                    self.pending.remove(&member.member_id);
                    self.remove(now, &member.member_id);
                    MemberResponse::default().with_member_id(member.member_id.clone())
                });
                let said = said.collect();
                Some(Answer::Left(LeaveGroupResponse::default().with_members(said)))
            }
        };
        self.ready.extend(answer.map(|answer| (ticket, answer)));
        self.complete(now);
    }

    fn describe(&self) -> DescribeGroupsResponse {
        let member = |id: &StrBytes| DescribedGroupMember::default().with_member_id(id.clone());
        let group =
            DescribedGroup::default().with_members(self.members.keys().map(member).collect());
        DescribeGroupsResponse::default().with_groups(vec![group])
    }

    fn known(&self, id: &StrBytes, instance: Option<&StrBytes>) -> Result<(), ResponseError> {
        if self.members.contains_key(id) {
            return Ok(());
        }
        let renewed = instance.is_some_and(|_| {
            self.members.values().any(|member| member.instance.as_ref() == instance)
        });
        Err(if renewed { ResponseError::FencedInstanceId } else { ResponseError::UnknownMemberId })
    }

    fn beat(&mut self, now: Instant, id: &StrBytes, generation: i32) -> Option<ResponseError> {
        if generation != self.generation {
            return Some(ResponseError::IllegalGeneration);
        }
        self.members.get_mut(id)?.seen = now;
        matches!(self.phase, Phase::Joining(_)).then_some(ResponseError::RebalanceInProgress)
    }

    fn join(
        &mut self,
        now: Instant,
        ticket: Ticket,
        join: &JoinGroupRequest,
    ) -> Option<JoinGroupResponse> {
        let metadata = join.protocols[0].metadata.clone();
        let refused = |error: ResponseError, id: &StrBytes| {
            let answer = JoinGroupResponse::default().with_member_id(id.clone());
            Some(answer.with_error_code(error.code()))
        };
        let mut id = join.member_id.clone();
        let instance = join.group_instance_id.clone();
        if id.is_empty() {
            id = self.fresh();
            if let Some(led) = self.replace(now, &id, instance.as_ref(), &metadata) {
                if self.phase == Phase::Stable {
                    self.store();
                    return Some(self.answer(&id, led));
                }
            } else if instance.is_none() {
                self.pending.insert(id.clone());
                return refused(ResponseError::MemberIdRequired, &id);
            }
        } else if !self.pending.remove(&id)
            && let Err(error) = self.known(&id, instance.as_ref())
        {
            return refused(error, &id);
        }
        let same = self.members.get(&id).is_some_and(|member| member.metadata == metadata);
        let joining = matches!(self.phase, Phase::Joining(_));
        let known = !join.member_id.is_empty();
        let again =
            known && !joining && same && (self.phase == Phase::Syncing || self.leader != id);
        if again {
            return Some(self.answer(&id, self.leader.clone()));
        }
        let first = self.members.is_empty();
        let member = Member {
            instance,
            metadata,
            session: Duration::from_millis(u64::try_from(join.session_timeout_ms).unwrap()),
            rebalance: Duration::from_millis(u64::try_from(join.rebalance_timeout_ms).unwrap()),
            seen: now,
            assignment: Bytes::new(),
            waits: Some(ticket),
            joined: true,
        };
        self.members.insert(id.clone(), member);
        if !joining {
            self.rebalance(now, Some(&id));
            if first {
                self.phase = Phase::Joining(now + INITIAL_DELAY);
            }
        }
        None
    }

    /// A static member that begins anew takes its old place; who leads, as it is to hear it.
    fn replace(
        &mut self,
        now: Instant,
        id: &StrBytes,
        instance: Option<&StrBytes>,
        metadata: &Bytes,
    ) -> Option<StrBytes> {
        let mut members = self.members.iter();
        let same = |member: &Member| instance.is_some() && member.instance.as_ref() == instance;
        let old = members.find(|(_, member)| same(member)).map(|(old, _)| old.clone())?;
        let mut member = self.members.remove(&old)?;
        (member.metadata, member.seen) = (metadata.clone(), now);
        self.members.insert(id.clone(), member);
        let led = self.leader.clone();
        if led == old {
            self.leader = id.clone();
        }
        Some(led)
    }

    fn sync(
        &mut self,
        now: Instant,
        ticket: Ticket,
        sync: &SyncGroupRequest,
    ) -> Option<SyncGroupResponse> {
        let refused =
            |error: ResponseError| SyncGroupResponse::default().with_error_code(error.code());
        if let Err(error) = self.known(&sync.member_id, sync.group_instance_id.as_ref()) {
            return Some(refused(error));
        }
        if sync.generation_id != self.generation {
            return Some(refused(ResponseError::IllegalGeneration));
        }
        let member = self.members.get_mut(&sync.member_id)?;
        member.seen = now;
        match self.phase {
            Phase::Joining(_) => return Some(refused(ResponseError::RebalanceInProgress)),
            Phase::Stable => {
                return Some(
                    SyncGroupResponse::default().with_assignment(member.assignment.clone()),
                );
            }
            Phase::Syncing => member.waits = Some(ticket),
        }
        if self.leader == sync.member_id {
            for (id, member) in &mut self.members {
                let given = sync.assignments.iter().find(|given| given.member_id == *id);
                member.assignment = given.map(|given| given.assignment.clone()).unwrap_or_default();
                member.seen = now;
                let answer =
                    SyncGroupResponse::default().with_assignment(member.assignment.clone());
                let waits = member.waits.take();
                self.ready.extend(waits.map(|ticket| (ticket, Answer::Synced(answer))));
            }
            self.phase = Phase::Stable;
            self.store();
        }
        None
    }

    fn rebalance(&mut self, now: Instant, joins: Option<&StrBytes>) {
        self.rebalances += 1;
        let longest = self.members.values().map(|member| member.rebalance).max();
        self.phase = Phase::Joining(now + longest.unwrap_or_default());
        for (_, member) in self.members.iter_mut().filter(|(id, _)| Some(*id) != joins) {
            member.joined = false;
            let error = ResponseError::RebalanceInProgress.code();
            let answer = Answer::Synced(SyncGroupResponse::default().with_error_code(error));
            self.ready.extend(member.waits.take().map(|ticket| (ticket, answer)));
        }
    }

    fn remove(&mut self, now: Instant, id: &StrBytes) {
        if self.members.remove(id).is_some() && !matches!(self.phase, Phase::Joining(_)) {
            self.rebalance(now, None);
        }
    }

    /// Ends a join that all have joined, or whose time is up.
    fn complete(&mut self, now: Instant) {
        let Phase::Joining(until) = self.phase else { return };
        let first = self.leader.is_empty() && !self.members.is_empty();
        let all = self.members.values().all(|member| member.joined);
        if (!all || first) && now < until {
            return;
        }
        // A static member keeps its place until its session ends.
        self.members.retain(|_, member| member.joined || member.instance.is_some());
        self.generation += 1;
        if !self.members.get(&self.leader).is_some_and(|leader| leader.joined) {
            let first = self.members.iter().find(|(_, member)| member.joined);
            self.leader = first.map(|(id, _)| id.clone()).unwrap_or_default();
        }
        self.phase = if self.members.is_empty() { Phase::Stable } else { Phase::Syncing };
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let answer = self.answer(&id, self.leader.clone());
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.seen = now;
            self.ready.extend(member.waits.take().map(|ticket| (ticket, Answer::Joined(answer))));
        }
        if self.members.is_empty() {
            self.store();
        }
    }

    fn answer(&self, id: &StrBytes, leader: StrBytes) -> JoinGroupResponse {
        let member = |(id, member): (&StrBytes, &Member)| {
            JoinGroupResponseMember::default()
                .with_member_id(id.clone())
                .with_metadata(member.metadata.clone())
        };
        let all = || self.members.iter().map(member).collect();
        JoinGroupResponse::default()
            .with_generation_id(self.generation)
            .with_member_id(id.clone())
            .with_members(if leader == *id { all() } else { Vec::new() })
            .with_leader(leader)
    }

    fn fresh(&mut self) -> StrBytes {
        self.ids += 1;
        StrBytes::from_string(format!("m{}", self.ids))
    }

    fn store(&mut self) {
        let stored = Self { stored: None, ready: Vec::new(), ..self.clone() };
        self.stored = Some(Box::new(stored));
    }
}

fn code(error: Option<ResponseError>) -> i16 {
    error.map_or(0, |error| error.code())
}
