//! Asks Kafka: the brokers one by one, then its topics and the group, each within a bound.

use std::future::Future;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use crate::app::{SystemClock, access, topics as plan};
use crate::check::brokers::{self, Answer, Away, Reached};
use crate::check::topics::{self, Scale, Seen};
use crate::check::{Finding, Findings, TOPICS};
use crate::config::Config;
use crate::domain::time::WallMs;
use crate::kafka::{self, ANSWER_LIMIT, Admin, Found, KafkaConfig, KafkaError, Member};
use crate::ports::Clock;

/// What came of it.
pub(super) struct Looked {
    pub(super) findings: Vec<Finding>,
    /// How long the input is kept; `None` where that is not told.
    pub(super) input_kept: Option<Duration>,
}

pub(super) async fn look(config: &Config, kafka: &KafkaConfig) -> Looked {
    let configured = join_all(kafka.brokers.iter().map(|at| reach(config, kafka, at))).await;
    let told = told(&configured).into_iter();
    let told = told.map(|(id, at)| async move { (id, reach(config, kafka, &at).await) });
    let told = join_all(told).await;
    let mut found = brokers::findings(&configured, &told);
    let first = configured.iter().find_map(|(at, answer)| Some((at, answer.as_ref().ok()?)));
    let Some((address, reached)) = first else {
        return Looked { findings: found.into_list(), input_kept: None };
    };
    let longest = Duration::from_secs(config.windows.longest().into());
    let group = &config.kafka_consumer_group;
    let (seen, members, newest) = tokio::join!(
        within(seen(config, kafka, address)),
        within(members(kafka, address, group)),
        within(newest(kafka, address, &config.kafka_topic)),
    );
    match members {
        Ok(members) => brokers::members(&mut found, group, members.as_deref()),
        Err(cause) => unanswered(&mut found, group, &cause),
    }
    let seen = match seen {
        Ok(seen) => seen,
        Err(cause) => {
            let mut nothing = Findings::of(TOPICS);
            unanswered(&mut nothing, "all", &cause);
            let findings = [found.into_list(), nothing.into_list()].concat();
            return Looked { findings, input_kept: None };
        }
    };
    let scale = Scale { longest, brokers: reached.brokers.len(), now: SystemClock.now() };
    let newest = newest.map_err(|cause| cause.to_string());
    let of_topics = topics::findings(&seen, scale, newest);
    Looked {
        findings: [found.into_list(), of_topics.into_list()].concat(),
        input_kept: topics::input_kept(&seen),
    }
}

async fn reach(config: &Config, kafka: &KafkaConfig, address: &str) -> Answer {
    let started = SystemClock.now();
    let answer = within(Admin::connect(kafka, address)).await;
    let reached = answer.map(|admin| Reached {
        took: SystemClock.now().since(started),
        release: admin.release(),
        cluster: admin.cluster().map(str::to_owned),
        brokers: admin.brokers().collect(),
    });
    let away = |cause| {
        let variables = match &cause {
            KafkaError::Refused { refusal, .. } => access::kafka_variables(config, *refusal),
            KafkaError::Unreachable { .. }
            | KafkaError::NoTopic { .. }
            | KafkaError::Broker(_)
            | KafkaError::Undecodable(_)
            | KafkaError::Down(_) => "KAFKA_BROKERS".to_owned(),
        };
        Away { cause, variables }
    };
    (address.to_owned(), reached.map_err(away))
}

/// The addresses that brokers tell and nobody configured.
fn told(configured: &[Answer]) -> Vec<(i32, String)> {
    let reached = configured.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let mut told: Vec<_> = reached.flat_map(|reached| reached.brokers.clone()).collect();
    told.sort();
    told.dedup();
    told.retain(|(_, address)| !configured.iter().any(|(known, _)| known == address));
    told.truncate(MAX_TOLD);
    told
}

async fn seen(
    config: &Config,
    kafka: &KafkaConfig,
    address: &str,
) -> Result<Vec<Seen>, KafkaError> {
    let wanted = plan::wanted(config);
    let names: Vec<&str> = wanted.iter().map(|topic| topic.name.as_str()).collect();
    let found = Admin::connect(kafka, address).await?.topics(&names).await?;
    let missing = wanted.iter().zip(&found).filter(|(_, found)| **found == Found::Missing);
    let missing: Vec<_> = missing.map(|(wanted, _)| wanted).collect();
    let mut creation = Vec::new().into_iter();
    if !missing.is_empty() {
        let mut admin = Admin::controller(kafka).await?;
        creation = kafka::create(&mut admin, &missing, true).await?.into_iter();
    }
    let seen = wanted.iter().cloned().zip(found).map(|(wanted, found)| Seen {
        creation: if found == Found::Missing { creation.next() } else { None },
        wanted,
        found,
    });
    Ok(seen.collect())
}

async fn members(
    kafka: &KafkaConfig,
    address: &str,
    group: &str,
) -> Result<Option<Vec<Member>>, KafkaError> {
    Admin::connect(kafka, address).await?.members(kafka, group).await
}

async fn newest(
    kafka: &KafkaConfig,
    address: &str,
    topic: &str,
) -> Result<Option<WallMs>, KafkaError> {
    Admin::connect(kafka, address).await?.newest(kafka, topic).await
}

fn unanswered(findings: &mut Findings, about: &str, cause: &KafkaError) {
    let says = format!("cannot be asked: {cause}");
    findings.fail(about, says, "see what is said of the brokers");
}

/// One step, however many requests it takes: who waits is a person.
async fn within<T>(asking: impl Future<Output = Result<T, KafkaError>>) -> Result<T, KafkaError> {
    let late = |_| KafkaError::Down(format!("no answer within {ANSWER_LIMIT:?}"));
    timeout(ANSWER_LIMIT, asking).await.map_err(late)?
}

/// Brokers of a large cluster: more are not asked one by one.
const MAX_TOLD: usize = 64;
