//! The requests of a member, as the protocol has them, and how each is asked. Decides nothing.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, MetadataRequest, OffsetCommitRequest,
    OffsetCommitResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::timing::Timing;
use super::wire::{PROTOCOL, PROTOCOL_TYPE};
use super::{GroupConfig, said};
use crate::domain::position::{Offset, Partition};
use crate::kafka::connect::KafkaError;
use crate::kafka::raw::{Connection, METADATA_VERSION, topic_name};

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// A request is to be asked.
    Ask(Box<Call>),
    /// Nothing, until then, or until shards are let go or become ready.
    Wait(Instant),
}

/// Versions that Kafka 2.8 to 4.x and Redpanda all speak.
const FIND_COORDINATOR_VERSION: i16 = 2;
const DESCRIBE_GROUPS_VERSION: i16 = 3;
const JOIN_GROUP_VERSION: i16 = 5;
const SYNC_GROUP_VERSION: i16 = 3;
const HEARTBEAT_VERSION: i16 = 3;
const LEAVE_GROUP_VERSION: i16 = 3;
const OFFSET_COMMIT_VERSION: i16 = 7;

/// What is to be asked: `Find` any broker, the others the coordinator.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Which broker coordinates the group, and how many partitions the topic has.
    Find(FindCoordinatorRequest, MetadataRequest),
    /// Who is in the group.
    Describe(DescribeGroupsRequest),
    /// To be a member of the next generation.
    Join(JoinGroupRequest),
    /// The plan; the leader brings it.
    Sync(SyncGroupRequest),
    /// Whether all is as it was.
    Heartbeat(HeartbeatRequest),
    /// To keep positions for tools.
    Commit(OffsetCommitRequest),
    /// To be a member no more.
    Leave(LeaveGroupRequest),
}

/// What was answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To [`Call::Find`].
    Found(FindCoordinatorResponse, i32),
    /// To [`Call::Describe`].
    Described(DescribeGroupsResponse),
    /// To [`Call::Join`].
    Joined(JoinGroupResponse),
    /// To [`Call::Sync`].
    Synced(SyncGroupResponse),
    /// To [`Call::Heartbeat`].
    Beaten(HeartbeatResponse),
    /// To [`Call::Commit`].
    Committed(OffsetCommitResponse),
    /// To [`Call::Leave`].
    Left(LeaveGroupResponse),
}

impl Call {
    /// Asks a broker, and waits for the answer without a limit of its own.
    pub(super) async fn ask(&self, at: &mut Connection) -> Result<Answer, KafkaError> {
        Ok(match self {
            Self::Find(group, topic) => {
                let found = at.request(group, FIND_COORDINATOR_VERSION).await?;
                let topics = at.request(topic, METADATA_VERSION).await?.topics;
                let partitions = topics.first().map_or(0, |topic| topic.partitions.len());
                Answer::Found(found, i32::try_from(partitions).unwrap_or(i32::MAX))
            }
            Self::Describe(it) => Answer::Described(at.request(it, DESCRIBE_GROUPS_VERSION).await?),
            Self::Join(it) => Answer::Joined(at.request(it, JOIN_GROUP_VERSION).await?),
            Self::Sync(it) => Answer::Synced(at.request(it, SYNC_GROUP_VERSION).await?),
            Self::Heartbeat(it) => Answer::Beaten(at.request(it, HEARTBEAT_VERSION).await?),
            Self::Commit(it) => Answer::Committed(at.request(it, OFFSET_COMMIT_VERSION).await?),
            Self::Leave(it) => Answer::Left(at.request(it, LEAVE_GROUP_VERSION).await?),
        })
    }
}

/// Who asks, as each request names it.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) group: GroupId,
    pub(super) instance: Option<StrBytes>,
    /// Empty before the coordinator gave one.
    pub(super) member: StrBytes,
    pub(super) generation: i32,
}

impl Who {
    pub(super) fn new(config: &GroupConfig) -> Self {
        Self {
            group: GroupId(StrBytes::from_string(config.group.clone())),
            instance: config.instance.clone().map(StrBytes::from_string),
            member: StrBytes::default(),
            generation: -1,
        }
    }

    pub(super) fn find(&self, topic: &str) -> Call {
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
        let topics = MetadataRequest::default()
            .with_topics(Some(vec![topic]))
            .with_allow_auto_topic_creation(false);
        // The default kind of key is a group.
        Call::Find(FindCoordinatorRequest::default().with_key(self.group.0.clone()), topics)
    }

    pub(super) fn describe(&self) -> Call {
        Call::Describe(DescribeGroupsRequest::default().with_groups(vec![self.group.clone()]))
    }

    pub(super) fn join(&self, timing: Timing, brings: Bytes) -> Call {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(PROTOCOL))
            .with_metadata(brings);
        let request = JoinGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_session_timeout_ms(millis(timing.session))
            .with_rebalance_timeout_ms(millis(timing.rebalance()))
            .with_member_id(self.member.clone())
            .with_group_instance_id(self.instance.clone())
            .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
            .with_protocols(vec![protocol]);
        Call::Join(request)
    }

    pub(super) fn sync(&self, plan: Vec<(StrBytes, Bytes)>) -> Call {
        let assignment = |(member, bytes)| {
            SyncGroupRequestAssignment::default().with_member_id(member).with_assignment(bytes)
        };
        let request = SyncGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id(self.generation)
            .with_member_id(self.member.clone())
            .with_group_instance_id(self.instance.clone())
            .with_assignments(plan.into_iter().map(assignment).collect());
        Call::Sync(request)
    }

    pub(super) fn heartbeat(&self) -> Call {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id(self.generation)
            .with_member_id(self.member.clone())
            .with_group_instance_id(self.instance.clone());
        Call::Heartbeat(request)
    }

    pub(super) fn commit(&self, topic: &str, positions: &[(Partition, Offset)]) -> Call {
        let partition = |(partition, offset): &(Partition, Offset)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(partition.0)
                .with_committed_offset(offset.0)
                .with_committed_metadata(Some(StrBytes::default()))
        };
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(positions.iter().map(partition).collect());
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(self.member.clone())
            .with_group_instance_id(self.instance.clone())
            .with_topics(vec![topic]);
        Call::Commit(request)
    }

    pub(super) fn leave(&self) -> Call {
        let member = MemberIdentity::default()
            .with_member_id(self.member.clone())
            .with_group_instance_id(self.instance.clone());
        let request = LeaveGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_members(vec![member]);
        Call::Leave(request)
    }
}

/// Why positions were not kept, if some were not.
pub(super) fn not_kept(committed: &OffsetCommitResponse) -> Option<String> {
    let partitions = committed.topics.iter().flat_map(|topic| &topic.partitions);
    let failed = partitions.map(|one| one.error_code).find(|code| *code != 0);
    failed.map(|code| format!("positions are not kept: {}", said(code)))
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
