//! Asks Redis: what it is, what we may do there, what stands in it of ours.

use std::time::Duration;

use crate::app::{SystemClock, access};
use crate::check::redis::{self as judge, AS_CLUSTER};
use crate::check::{Findings, REDIS};
use crate::config::Config;
use crate::domain::time::WallMs;
use crate::ports::Clock;
use crate::redis::{self, Facts, RedisCheckpoint, RedisConfig, RedisError, Refusal, Stored};

/// What it answered.
pub(super) struct Answers {
    admitted: Result<(), RedisError>,
    facts: Result<Facts, RedisError>,
    asked: [WallMs; 2],
    stored: Result<Stored, RedisError>,
}

/// Asks; an error where it cannot be reached, or refuses the login. Every answer is bounded by the
/// client.
pub(super) async fn ask(config: &Config, settings: &RedisConfig) -> Result<Answers, RedisError> {
    let client = redis::connect(settings)?;
    let admitted = match redis::admitted(&client, settings).await {
        Err(error) if !is_permission(&error) => return Err(error),
        admitted => admitted,
    };
    let before = SystemClock.now();
    let facts = Facts::of(&client).await;
    let asked = [before, SystemClock.now()];
    let (prefix, group) = (&config.redis_key_prefix, &config.kafka_consumer_group);
    let nobody = String::new();
    let name = (group.as_str(), config.kafka_topic.as_str());
    let checkpoint = RedisCheckpoint::new(client, prefix, name, config.shards, nobody);
    Ok(Answers { admitted, facts, asked, stored: checkpoint.stored().await })
}

/// What that means, with an input that is kept so long.
pub(super) fn findings(
    config: &Config,
    answers: Result<Answers, RedisError>,
    input_kept: Option<Duration>,
) -> Findings {
    let mut findings = Findings::of(REDIS);
    let answers = match answers {
        Ok(answers) => answers,
        Err(error) => {
            findings.fail("server", plain(&error), advice(&error));
            return findings;
        }
    };
    let scale = judge::Scale {
        clustered: config.redis_addr.expose().contains("-cluster://"),
        longest: Duration::from_secs(config.windows.longest().into()),
        input_kept,
        asked: answers.asked,
    };
    match answers.facts {
        Ok(facts) => judge::server(&mut findings, &facts, scale),
        Err(error) => {
            let todo = "permit INFO to see version, memory and persistence";
            findings.warn("server", format!("it does not say what it is: {error}"), todo);
        }
    }
    match answers.admitted {
        Ok(()) => findings.ok("permissions", "every command that the service uses"),
        Err(error) => findings.fail("permissions", error.to_string(), advice(&error)),
    }
    match answers.stored {
        Ok(stored) => {
            judge::checkpoint(&mut findings, &stored, config.shards, SystemClock.now());
        }
        Err(error) => findings.fail("checkpoint", error.to_string(), advice(&error)),
    }
    findings
}

/// Of an I/O error in `Debug` what is quoted says it all.
fn plain(error: &RedisError) -> String {
    let text = error.to_string();
    let quoted = ["message: \"", "error: \""].into_iter().find_map(|start| {
        let (_, rest) = text.split_once(start)?;
        rest.split_once('"').map(|(words, _)| words.to_owned())
    });
    quoted.unwrap_or(text)
}

fn is_permission(error: &RedisError) -> bool {
    matches!(error, RedisError::Refused { refusal: Refusal::Permission, .. })
}

fn advice(error: &RedisError) -> String {
    match error {
        RedisError::Refused { refusal: Refusal::Permission, .. } => {
            "permit it to this user: the README has the whole line".to_owned()
        }
        RedisError::Refused { refusal, .. } => {
            format!("look at {}", access::redis_variables(*refusal))
        }
        RedisError::Address(_) | RedisError::TlsMissing => "look at REDIS_ADDR".to_owned(),
        RedisError::Unanswered(cause) if cause.contains("MOVED") => AS_CLUSTER.to_owned(),
        RedisError::Unanswered(_) => {
            "is it running, is REDIS_ADDR right, is the way open?".to_owned()
        }
    }
}
