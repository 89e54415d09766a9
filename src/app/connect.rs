//! Builds the real ports. A dependency that is away is waited for, with a line now and then; one
//! that refuses (login, topic) ends the start with one clear line.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::tls;
use crate::config::{Config, SaslMechanism};
use crate::kafka::ensure_topic;
use crate::kafka::{Cluster, KafkaConfig, KafkaError, KafkaLog, KafkaProducer, Mechanism, Sasl};
use crate::pipeline::Shared;
use crate::pipeline::backoff::Backoff;
use crate::redis::{self, Client, RedisCheckpoint, RedisConfig, RedisNames, RedisView};

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
    shared: &Shared,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Real>> {
    let redis = redis_config(config)?;
    let client = redis::connect(&redis).context("REDIS_ADDR")?;
    let view = redis::connect(&redis).context("REDIS_ADDR")?;
    tokio::spawn(warn_of_eviction(client.clone()));
    let kafka = kafka_config(config)?;
    let kafka = tokio::select! {
        () = stop.cancelled() => return Ok(None),
        kafka = kafka_ports(config, kafka, shared) => kafka?,
    };
    let owner = owner(shared);
    let (prefix, group) = (&config.redis_key_prefix, &config.kafka_consumer_group);
    let checkpoint = RedisCheckpoint::new(client, prefix, group, &config.kafka_topic, owner);
    let names_store = RedisNames::new(view.clone(), prefix);
    let view = RedisView::new(view, prefix, view_ttl_seconds(config.publish_interval));
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
            Err(cause @ (KafkaError::Login { .. } | KafkaError::NoTopic { .. })) => {
                return Err(cause).context("Kafka");
            }
            Err(cause) => {
                shared.status.progressed(shared.clock.now());
                shared.status.set_component("kafka", Err(format!("waiting for it: {cause}")));
                if backoff.worth_a_line() {
                    warn!(%cause, "the start waits for the brokers");
                }
                backoff.wait().await;
            }
        }
    }
}

async fn attempt(config: &Config, kafka: KafkaConfig) -> Result<KafkaPorts, KafkaError> {
    let cluster = Cluster::connect(kafka, CONNECT_DEADLINE).await?;
    let client = cluster.client().await?;
    let topics = [Some(&config.kafka_topic), Some(&config.aggregate_topic)]
        .into_iter()
        .chain([config.dlq_topic.as_ref(), config.token_info_topic.as_ref()]);
    for topic in topics.flatten() {
        if ensure_topic(&client, topic, TOPIC_PARTITIONS).await? {
            info!(topic, partitions = TOPIC_PARTITIONS, "topic created: it was missing");
        }
    }
    let dead_letters = config.dlq_topic.as_deref();
    let producer = KafkaProducer::new(&cluster, &config.aggregate_topic, dead_letters).await?;
    let log = KafkaLog::new(Arc::clone(&cluster), config.kafka_topic.as_str());
    let names_log = config.token_info_topic.as_deref().map(|topic| KafkaLog::new(cluster, topic));
    Ok(KafkaPorts { log, producer, names_log })
}

fn kafka_config(config: &Config) -> anyhow::Result<KafkaConfig> {
    let ca = config.kafka_tls_ca.as_deref();
    let tls = config.kafka_tls.then(|| tls::client(ca).context("KAFKA_TLS_CA")).transpose()?;
    let sasl = match (
        config.kafka_sasl_mechanism,
        &config.kafka_sasl_username,
        &config.kafka_sasl_password,
    ) {
        (Some(mechanism), Some(username), Some(password)) => Some(Sasl {
            mechanism: match mechanism {
                SaslMechanism::Plain => Mechanism::Plain,
                SaslMechanism::ScramSha256 => Mechanism::ScramSha256,
                SaslMechanism::ScramSha512 => Mechanism::ScramSha512,
            },
            username: username.clone(),
            password: password.expose().to_owned(),
        }),
        _ => None,
    };
    let client_id = config.kafka_consumer_group.clone();
    Ok(KafkaConfig { brokers: config.kafka_brokers.clone(), client_id, tls, sasl })
}

fn redis_config(config: &Config) -> anyhow::Result<RedisConfig> {
    let wanted = config.redis_tls || config.redis_addr.starts_with("rediss");
    let ca = config.redis_tls_ca.as_deref();
    let tls = wanted.then(|| tls::client(ca).context("REDIS_TLS_CA")).transpose()?;
    Ok(RedisConfig {
        addr: config.redis_addr.clone(),
        password: config.redis_password.as_ref().map(|password| password.expose().to_owned()),
        username: config.redis_username.clone(),
        db: config.redis_db,
        tls,
        key_prefix: config.redis_key_prefix.clone(),
    })
}

/// A fencing token that never was: no two share one, after Redis came back empty neither.
pub(super) fn owner(shared: &Shared) -> String {
    format!("{}:{:016x}", shared.clock.now().0, rand::random::<u64>())
}

/// A view entry is out of date when two ticks have passed without a newer one.
fn view_ttl_seconds(publish_interval: Duration) -> u32 {
    let two_ticks = publish_interval.as_secs().saturating_mul(2).saturating_add(1);
    u32::try_from(two_ticks).unwrap_or(u32::MAX)
}

/// A Redis that evicts throws the checkpoint away when memory is short.
async fn warn_of_eviction(client: Client) {
    if client.wait_until_reachable(REDIS_PATIENCE).await.is_err() {
        return; // the checkpoint itself says that Redis is away
    }
    match client.policy().await {
        Ok(policy) if policy != "noeviction" => {
            warn!(policy, "Redis may evict the checkpoint: set maxmemory-policy noeviction");
        }
        Ok(_) => {}
        Err(cause) => warn!(%cause, "Redis does not tell its maxmemory-policy"),
    }
}

/// How long one attempt to connect may take before a line is due.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// How long the eviction policy is asked for.
const REDIS_PATIENCE: Duration = Duration::from_secs(30);

/// Partitions of a topic that is created because it was missing.
const TOPIC_PARTITIONS: i32 = 3;
