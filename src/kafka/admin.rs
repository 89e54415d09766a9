//! Questions about the cluster, and changes of topics, on a connection of our own: what `rskafka`
//! does not ask. Each request is bounded. Changes nothing but what its caller names, and decides
//! nothing: what is right is `topics`' and `check`'s matter.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, DescribeConfigsRequest, DescribeGroupsRequest,
    FindCoordinatorRequest, ListOffsetsRequest, MetadataRequest, MetadataResponse,
};
use kafka_protocol::protocol::{Request, StrBytes};
use rskafka::client::error::ProtocolError;
use tokio::time::timeout;

use super::connect::{KafkaConfig, KafkaError};
use super::raw::{Connection, METADATA_VERSION, check, topic_name};
use super::release;
use crate::domain::time::WallMs;

/// A connection to one broker, for questions and changes.
pub struct Admin {
    connection: Connection,
    versions: BTreeMap<i16, i16>,
    metadata: MetadataResponse,
    /// `host:port` that it goes to.
    pub address: String,
}

/// What a cluster says of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none of this name.
    Missing,
    /// We may not even know whether it exists.
    Hidden,
    /// It exists.
    There(Topic),
}

/// A topic as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    /// How many partitions it has.
    pub partitions: usize,
    /// Copies of the partition that has the fewest.
    pub replicas: usize,
    /// Copies in step, of the partition that has the fewest.
    pub in_step: usize,
    /// Partitions that nobody leads.
    pub leaderless: usize,
    /// What we may do, as a bit for each of Kafka's operations; `None` where it is not told.
    pub rights: Option<i32>,
    /// Its settings by name; `None` where we may not see them.
    pub settings: Option<BTreeMap<String, String>>,
}

/// A program in a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name that it gave itself.
    pub client: String,
    /// Where it is.
    pub host: String,
}

impl Admin {
    /// Connects to the broker at `address` and asks what it speaks.
    ///
    /// # Errors
    /// It cannot be reached, refuses, or is silent.
    pub async fn connect(config: &KafkaConfig, address: &str) -> Result<Self, KafkaError> {
        let (mut connection, metadata) = bounded(Connection::probe(config, address)).await?;
        let request = ApiVersionsRequest::default();
        let spoken = bounded(connection.request(&request, API_VERSIONS_VERSION)).await?;
        check(spoken.error_code)?;
        let highest = |api: &ApiVersion| (api.api_key, api.max_version);
        let versions = spoken.api_keys.iter().map(highest).collect();
        Ok(Self { connection, versions, metadata, address: address.to_owned() })
    }

    /// Connects to the first of the configured brokers that answers.
    ///
    /// # Errors
    /// None does: what the last one said.
    pub async fn any(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let mut failure = KafkaError::Down("no broker is configured".to_owned());
        for address in &config.brokers {
            match Self::connect(config, address).await {
                Ok(admin) => return Ok(admin),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Connects to the cluster's controller, which before KRaft alone took changes.
    ///
    /// # Errors
    /// No broker can be reached, or the controller cannot.
    pub async fn controller(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let any = Self::any(config).await?;
        let controller = any.metadata.controller_id.0;
        let at = any.brokers().find(|(id, _)| *id == controller).map(|(_, at)| at);
        match at.filter(|at| *at != any.address) {
            Some(at) => Self::connect(config, &at).await,
            None => Ok(any),
        }
    }

    /// The cluster's id, where it has one.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.metadata.cluster_id.as_deref()
    }

    /// The brokers by number, at the addresses that they tell to clients.
    pub fn brokers(&self) -> impl Iterator<Item = (i32, String)> {
        let brokers = self.metadata.brokers.iter();
        brokers.map(|broker| (broker.node_id.0, format!("{}:{}", &*broker.host, broker.port)))
    }

    /// The release whose requests it understands, as far as that tells.
    #[must_use]
    pub fn release(&self) -> Option<&'static str> {
        release::of(&self.versions)
    }

    /// What the cluster says of these topics, in their order.
    ///
    /// # Errors
    /// No answer, or one that is not about these topics.
    pub async fn topics(&mut self, names: &[&str]) -> Result<Vec<Found>, KafkaError> {
        let version = self.highest(ApiKey::Metadata).clamp(METADATA_VERSION, RIGHTS_VERSION);
        let asked = names
            .iter()
            .map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
        let request = MetadataRequest::default()
            .with_topics(Some(asked.collect()))
            .with_allow_auto_topic_creation(false)
            .with_include_topic_authorized_operations(version >= RIGHTS_VERSION);
        let answer = self.ask(&request, version).await?;
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let is_it = |topic: &&MetadataResponseTopic| {
                topic.name.as_ref().is_some_and(|found| &*found.0 == *name)
            };
            let topic = answer.topics.iter().find(is_it).ok_or_else(held_back)?;
            found.push(match ProtocolError::new(topic.error_code) {
                None | Some(ProtocolError::LeaderNotAvailable) => {
                    Found::There(Topic { settings: self.settings(name).await?, ..layout(topic) })
                }
                Some(ProtocolError::UnknownTopicOrPartition) => Found::Missing,
                Some(ProtocolError::TopicAuthorizationFailed) => Found::Hidden,
                Some(error) => return Err(KafkaError::Broker(error)),
            });
        }
        Ok(found)
    }

    /// A topic's settings in force; `None` where we may not see them.
    async fn settings(
        &mut self,
        topic: &str,
    ) -> Result<Option<BTreeMap<String, String>>, KafkaError> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(StrBytes::from_string(topic.to_owned()))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.ask(&request, DESCRIBE_CONFIGS_VERSION).await?;
        let result = answer.results.into_iter().next().ok_or_else(held_back)?;
        match ProtocolError::new(result.error_code) {
            None => {}
            Some(
                ProtocolError::TopicAuthorizationFailed | ProtocolError::ClusterAuthorizationFailed,
            ) => return Ok(None),
            Some(error) => return Err(KafkaError::Broker(error)),
        }
        let known = result.configs.into_iter();
        let known = known.filter_map(|one| Some((one.name.to_string(), one.value?.to_string())));
        Ok(Some(known.collect()))
    }

    /// The timestamp of the newest record of a topic, where the brokers tell it and there is one.
    ///
    /// # Errors
    /// No answer.
    pub async fn newest(
        &mut self,
        config: &KafkaConfig,
        topic: &str,
    ) -> Result<Option<WallMs>, KafkaError> {
        if self.highest(ApiKey::ListOffsets) < NEWEST_VERSION {
            return Ok(None);
        }
        let asked = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![asked]))
            .with_allow_auto_topic_creation(false);
        let listed = self.ask(&request, METADATA_VERSION).await?;
        let mut by_leader: BTreeMap<i32, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for partition in listed.topics.iter().flat_map(|topic| &topic.partitions) {
            let asked = ListOffsetsPartition::default()
                .with_partition_index(partition.partition_index)
                .with_timestamp(NEWEST);
            by_leader.entry(partition.leader_id.0).or_default().push(asked);
        }
        let mut newest = None;
        for (leader, partitions) in by_leader {
            let Some((_, address)) = self.brokers().find(|(id, _)| *id == leader) else { continue };
            let mut leader = Self::connect(config, &address).await?;
            let asked = ListOffsetsTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(partitions);
            let request =
                ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![asked]);
            let answer = leader.ask(&request, NEWEST_VERSION).await?;
            let answers = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let told = answers.filter(|one| one.error_code == 0 && one.timestamp >= 0);
            newest = newest.max(told.map(|one| WallMs(one.timestamp)).max());
        }
        Ok(newest)
    }

    /// Who is in a consumer group; `None` where we may not see it. Asks nobody where no group ever
    /// was: the question itself would create the topic of the groups.
    ///
    /// # Errors
    /// No answer.
    pub async fn members(
        &mut self,
        config: &KafkaConfig,
        group: &str,
    ) -> Result<Option<Vec<Member>>, KafkaError> {
        match self.topics(&[GROUPS_TOPIC]).await?.first() {
            Some(Found::There(_)) => {}
            Some(Found::Missing) => return Ok(Some(Vec::new())),
            Some(Found::Hidden) | None => return Ok(None),
        }
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_string(group.to_owned()))
            .with_key_type(GROUP_KEY);
        let at = self.ask(&request, FIND_COORDINATOR_VERSION).await?;
        if is_forbidden(at.error_code) {
            return Ok(None);
        }
        check(at.error_code)?;
        let address = format!("{}:{}", &*at.host, at.port);
        let mut coordinator = Self::connect(config, &address).await?;
        let group = StrBytes::from_string(group.to_owned()).into();
        let request = DescribeGroupsRequest::default().with_groups(vec![group]);
        let group = loop {
            let answer = coordinator.ask(&request, DESCRIBE_GROUPS_VERSION).await?;
            let group = answer.groups.into_iter().next().ok_or_else(held_back)?;
            // Whoever asks gives up in the end.
            let said = ProtocolError::new(group.error_code);
            if !matches!(said, Some(ProtocolError::CoordinatorLoadInProgress)) {
                break group;
            }
            tokio::time::sleep(LOADING_PAUSE).await;
        };
        if is_forbidden(group.error_code) {
            return Ok(None);
        }
        check(group.error_code)?;
        let member = |client: &str, host: &str| Member {
            client: client.to_owned(),
            host: host.trim_start_matches('/').to_owned(),
        };
        let members = group.members.iter();
        Ok(Some(members.map(|one| member(&one.client_id, &one.client_host)).collect()))
    }

    /// One request, answered in time.
    pub(super) async fn ask<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, KafkaError> {
        bounded(self.connection.request(request, version)).await
    }

    fn highest(&self, api: ApiKey) -> i16 {
        self.versions.get(&(api as i16)).copied().unwrap_or(-1)
    }
}

/// The answer holds nothing of what was asked for.
pub(super) fn held_back() -> KafkaError {
    KafkaError::Down("the broker held its answer back".to_owned())
}

fn layout(topic: &MetadataResponseTopic) -> Topic {
    let least = |lengths: &mut dyn Iterator<Item = usize>| lengths.min().unwrap_or_default();
    let partitions = &topic.partitions;
    let rights = topic.topic_authorized_operations;
    Topic {
        partitions: partitions.len(),
        replicas: least(&mut partitions.iter().map(|one| one.replica_nodes.len())),
        in_step: least(&mut partitions.iter().map(|one| one.isr_nodes.len())),
        leaderless: partitions.iter().filter(|one| one.leader_id.0 < 0).count(),
        rights: (rights != RIGHTS_NOT_TOLD).then_some(rights),
        settings: None,
    }
}

fn is_forbidden(code: i16) -> bool {
    matches!(
        ProtocolError::new(code),
        Some(ProtocolError::GroupAuthorizationFailed | ProtocolError::ClusterAuthorizationFailed)
    )
}

async fn bounded<T>(asking: impl Future<Output = Result<T, KafkaError>>) -> Result<T, KafkaError> {
    match timeout(ANSWER_LIMIT, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(KafkaError::Down(format!("no answer within {ANSWER_LIMIT:?}"))),
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Admin").field(&self.address).finish()
    }
}

/// One answer: a broker that has work gives it in milliseconds, and who waits is a person.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Versions that Kafka 2.8 to 4.x and Redpanda all speak.
const API_VERSIONS_VERSION: i16 = 0;
const DESCRIBE_CONFIGS_VERSION: i16 = 1;
const FIND_COORDINATOR_VERSION: i16 = 2;
const DESCRIBE_GROUPS_VERSION: i16 = 3;

/// Since this version of `Metadata` a topic says what we may do.
const RIGHTS_VERSION: i16 = 8;

/// Since this version of `ListOffsets` the newest timestamp can be asked for: Kafka 3.0.
const NEWEST_VERSION: i16 = 7;

/// Stands for the newest timestamp in the place of one.
const NEWEST: i64 = -3;

/// What a broker says that does not tell rights.
const RIGHTS_NOT_TOLD: i32 = i32::MIN;

/// Kafka's number for topics among the things that have settings.
pub(super) const TOPIC_RESOURCE: i8 = 2;

/// A broker that has just begun to coordinate reads its groups first.
const LOADING_PAUSE: Duration = Duration::from_millis(100);

/// Kafka's number for groups among the things that have a coordinator.
const GROUP_KEY: i8 = 0;

/// Where the brokers keep their groups.
const GROUPS_TOPIC: &str = "__consumer_offsets";
