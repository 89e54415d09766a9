//! Settings that are fine alone and not together. Each would otherwise be wrong in silence, so each
//! is one line that names a variable and what is accepted.

use url::Url;

use super::settings::Config;
use super::values::SaslMechanism;

/// What contradicts itself.
pub(super) fn of(config: &Config) -> Vec<String> {
    let mut found = topics(config);
    found.extend(sasl(config));
    found.extend(checkpoint(config));
    found.extend(emission(config));
    let tls = [
        ("KAFKA_TLS_CA", config.kafka_tls_ca.is_some(), config.kafka_tls),
        ("KAFKA_TLS_CERT", config.kafka_tls_cert.is_some(), config.kafka_tls),
        ("REDIS_TLS_CA", config.redis_tls_ca.is_some(), config.redis_over_tls()),
        ("REDIS_TLS_CERT", config.redis_tls_cert.is_some(), config.redis_over_tls()),
    ];
    for (name, set, used) in tls {
        if set && !used {
            let switch = name.rsplit_once('_').map_or(name, |(switch, _)| switch);
            found.push(format!("{name}: is set and {switch} is false; accepted: both"));
        }
    }
    let pairs = [
        ("KAFKA_TLS", config.kafka_tls_cert.is_some(), config.kafka_tls_key.is_some()),
        ("REDIS_TLS", config.redis_tls_cert.is_some(), config.redis_tls_key.is_some()),
    ];
    for (prefix, cert, key) in pairs {
        if cert != key {
            let [cert, key] = ["CERT", "KEY"].map(|which| format!("{prefix}_{which}"));
            found.push(format!("{cert}: goes together with {key}; accepted: both, or none"));
        }
    }
    if config.redis_username.is_some() && !has_redis_password(config) {
        found.push(
            "REDIS_USERNAME: is set and REDIS_PASSWORD is not, so nobody would be logged in; \
             accepted: both"
                .to_owned(),
        );
    }
    found
}

fn topics(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let topics = [
        ("KAFKA_TOPIC", Some(&config.kafka_topic)),
        ("AGGREGATE_TOPIC", Some(&config.aggregate_topic)),
        ("DLQ_TOPIC", config.dlq_topic.as_ref()),
        ("TOKEN_INFO_TOPIC", config.token_info_topic.as_ref()),
    ];
    for (place, (name, topic)) in topics.iter().enumerate() {
        for (other, _) in topics.iter().take(place).filter(|(_, that)| that == topic) {
            if let Some(topic) = topic {
                found.push(format!("{name}: {topic:?} is {other} too; accepted: another topic"));
            }
        }
    }
    found
}

fn sasl(config: &Config) -> Option<String> {
    let login = [config.kafka_sasl_username.is_some(), config.kafka_sasl_password.is_some()];
    let token = config.kafka_sasl_oauth_token_file.is_some();
    match (config.kafka_sasl_mechanism, login, token) {
        (None, [false, false], false) => None,
        (Some(SaslMechanism::OauthBearer), [false, false], true) => None,
        (Some(SaslMechanism::OauthBearer), ..) => Some(
            "KAFKA_SASL_MECHANISM: OAUTHBEARER goes together with KAFKA_SASL_OAUTH_TOKEN_FILE; \
             accepted: both, without user and password"
                .to_owned(),
        ),
        (Some(_), [true, true], false) => None,
        _ => Some(
            "KAFKA_SASL_MECHANISM: goes together with KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD; \
             accepted: all three, or none"
                .to_owned(),
        ),
    }
}

fn checkpoint(config: &Config) -> Option<String> {
    let [age, interval] = [config.checkpoint_max_age, config.checkpoint_interval];
    (age <= interval).then(|| {
        format!(
            "CHECKPOINT_MAX_AGE: {age:?} is no more than CHECKPOINT_INTERVAL, {interval:?}, so it \
             would be unready between two flushes; accepted: a longer one"
        )
    })
}

fn emission(config: &Config) -> Option<String> {
    let (finer, interval) = (config.aggregate_changed_interval?, config.publish_interval);
    let divides = finer < interval && interval.as_secs().is_multiple_of(finer.as_secs());
    (!divides).then(|| {
        format!(
            "AGGREGATE_CHANGED_INTERVAL: {finer:?} does not divide AGGREGATE_PUBLISH_INTERVAL, \
             {interval:?}; accepted: a whole part of it, or off"
        )
    })
}

fn has_redis_password(config: &Config) -> bool {
    let in_url =
        || Url::parse(config.redis_addr.expose()).is_ok_and(|url| url.password().is_some());
    config.redis_password.is_some() || in_url()
}
