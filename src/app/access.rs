//! How we get in at Kafka and Redis: TLS and logins from the configuration, and which variables to
//! look at when they refuse us. Files that cannot be used are wrong configuration; all are named
//! at once.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use url::Url;

use crate::config::{Config, ConfigError, SaslMechanism};
use crate::endpoint::Endpoint;
use crate::kafka::{self, KafkaConfig, Mechanism, Refusal, Sasl};
use crate::redis::{self, RedisConfig};
use crate::registry::{Registry, RegistryError};
use crate::tls::{self, Fault, Files, Roots};

/// What both are reached with.
#[derive(Debug)]
pub struct Access {
    /// Kafka.
    pub kafka: KafkaConfig,
    /// Redis.
    pub redis: RedisConfig,
    /// The schema registry, where the format has a schema.
    pub registry: Option<Registry>,
    /// Whom we trust over TLS, in words; `None` without TLS.
    pub authorities: Option<String>,
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
    let registry = registry(config, &mut problems);
    let (registry, registry_tls) = registry.unzip();
    let registry_tls = registry_tls.flatten();
    let trusted = [("Kafka", &kafka_tls), ("Redis", &redis_tls), ("registry", &registry_tls)];
    let trusted = trusted.into_iter();
    let trusted = trusted.filter_map(|(who, tls)| Some(format!("{who}: {}", tls.as_ref()?.1)));
    let trusted: Vec<_> = trusted.collect();
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
        tls: kafka_tls.map(|(tls, _)| tls),
        sasl: sasl(config),
    };
    let redis = RedisConfig {
        addr: config.redis_addr.expose().to_owned(),
        password: config.redis_password.as_ref().map(|password| password.expose().to_owned()),
        username: config.redis_username.clone(),
        db: config.redis_db,
        tls: redis_tls.map(|(tls, _)| tls),
        key_prefix: config.redis_key_prefix.clone(),
    };
    let authorities = (!trusted.is_empty()).then(|| trusted.join(", "));
    Ok(Access { kafka, redis, registry, authorities })
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

/// The variables that an answer of the schema registry is about.
#[must_use]
pub fn registry_variables(error: &RegistryError) -> String {
    match error {
        RegistryError::Away { .. } => "SCHEMA_REGISTRY_URL".to_owned(),
        RegistryError::Tls { fault, .. } => {
            tls_variable(*fault, "SCHEMA_REGISTRY_TLS", "SCHEMA_REGISTRY_URL")
        }
        RegistryError::Refused { status, .. } if LOGIN.contains(status) => {
            "SCHEMA_REGISTRY_USERNAME, SCHEMA_REGISTRY_PASSWORD".to_owned()
        }
        RegistryError::Refused { .. } => "SCHEMA_REGISTRY_URL".to_owned(),
        RegistryError::Incompatible { .. } => "AGGREGATE_FORMAT".to_owned(),
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

fn tls(files: &Files<'_>, problems: &mut Vec<String>) -> Option<(Arc<ClientConfig>, Roots)> {
    tls::client(files).map_err(|found| problems.extend(found)).ok()
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

type Tls = (Arc<ClientConfig>, Roots);

/// The registry, and whom we trust there.
fn registry(config: &Config, problems: &mut Vec<String>) -> Option<(Registry, Option<Tls>)> {
    let (format, text) = (config.aggregate_format?, config.schema_registry_url.as_ref()?);
    let mut url = Url::parse(text.expose()).ok()?;
    let files = Files {
        variable: "SCHEMA_REGISTRY_TLS",
        ca: config.schema_registry_tls_ca.as_deref(),
        cert: None,
        key: None,
    };
    let tls = if url.scheme() == "https" { Some(tls(&files, problems)?) } else { None };
    let headers = registry_login(config, &mut url).into_iter().collect();
    match Endpoint::new(url, headers, tls.as_ref().map(|(tls, _)| Arc::clone(tls))) {
        Ok(endpoint) => {
            let (topic, fields) = (&config.aggregate_topic, config.aggregate_fields);
            Some((Registry::new(endpoint, topic, format, fields), tls))
        }
        Err(problem) => {
            problems.push(format!("SCHEMA_REGISTRY_URL: {problem}"));
            None
        }
    }
}

/// The login of the configuration, or the one in the URL, which is taken out of it.
fn registry_login(config: &Config, url: &mut Url) -> Option<(HeaderName, HeaderValue)> {
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let in_url = (plain(url.username()), plain(url.password().unwrap_or_default()));
    // A URL with a host takes both.
    url.set_username("").and(url.set_password(None)).ok()?;
    let (user, password) =
        match (&config.schema_registry_username, &config.schema_registry_password) {
            (Some(user), Some(password)) => (user.clone(), password.expose().to_owned()),
            _ if in_url.0.is_empty() => return None,
            _ => in_url,
        };
    let login = STANDARD.encode(format!("{user}:{password}"));
    let mut login = HeaderValue::from_str(&format!("Basic {login}")).ok()?;
    login.set_sensitive(true);
    Some((AUTHORIZATION, login))
}

/// Answers to a login that is missing, wrong, or may not do this.
const LOGIN: [StatusCode; 2] = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
