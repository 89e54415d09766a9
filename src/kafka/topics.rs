//! Topics made, and made more: created where they are missing, their retention and partitions
//! raised. One code for the start and for `topics`. Never deletes one, never makes anything less.

use std::time::Duration;

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, IncrementalAlterConfigsRequest,
};
use kafka_protocol::protocol::StrBytes;
use rskafka::client::error::ProtocolError;
use tokio::time::{sleep, timeout};

use super::admin::{Admin, Found, TOPIC_RESOURCE, Topic, held_back};
use super::connect::{Cluster, KafkaError};
use super::raw::topic_name;
use super::wanted::{Lack, NEW_PARTITIONS, Wanted};

/// Makes sure that these topics exist; somebody else may be creating them at the same time.
/// Answers which were missing.
///
/// # Errors
/// `NoTopic` where one is missing and the brokers refuse to create it, otherwise as they came.
pub async fn ensure_topics(
    cluster: &Cluster,
    wanted: &[Wanted],
) -> Result<Vec<String>, KafkaError> {
    let listed = cluster.topics().await?;
    let missing: Vec<_> = wanted.iter().filter(|topic| !listed.contains(&topic.name)).collect();
    let Some(first) = missing.first() else { return Ok(Vec::new()) };
    let creation = async {
        let mut admin = Admin::controller(cluster.config()).await?;
        for (topic, created) in missing.iter().zip(create(&mut admin, &missing, false).await?) {
            created.map_err(|cause| KafkaError::NoTopic { topic: topic.name.clone(), cause })?;
        }
        for topic in &missing {
            while cluster.partitions(&topic.name).await?.is_empty() {
                sleep(LOOK_PAUSE).await;
            }
        }
        Ok(missing.iter().map(|topic| topic.name.clone()).collect())
    };
    match timeout(CREATE_LIMIT, creation).await {
        Ok(created) => created,
        Err(_) => Err(KafkaError::NoTopic {
            topic: first.name.clone(),
            cause: format!("no answer within {CREATE_LIMIT:?}"),
        }),
    }
}

/// Creates these topics, or only asks whether they could be: for each what speaks against it. One
/// that is there by now is right.
///
/// # Errors
/// No answer.
pub async fn create(
    admin: &mut Admin,
    wanted: &[&Wanted],
    only_ask: bool,
) -> Result<Vec<Result<(), String>>, KafkaError> {
    let mut results = Vec::with_capacity(wanted.len());
    for topic in wanted {
        let asked = topic.replicas.unwrap_or(DEFAULT_REPLICAS);
        let mut result = create_one(admin, topic, asked, only_ask).await?;
        if matches!(result, Err((ProtocolError::InvalidReplicationFactor, _)))
            && topic.replicas.is_none()
        {
            // Fewer brokers than their own default wants, or an old one that has none.
            result = create_one(admin, topic, 1, only_ask).await?;
        }
        results.push(match result {
            Err((ProtocolError::TopicAlreadyExists, _)) => Ok(()),
            result => result.map_err(|(_, said)| said),
        });
    }
    Ok(results)
}

/// Makes up for what a topic lacks.
///
/// # Errors
/// What the broker says against it, or that it did not answer.
pub async fn alter(admin: &mut Admin, wanted: &Wanted, lack: &Lack) -> Result<(), KafkaError> {
    let said = match lack {
        Lack::Partitions(count) => add_partitions(admin, &wanted.name, *count).await?,
        Lack::Retention(_) => raise_retention(admin, wanted).await?,
        Lack::Replicas(_) | Lack::Compacted | Lack::NotCompacted => Ok(()),
    };
    said.map_err(|(_, said)| KafkaError::Down(said))
}

/// Waits until a topic is as it was made: brokers learn of a change after the controller.
///
/// # Errors
/// It is not, in time, or the broker does not answer.
pub async fn settled(
    admin: &mut Admin,
    name: &str,
    is_made: impl Fn(&Topic) -> bool,
) -> Result<(), KafkaError> {
    let looking = async {
        loop {
            match admin.topics(&[name]).await?.pop() {
                Some(Found::There(topic)) if is_made(&topic) => return Ok(()),
                _ => sleep(LOOK_PAUSE).await,
            }
        }
    };
    let late = |_| KafkaError::Down(format!("not seen within {CREATE_LIMIT:?}"));
    timeout(CREATE_LIMIT, looking).await.map_err(late)?
}

/// What an answer says against what was asked.
type Said = Result<(), (ProtocolError, String)>;

async fn create_one(
    admin: &mut Admin,
    wanted: &Wanted,
    replicas: i16,
    only_ask: bool,
) -> Result<Said, KafkaError> {
    let policy = wanted.cleanup_policy().to_owned();
    let settings = [("cleanup.policy", policy), ("retention.ms", wanted.retention_ms())];
    let settings = settings.map(|(name, value)| {
        let value = Some(StrBytes::from_string(value));
        CreatableTopicConfig::default().with_name(name.into()).with_value(value)
    });
    let topic = CreatableTopic::default()
        .with_name(topic_name(&wanted.name))
        .with_num_partitions(wanted.partitions.unwrap_or(NEW_PARTITIONS))
        .with_replication_factor(replicas)
        .with_configs(settings.to_vec());
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(CHANGE_MS)
        .with_validate_only(only_ask);
    let answer = admin.ask(&request, CREATE_TOPICS_VERSION).await?;
    let result = answer.topics.into_iter().next().ok_or_else(held_back)?;
    Ok(said(result.error_code, result.error_message))
}

async fn add_partitions(admin: &mut Admin, name: &str, count: i32) -> Result<Said, KafkaError> {
    let topic = CreatePartitionsTopic::default()
        .with_name(topic_name(name))
        .with_count(count)
        .with_assignments(None);
    let request =
        CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(CHANGE_MS);
    let answer = admin.ask(&request, CREATE_PARTITIONS_VERSION).await?;
    let result = answer.results.into_iter().next().ok_or_else(held_back)?;
    Ok(said(result.error_code, result.error_message))
}

async fn raise_retention(admin: &mut Admin, wanted: &Wanted) -> Result<Said, KafkaError> {
    let setting = AlterableConfig::default()
        .with_name("retention.ms".into())
        .with_config_operation(SET)
        .with_value(Some(StrBytes::from_string(wanted.retention_ms())));
    let topic = AlterConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(StrBytes::from_string(wanted.name.clone()))
        .with_configs(vec![setting]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![topic]);
    let answer = admin.ask(&request, ALTER_CONFIGS_VERSION).await?;
    let result = answer.responses.into_iter().next().ok_or_else(held_back)?;
    Ok(said(result.error_code, result.error_message))
}

fn said(code: i16, message: Option<StrBytes>) -> Said {
    let Some(error) = ProtocolError::new(code) else { return Ok(()) };
    let message = message.as_deref().unwrap_or_default();
    Err((error, format!("{error} {message}").trim_end().to_owned()))
}

/// When the creation is given up: creating, and then until every partition is seen.
const CREATE_LIMIT: Duration = Duration::from_secs(30);

/// Between two looks whether a new topic is there: brokers learn of it within some milliseconds.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// What a broker may take for one change: below the limit of an answer, so that it says why.
const CHANGE_MS: i32 = 4_000;

/// The brokers' own `default.replication.factor`, understood since Kafka 2.4.
const DEFAULT_REPLICAS: i16 = -1;

/// Kafka's number for setting a setting.
const SET: i8 = 0;

/// Versions that Kafka 2.8 to 4.x and Redpanda all speak.
const CREATE_TOPICS_VERSION: i16 = 4;
const CREATE_PARTITIONS_VERSION: i16 = 1;
const ALTER_CONFIGS_VERSION: i16 = 0;
