//! How we get in at Kafka and Redis: TLS and logins from the configuration, and which variables to
//! look at when they refuse us. Files that cannot be used are wrong configuration; all are named
//! at once.

use std::sync::Arc;

use rustls::ClientConfig;
use tracing::info;

use crate::config::{Config, ConfigError, SaslMechanism};
use crate::kafka::{self, KafkaConfig, Mechanism, Refusal, Sasl};
use crate::redis::{self, RedisConfig};
use crate::tls::{self, Fault, Files};

/// What both are reached with.
#[derive(Debug)]
pub struct Access {
    /// Kafka.
    pub kafka: KafkaConfig,
    /// Redis.
    pub redis: RedisConfig,
}

/// TLS and logins as configured; files that they need are read.
///
/// # Errors
/// Files that cannot be used.
pub async fn of(config: &Config) -> Result<Access, ConfigError> {
    let mut problems = Vec::new();
    let kafka_files = Files {
        variable: "KAFKA_TLS",
        ca: config.kafka_tls_ca.as_deref(),
        cert: config.kafka_tls_cert.as_deref(),
        key: config.kafka_tls_key.as_deref(),
    };
    let redis_files = Files {
        variable: "REDIS_TLS",
        ca: config.redis_tls_ca.as_deref(),
        cert: config.redis_tls_cert.as_deref(),
        key: config.redis_tls_key.as_deref(),
    };
    let kafka_tls = config.kafka_tls.then(|| tls(&kafka_files, &mut problems)).flatten();
    let redis_tls = config.redis_over_tls().then(|| tls(&redis_files, &mut problems)).flatten();
    if let Some(file) = &config.kafka_sasl_oauth_token_file
        && let Err(problem) = kafka::token(file).await
    {
        problems.push(format!("KAFKA_SASL_OAUTH_TOKEN_FILE: {problem}"));
    }
    if !problems.is_empty() {
        return Err(ConfigError(problems));
    }
    let kafka = KafkaConfig {
        brokers: config.kafka_brokers.clone(),
        client_id: config.kafka_consumer_group.clone(),
        tls: kafka_tls,
        sasl: sasl(config),
    };
    let redis = RedisConfig {
        addr: config.redis_addr.expose().to_owned(),
        password: config.redis_password.as_ref().map(|password| password.expose().to_owned()),
        username: config.redis_username.clone(),
        db: config.redis_db,
        tls: redis_tls,
        key_prefix: config.redis_key_prefix.clone(),
    };
    Ok(Access { kafka, redis })
}

/// The variables that a broker's refusal is about.
#[must_use]
pub fn kafka_variables(config: &Config, refusal: Refusal) -> String {
    match refusal {
        Refusal::Tls(fault) => tls_variable(fault, "KAFKA_TLS", "KAFKA_BROKERS"),
        Refusal::WantsTls => "KAFKA_TLS".to_owned(),
        Refusal::WantsLogin | Refusal::Mechanism => "KAFKA_SASL_MECHANISM".to_owned(),
        Refusal::Login if config.kafka_sasl_oauth_token_file.is_some() => {
            "KAFKA_SASL_OAUTH_TOKEN_FILE".to_owned()
        }
        Refusal::Login => "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD".to_owned(),
    }
}

/// The variables that Redis' refusal is about.
#[must_use]
pub fn redis_variables(refusal: redis::Refusal) -> String {
    match refusal {
        redis::Refusal::Tls(fault) => tls_variable(fault, "REDIS_TLS", "REDIS_ADDR"),
        redis::Refusal::WantsTls => "REDIS_TLS".to_owned(),
        redis::Refusal::Login | redis::Refusal::Permission => {
            "REDIS_USERNAME, REDIS_PASSWORD".to_owned()
        }
    }
}

fn tls_variable(fault: Fault, prefix: &str, address: &str) -> String {
    match fault {
        Fault::TheirCertificate => format!("{prefix}_CA"),
        Fault::TheirName => address.to_owned(),
        Fault::OurCertificate => format!("{prefix}_CERT"),
        Fault::NoTls => prefix.to_owned(),
    }
}

fn tls(files: &Files<'_>, problems: &mut Vec<String>) -> Option<Arc<ClientConfig>> {
    match tls::client(files) {
        Ok((client, roots)) => {
            info!(of = files.variable, %roots, "authorities to trust");
            Some(client)
        }
        Err(found) => {
            problems.extend(found);
            None
        }
    }
}

fn sasl(config: &Config) -> Option<Sasl> {
    let mechanism = match config.kafka_sasl_mechanism? {
        SaslMechanism::Plain => Mechanism::Plain,
        SaslMechanism::ScramSha256 => Mechanism::ScramSha256,
        SaslMechanism::ScramSha512 => Mechanism::ScramSha512,
        SaslMechanism::OauthBearer => {
            return config.kafka_sasl_oauth_token_file.clone().map(Sasl::TokenFile);
        }
    };
    let username = config.kafka_sasl_username.clone()?;
    let password = config.kafka_sasl_password.as_ref()?.expose().to_owned();
    Some(Sasl::Password { mechanism, username, password })
}
