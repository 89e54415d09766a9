//! One member and what it does about each answer, step by step.

use std::collections::BTreeSet;
use std::time::Duration;

use aggregator_service::domain::plan::Claim;
use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::token::{ShardId, Shards};
use aggregator_service::domain::warmup::WARM_UP_LIMIT;
use aggregator_service::kafka::group::{
    Answer, Call, GroupError, LEASE_MARGIN, Machine, Next, State, assignment, subscribed,
};
use aggregator_service::ports::group::{Assignment, Here, Member};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    DescribeGroupsResponse, FindCoordinatorResponse, HeartbeatResponse, JoinGroupResponse,
    OffsetCommitResponse, SyncGroupResponse,
};
use tokio::time::Instant;

use crate::config;

/// A machine with a clock and what its pipeline holds.
struct Bench {
    machine: Machine,
    now: Instant,
    here: Here,
}

const POSITIONS: [(Partition, Offset); 1] = [(Partition(0), Offset(7))];

impl Bench {
    /// One that has found its coordinator, in a group where somebody is.
    fn new(instance: Option<&str>) -> Self {
        let mut bench = Self::alone(instance);
        assert!(matches!(bench.asks(), Call::Find(..)));
        bench.hears(found()).unwrap();
        assert!(matches!(bench.asks(), Call::Describe(_)));
        let somebody = vec![DescribedGroupMember::default()];
        let group = DescribedGroup::default().with_members(somebody);
        let described = DescribeGroupsResponse::default().with_groups(vec![group]);
        bench.hears(Answer::Described(described)).unwrap();
        bench
    }

    /// One that has asked nothing yet.
    fn alone(instance: Option<&str>) -> Self {
        let machine = Machine::new(config(instance));
        Self { machine, now: Instant::now(), here: Here::default() }
    }

    /// One that is the only member, with all shards.
    fn member() -> Self {
        let mut bench = Self::new(None);
        bench.becomes_member(1);
        bench
    }

    fn becomes_member(&mut self, generation: i32) {
        let Call::Join(join) = self.asks() else { panic!("no join") };
        let mine = JoinGroupResponseMember::default().with_member_id("me".into());
        let mine = mine.with_metadata(join.protocols[0].metadata.clone());
        self.hears(Answer::Joined(joined(generation).with_members(vec![mine]))).unwrap();
        let Call::Sync(sync) = self.asks() else { panic!("no sync") };
        assert_eq!(sync.generation_id, generation);
        let bytes = sync.assignments[0].assignment.clone();
        self.hears(Answer::Synced(SyncGroupResponse::default().with_assignment(bytes))).unwrap();
        assert_eq!(self.machine.told().unwrap().shards.len(), 64);
        assert!(matches!(self.asks(), Call::Commit(_)), "tools see it from the beginning");
        self.hears(Answer::Committed(OffsetCommitResponse::default())).unwrap();
    }

    /// What it asks, as soon as it asks something.
    fn asks(&mut self) -> Call {
        for _ in 0..1_000 {
            match self.machine.next(self.now, &self.here, &POSITIONS) {
                Next::Ask(call) => return *call,
                Next::Wait(until) => self.now = until,
            }
        }
        panic!("it waits for ever");
    }

    fn hears(&mut self, answer: Answer) -> Result<(), GroupError> {
        self.machine.answered(self.now, self.now, answer)
    }

    /// Until when it may publish.
    fn lease(&self) -> Option<Instant> {
        self.machine.lease(self.now).map(|(until, _)| until)
    }

    fn is(&self) -> State {
        self.machine.status().state
    }
}

fn found() -> Answer {
    Answer::Found(FindCoordinatorResponse::default().with_host("k".into()).with_port(1), 4)
}

fn joined(generation: i32) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_generation_id(generation)
        .with_member_id("me".into())
        .with_leader("me".into())
}

/// The error as the answer to whatever is asked.
fn error(call: &Call, error: ResponseError) -> Answer {
    let code = error.code();
    match call {
        Call::Find(..) => {
            Answer::Found(FindCoordinatorResponse::default().with_error_code(code), 0)
        }
        Call::Describe(_) => {
            let group = DescribedGroup::default().with_error_code(code);
            Answer::Described(DescribeGroupsResponse::default().with_groups(vec![group]))
        }
        Call::Join(_) => Answer::Joined(JoinGroupResponse::default().with_error_code(code)),
        Call::Sync(_) => Answer::Synced(SyncGroupResponse::default().with_error_code(code)),
        Call::Heartbeat(_) => Answer::Beaten(HeartbeatResponse::default().with_error_code(code)),
        Call::Commit(_) | Call::Leave(_) => {
            let partition = OffsetCommitResponsePartition::default().with_error_code(code);
            let topic = OffsetCommitResponseTopic::default().with_partitions(vec![partition]);
            Answer::Committed(OffsetCommitResponse::default().with_topics(vec![topic]))
        }
    }
}

/// A machine at each step of its life, and what it asks there.
fn steps() -> Vec<(Bench, Call)> {
    let mut finding = Bench::alone(None);
    let find = finding.asks();
    let mut describing = Bench::alone(None);
    describing.asks();
    describing.hears(found()).unwrap();
    let describe = describing.asks();
    let mut joining = Bench::new(None);
    let join = joining.asks();
    let mut syncing = Bench::new(None);
    syncing.asks();
    syncing.hears(Answer::Joined(joined(1).with_leader("other".into()))).unwrap();
    let sync = syncing.asks();
    let mut beating = Bench::member();
    let beat = beating.asks();
    vec![(finding, find), (describing, describe), (joining, join), (syncing, sync), (beating, beat)]
}

#[test]
fn what_is_final_ends_at_every_step() {
    let finals = [
        ResponseError::InconsistentGroupProtocol,
        ResponseError::InvalidSessionTimeout,
        ResponseError::GroupAuthorizationFailed,
        ResponseError::InvalidGroupId,
    ];
    for code in finals {
        for (mut bench, call) in steps() {
            let last = bench.hears(error(&call, code)).unwrap_err();
            println!("{last}");
        }
    }
}

#[test]
fn a_coordinator_that_is_elsewhere_is_looked_for_and_the_step_is_asked_again() {
    for code in [ResponseError::NotCoordinator, ResponseError::CoordinatorNotAvailable] {
        for (mut bench, call) in steps() {
            let (lease, before) = (bench.lease(), bench.now);
            bench.hears(error(&call, code)).unwrap();
            assert!(matches!(bench.asks(), Call::Find(..)));
            assert!(bench.now > before, "not without a pause");
            bench.hears(found()).unwrap();
            if !matches!(call, Call::Find(..)) {
                assert_eq!(bench.asks(), call);
            }
            assert_eq!(bench.lease(), lease);
        }
    }
}

#[test]
fn no_answer_leads_back_to_the_same_step_over_the_coordinator_within_bounded_pauses() {
    for (mut bench, call) in steps() {
        for _ in 0..10 {
            let before = bench.now;
            bench.machine.failed(bench.now, "no answer");
            assert!(matches!(bench.asks(), Call::Find(..)));
            assert!(bench.now - before <= Duration::from_secs(1));
        }
        assert_eq!(bench.machine.status().trouble.as_deref(), Some("no answer"));
        bench.hears(found()).unwrap();
        if !matches!(call, Call::Find(..)) {
            assert_eq!(bench.asks(), call);
        }
    }
}

#[test]
fn a_coordinator_that_loads_is_asked_again_itself() {
    for (mut bench, call) in steps() {
        let before = bench.now;
        bench.hears(error(&call, ResponseError::CoordinatorLoadInProgress)).unwrap();
        assert_eq!(bench.asks(), call);
        assert!(bench.now > before);
    }
}

#[test]
fn a_rebalance_is_joined_at_once_with_the_lease_as_it_was() {
    let mut bench = Bench::member();
    let (call, lease) = (bench.asks(), bench.lease());
    let before = bench.now;
    bench.hears(error(&call, ResponseError::RebalanceInProgress)).unwrap();
    let Call::Join(join) = bench.asks() else { panic!("no join") };
    assert_eq!((bench.now, &*join.member_id), (before, "me"));
    assert_eq!(bench.lease(), lease);
    let claim = subscribed(&join.protocols[0].metadata).unwrap().claim;
    assert!(claim.standing.unbroken && claim.owned.len() == 64 && claim.held.is_empty());
    bench.hears(Answer::Joined(joined(2).with_leader("other".into()))).unwrap();
    assert_eq!(bench.lease(), Some(bench.now + Duration::from_secs(10) - LEASE_MARGIN));
}

#[test]
fn who_was_cut_off_has_no_lease_until_it_is_told_anew() {
    for (code, id) in
        [(ResponseError::UnknownMemberId, ""), (ResponseError::IllegalGeneration, "me")]
    {
        let mut bench = Bench::member();
        let call = bench.asks();
        bench.hears(error(&call, code)).unwrap();
        assert_eq!((bench.lease(), bench.machine.told()), (None, None));
        let Call::Join(join) = bench.asks() else { panic!("no join") };
        assert_eq!(&*join.member_id, id);
        let claim = subscribed(&join.protocols[0].metadata).unwrap().claim;
        assert!(!claim.standing.unbroken && claim.owned.len() == 64);
        bench.hears(Answer::Joined(joined(9).with_leader("other".into()))).unwrap();
        assert_eq!(bench.lease(), None, "what it was told is old");
    }
}

#[test]
fn a_member_id_that_is_required_is_taken() {
    let mut bench = Bench::new(None);
    bench.asks();
    let required = joined(-1).with_error_code(ResponseError::MemberIdRequired.code());
    bench.hears(Answer::Joined(required.with_member_id("given".into()))).unwrap();
    let Call::Join(join) = bench.asks() else { panic!("no join") };
    assert_eq!(&*join.member_id, "given");
}

#[test]
fn the_one_that_is_fenced_as_a_member_ends_and_one_that_was_none_yet_comes_anew() {
    let mut bench = Bench::new(Some("pod-1"));
    bench.becomes_member(1);
    let call = bench.asks();
    let last = bench.hears(error(&call, ResponseError::FencedInstanceId)).unwrap_err();
    assert!(last.to_string().contains("pod-1"), "{last}");
    let mut bench = Bench::new(Some("pod-1"));
    bench.asks();
    bench.hears(Answer::Joined(joined(1))).unwrap();
    let call = bench.asks();
    bench.hears(error(&call, ResponseError::FencedInstanceId)).unwrap();
    let Call::Join(join) = bench.asks() else { panic!("no join") };
    assert_eq!(&*join.member_id, "");
}

#[test]
fn a_lease_counts_from_when_it_was_asked_for() {
    let mut bench = Bench::member();
    bench.asks();
    let sent = bench.now;
    let late = sent + Duration::from_secs(8);
    bench.machine.answered(sent, late, Answer::Beaten(HeartbeatResponse::default())).unwrap();
    assert_eq!(
        bench.machine.lease(late),
        Some((sent + Duration::from_secs(10) - LEASE_MARGIN, sent))
    );
}

#[test]
fn a_commit_that_fails_is_said_and_stops_nothing() {
    let mut bench = Bench::member();
    let commit = loop {
        let call = bench.asks();
        if !matches!(call, Call::Heartbeat(_)) {
            break call;
        }
        bench.hears(Answer::Beaten(HeartbeatResponse::default())).unwrap();
    };
    let Call::Commit(asked) = &commit else { panic!("{commit:?}") };
    assert_eq!(asked.topics[0].partitions[0].committed_offset, 7);
    bench.hears(error(&commit, ResponseError::TopicAuthorizationFailed)).unwrap();
    assert_eq!(bench.is(), State::Member);
    assert!(bench.machine.status().trouble.unwrap().contains("positions are not kept"));
    bench.hears(Answer::Committed(OffsetCommitResponse::default())).unwrap();
    assert_eq!(bench.machine.status().trouble, None);
}

#[test]
fn who_speaks_another_language_under_our_name_gets_nothing_and_is_named() {
    let mut bench = Bench::new(None);
    let Call::Join(join) = bench.asks() else { panic!("no join") };
    let member = |id: &'static str, metadata| {
        JoinGroupResponseMember::default().with_member_id(id.into()).with_metadata(metadata)
    };
    let mine = member("me", join.protocols[0].metadata.clone());
    let members = vec![mine, member("stranger", b"\0\0"[..].into())];
    bench.hears(Answer::Joined(joined(1).with_members(members))).unwrap();
    let Call::Sync(sync) = bench.asks() else { panic!("no sync") };
    assert_eq!(sync.assignments.len(), 1);
    assert!(bench.machine.status().trouble.unwrap().contains("stranger"));
}

/// What it is told by another, who leads and has all shards, when it has asked to join.
fn agrees(bench: &mut Bench, me: Member) -> Assignment {
    bench.hears(Answer::Joined(joined(2).with_leader("other".into()))).unwrap();
    assert!(matches!(bench.asks(), Call::Sync(_)));
    let other = Member { shards: Shards::DEFAULT.all().collect(), ..Member::default() };
    let bytes = assignment("trades", 4, Shards::DEFAULT, &[other, me], 1).unwrap();
    bench.hears(Answer::Synced(SyncGroupResponse::default().with_assignment(bytes))).unwrap();
    bench.machine.told().unwrap()
}

/// One beside another that has all shards and is to give it two.
fn to_get_two() -> Bench {
    let mut bench = Bench::new(None);
    let (claim, _) = joins(&mut bench);
    assert!(claim.warms_up && claim.ready.is_empty());
    let warm: BTreeSet<_> = [1, 2].map(ShardId).into();
    let [standby, warm_up] = [(); 2].map(|()| warm.clone());
    let told = agrees(&mut bench, Member { standby, warm: warm_up, ..Member::default() });
    assert_eq!((told.shards.len(), told.standby, told.warm), (0, warm.clone(), warm));
    bench
}

#[test]
fn who_retires_says_so_once_and_what_a_process_before_it_said_is_taken_back() {
    let mut bench = Bench::new(None);
    for retires in [true, false] {
        bench.here.retires = retires;
        assert_eq!(joins(&mut bench).0.retires, retires);
        agrees(&mut bench, Member { retires, ..Member::default() });
        assert!(matches!(bench.asks(), Call::Heartbeat(_) | Call::Commit(_)), "it is known");
    }
}

/// What it brings to the join that it asks for, and how long it took until then.
fn joins(bench: &mut Bench) -> (Claim, Duration) {
    let since = bench.now;
    loop {
        match bench.asks() {
            Call::Join(join) => {
                let said = subscribed(&join.protocols[0].metadata).unwrap();
                return (said.claim, bench.now - since);
            }
            Call::Commit(_) => bench.hears(Answer::Committed(OffsetCommitResponse::default())),
            Call::Heartbeat(_) => bench.hears(Answer::Beaten(HeartbeatResponse::default())),
            other @ (Call::Find(..) | Call::Describe(_) | Call::Sync(_) | Call::Leave(_)) => {
                panic!("{other:?}")
            }
        }
        .unwrap();
    }
}

#[test]
fn who_could_go_on_with_all_that_it_is_to_get_joins_and_says_so() {
    let mut bench = to_get_two();
    bench.here.ready = [1].map(ShardId).into();
    for _ in 0..5 {
        assert!(matches!(bench.asks(), Call::Commit(_) | Call::Heartbeat(_)), "one is missing");
        bench.hears(Answer::Beaten(HeartbeatResponse::default())).unwrap();
    }
    bench.here.ready = [1, 2, 3].map(ShardId).into();
    let (claim, took) = joins(&mut bench);
    assert_eq!((claim.ready, claim.warms_up, took), (bench.here.ready, true, Duration::ZERO));
}

#[test]
fn who_follows_in_vain_joins_in_the_end_and_takes_what_it_gets() {
    let mut bench = to_get_two();
    let (claim, took) = joins(&mut bench);
    assert!(!claim.warms_up && claim.ready.is_empty());
    assert!(took >= WARM_UP_LIMIT && took < WARM_UP_LIMIT + Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_goodbye_is_a_last_commit_and_the_leave() {
    let mut bench = Bench::member();
    let calls = bench.machine.farewell(&POSITIONS);
    assert!(matches!(&calls[..], [Call::Commit(_), Call::Leave(_)]), "{calls:?}");
    assert_eq!((bench.is(), bench.lease()), (State::Left, None));
}
