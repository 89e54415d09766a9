//! Builds the real ports. A dependency that is away is waited for, which the log says; one
//! that refuses (login, topic) ends the start with one clear line.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::access::{self, Access};
use super::topics;
use crate::config::{Config, ConfigError};
use crate::domain::token::Shards;
use crate::kafka::{self, Cluster, KafkaConfig, KafkaError, KafkaLog, KafkaProducer};
use crate::pipeline::Shared;
use crate::pipeline::backoff::Backoff;
use crate::ports::CheckpointError;
use crate::redis::{self, Client, RedisCheckpoint, RedisConfig, RedisError, RedisNames, RedisView};
use crate::status::Component;

/// The real ports.
pub(super) struct Real {
    pub(super) log: Arc<KafkaLog>,
    pub(super) producer: Arc<KafkaProducer>,
    pub(super) checkpoint: Arc<RedisCheckpoint>,
    pub(super) view: Arc<RedisView>,
    /// Where names are read; `None` where `TOKEN_INFO_TOPIC` is off.
    pub(super) names_log: Option<Arc<KafkaLog>>,
    pub(super) names_store: Arc<RedisNames>,
}

/// What Kafka gives.
struct KafkaPorts {
    log: KafkaLog,
    producer: KafkaProducer,
    names_log: Option<KafkaLog>,
}

/// Connects to everything; `None` if it was stopped meanwhile.
///
/// # Errors
/// What waiting cannot cure.
pub(super) async fn all(
    config: &Config,
    access: Access,
    shared: &Shared,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Real>> {
    let Access { kafka, redis, .. } = access;
    let asked = kafka.clone();
    let unusable = |cause: RedisError| ConfigError(vec![format!("REDIS_ADDR: {cause}")]);
    let client = redis::connect(&redis).map_err(unusable)?;
    let view = redis::connect(&redis).map_err(unusable)?;
    let both = async {
        tokio::try_join!(kafka_ports(config, kafka, shared), redis_ready(&client, &redis, shared))
    };
    let (kafka, ()) = tokio::select! {
        () = stop.cancelled() => return Ok(None),
        both = both => both?,
    };
    tokio::spawn(warn_of_eviction(client.clone()));
    let longest = config.windows.longest();
    tokio::spawn(topics::warn_of_retention(asked, config.kafka_topic.clone(), longest));
    let owner = owner(shared);
    let (prefix, group) = (&config.redis_key_prefix, &config.kafka_consumer_group);
    let name = (group.as_str(), config.kafka_topic.as_str());
    let checkpoint = RedisCheckpoint::new(client, prefix, name, config.shards, owner);
    tokio::select! {
        () = stop.cancelled() => return Ok(None),
        fixed = shards_fixed(&checkpoint, config.shards, shared) => fixed?,
    }
    let names_store = RedisNames::new(view.clone(), prefix);
    let view = RedisView::new(view, prefix, view_ttl_seconds(config.emission().whole()));
    Ok(Some(Real {
        log: Arc::new(kafka.log),
        producer: Arc::new(kafka.producer),
        checkpoint: Arc::new(checkpoint),
        view: Arc::new(view),
        names_log: kafka.names_log.map(Arc::new),
        names_store: Arc::new(names_store),
    }))
}

async fn kafka_ports(
    config: &Config,
    kafka: KafkaConfig,
    shared: &Shared,
) -> anyhow::Result<KafkaPorts> {
    let mut backoff = Backoff::new();
    loop {
        match attempt(config, kafka.clone()).await {
            Ok(ports) => return Ok(ports),
            Err(cause @ KafkaError::Refused { refusal, .. }) => {
                return Err(cause).context(access::kafka_variables(config, refusal));
            }
            Err(cause @ KafkaError::NoTopic { .. }) => return Err(cause).context("Kafka"),
            Err(cause) => shared.start_waits(Component::Kafka, &cause, &mut backoff).await,
        }
    }
}

async fn attempt(config: &Config, kafka: KafkaConfig) -> Result<KafkaPorts, KafkaError> {
    let cluster = Cluster::connect(kafka, CONNECT_DEADLINE).await?;
    for topic in kafka::ensure_topics(&cluster, &topics::wanted(config)).await? {
        info!(topic, partitions = kafka::NEW_PARTITIONS, "topic created: it was missing");
    }
    let dead_letters = config.dlq_topic.as_deref();
    let producer = KafkaProducer::new(&cluster, &config.aggregate_topic, dead_letters).await?;
    let log = KafkaLog::new(Arc::clone(&cluster), config.kafka_topic.as_str());
    let names_log = config.token_info_topic.as_deref().map(|topic| KafkaLog::new(cluster, topic));
    Ok(KafkaPorts { log, producer, names_log })
}

/// Waits for Redis; ends where it answers and refuses.
async fn redis_ready(client: &Client, config: &RedisConfig, shared: &Shared) -> anyhow::Result<()> {
    let mut backoff = Backoff::new();
    loop {
        match redis::admitted(client, config).await {
            Ok(()) => return Ok(()),
            Err(cause @ RedisError::Refused { refusal, .. }) => {
                return Err(cause).context(access::redis_variables(refusal));
            }
            Err(cause) => shared.start_waits(Component::Checkpoint, &cause, &mut backoff).await,
        }
    }
}

/// The checkpoint is spread over so many shards: from the first start on, for good.
async fn shards_fixed(
    checkpoint: &RedisCheckpoint,
    shards: Shards,
    shared: &Shared,
) -> anyhow::Result<()> {
    let mut backoff = Backoff::new();
    loop {
        match checkpoint.fix_shards().await {
            Ok(()) => return Ok(()),
            Err(CheckpointError::OtherShards { found, .. }) => {
                let (configured, keys) = (shards.count(), checkpoint.pattern());
                return Err(ConfigError(vec![format!(
                    "SHARDS: {configured} is not what the checkpoint in Redis is spread over; \
                     accepted: {found}, or another number once all instances are stopped and the \
                     keys {keys:?} are deleted: then the windows are rebuilt from Kafka"
                )])
                .into());
            }
            Err(cause) if cause.is_final() => {
                return Err(cause).context("the service cannot start");
            }
            Err(cause) => shared.start_waits(Component::Checkpoint, &cause, &mut backoff).await,
        }
    }
}

/// A fencing token that never was: no two share one, after Redis came back empty neither.
pub(super) fn owner(shared: &Shared) -> String {
    format!("{}:{:016x}", shared.clock.now().0, rand::random::<u64>())
}

/// A view entry is out of date when two ticks of all tokens have passed without a newer one.
fn view_ttl_seconds(whole: Duration) -> u32 {
    let two_ticks = whole.as_secs().saturating_mul(2).saturating_add(1);
    u32::try_from(two_ticks).unwrap_or(u32::MAX)
}

/// A Redis that evicts throws the checkpoint away when memory is short.
async fn warn_of_eviction(client: Client) {
    match client.policy().await {
        Ok(policy) if policy != "noeviction" => {
            warn!(
                policy,
                action = "set maxmemory-policy noeviction, or the checkpoint is written anew often",
                "Redis may evict the checkpoint: set maxmemory-policy noeviction"
            );
        }
        Ok(_) => {}
        Err(cause) => warn!(
            %cause,
            action = "make sure that it is noeviction",
            "Redis does not tell its maxmemory-policy: the service goes on"
        ),
    }
}

/// How long one attempt to connect may take before a line is due.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
