//! Who gets in at Kafka, and how.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aggregator_service::domain::token::Shards;
use aggregator_service::kafka::group::{Group, GroupConfig};
use aggregator_service::kafka::{
    Cluster, KafkaConfig, KafkaError, KafkaLog, Mechanism, Refusal, Sasl, connect,
};
use aggregator_service::ports::group::seat;
use aggregator_service::tls::{self, Files};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::topic::PATIENCE;
use crate::{Variables, ends, secure, start};
use support::kafka::secure::{EXPIRED_TOKEN, TOKEN};
use support::kafka::topic::{cluster, drain, ensure, values};
use support::kafka::{console_produce, foreign};
use support::keys::Keys;
use support::redis::RedisServer;

fn password(mechanism: Mechanism, password: &str) -> Sasl {
    Sasl::Password { mechanism, username: "alice".to_owned(), password: password.to_owned() }
}

#[tokio::test]
async fn every_login_works_over_tls_on_both_ways_of_reading_and_a_wrong_one_is_named() {
    let kafka = tokio::task::spawn_blocking(secure).await.unwrap();
    let plain = cluster(&kafka.broker).await;
    ensure(&plain, "t", 1).await;
    let reader = ["parse.headers=true", "null.marker=NULL"];
    console_produce(&kafka.broker, "t", &[], &reader, "a:NULL\tunreadable for rskafka\n");
    let ca = PathBuf::from(kafka.keys.path("ca.pem"));
    let files = Files { variable: "KAFKA_TLS", ca: Some(&ca), cert: None, key: None };
    let (tls, _) = tls::client(&files).unwrap();
    let config = |sasl| KafkaConfig {
        brokers: vec![kafka.login()],
        client_id: "test".to_owned(),
        tls: Some(Arc::clone(&tls)),
        sasl: Some(sasl),
    };
    let [right, expired] = [("token", TOKEN), ("expired", EXPIRED_TOKEN)]
        .map(|(name, token)| Sasl::TokenFile(kafka.keys.write(name, token).into()));
    let passwords = [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512]
        .map(|mechanism| (password(mechanism, "secret"), password(mechanism, "wrong")));
    for (right, wrong) in passwords.into_iter().chain([(right, expired)]) {
        let name = format!("{right:?}");
        joins(config(right.clone()), &name).await;
        let cluster = Cluster::connect(config(right), PATIENCE).await.expect(&name);
        let read = drain(&KafkaLog::new(cluster, "t"), 0).await;
        assert_eq!(values(&read.records), ["unreadable for rskafka"], "{name}");
        match connect(&config(wrong), PATIENCE).await {
            Err(KafkaError::Refused { refusal: Refusal::Login, .. }) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// A group is joined as everything else is asked.
async fn joins(kafka: KafkaConfig, name: &str) {
    let group = GroupConfig {
        group: name.to_owned(),
        topic: "t".to_owned(),
        instance: None,
        address: String::new(),
        session: Duration::from_secs(10),
        shards: Shards::DEFAULT,
        replicas: 0,
    };
    let (mut seat, served) = seat(Shards::DEFAULT);
    let (group, _status) = Group::new(kafka, group, served, Instant::now);
    let stop = CancellationToken::new();
    let member = tokio::spawn(group.run(stop.clone()));
    let leased = seat.lease.wait_for(Option::is_some);
    timeout(PATIENCE, leased).await.expect(name).expect(name);
    stop.cancel();
    member.await.expect(name).expect(name);
}

#[test]
fn a_wrong_login_ends_the_start_with_the_variable_and_the_cause() {
    let kafka = secure();
    let (address, ca) = (kafka.login(), kafka.keys.path("ca.pem"));
    let tls: &Variables<'_> =
        &[("KAFKA_BROKERS", &address), ("KAFKA_TLS", "true"), ("KAFKA_TLS_CA", &ca)];
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let login: &Variables<'_> = &[
            ("KAFKA_SASL_MECHANISM", mechanism),
            ("KAFKA_SASL_USERNAME", "alice"),
            ("KAFKA_SASL_PASSWORD", "wrong"),
        ];
        let words = ["KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD: ", "refuses the login", &address];
        ends(&[tls, login], 1, &words);
    }
    ends(&[tls], 1, &["KAFKA_SASL_MECHANISM: ", "wants a login", "SCRAM-SHA-512"]);
    let token = kafka.keys.write("old", EXPIRED_TOKEN);
    let login: &Variables<'_> =
        &[("KAFKA_SASL_MECHANISM", "OAUTHBEARER"), ("KAFKA_SASL_OAUTH_TOKEN_FILE", &token)];
    ends(
        &[tls, login],
        1,
        &["KAFKA_SASL_OAUTH_TOKEN_FILE: ", "refuses the login", "invalid_token"],
    );
}

#[test]
fn tls_that_does_not_fit_ends_the_start_with_the_variable_and_the_cause() {
    let kafka = secure();
    let (login, mutual) = (kafka.login(), kafka.mutual());
    let path = |name| kafka.keys.path(name);
    let (ca, stranger) = (path("ca.pem"), Keys::make());
    let [other_ca, other_cert, other_key] =
        ["ca.pem", "client.pem", "client.key"].map(|name| stranger.path(name));
    let on = ("KAFKA_TLS", "true");
    let other: &Variables<'_> = &[("KAFKA_BROKERS", &login), on, ("KAFKA_TLS_CA", &other_ca)];
    ends(&[other], 1, &["KAFKA_TLS_CA: ", "not trusted", "UnknownIssuer", &login]);
    let name = login.replace("127.0.0.1", "localhost");
    let other: &Variables<'_> = &[("KAFKA_BROKERS", &name), on, ("KAFKA_TLS_CA", &ca)];
    ends(&[other], 1, &["KAFKA_BROKERS: ", "another name", "localhost"]);
    let mutual: &Variables<'_> = &[("KAFKA_BROKERS", &mutual), on, ("KAFKA_TLS_CA", &ca)];
    ends(&[mutual], 1, &["KAFKA_TLS_CERT: ", "wants a certificate"]);
    let shown: &Variables<'_> = &[("KAFKA_TLS_CERT", &other_cert), ("KAFKA_TLS_KEY", &other_key)];
    ends(&[mutual, shown], 1, &["KAFKA_TLS_CERT: ", "wants a certificate"]);
    ends(&[&[("KAFKA_BROKERS", &login)]], 1, &["KAFKA_TLS: ", "wants TLS"]);
    // Nobody has signed anything for this broker that the world knows, whichever roots are asked.
    let nowhere = [("SSL_CERT_FILE", "/nowhere/at/all"), ("SSL_CERT_DIR", "/nowhere/at/all")];
    let world: &Variables<'_> = &[("KAFKA_BROKERS", &login), on];
    let log = ends(&[world, &nowhere], 1, &["KAFKA_TLS_CA: ", "UnknownIssuer"]);
    assert!(log.contains(r#""authorities":"Kafka: this program""#), "{log}");
}

#[test]
fn a_file_that_cannot_be_used_is_wrong_configuration() {
    let keys = Keys::make();
    let [ca, cert, key] = ["ca.pem", "client.pem", "server.key"].map(|name| keys.path(name));
    let no_pem = keys.write("no.pem", "no PEM");
    let on = ("KAFKA_TLS", "true");
    ends(&[&[on, ("KAFKA_TLS_CA", "/nowhere.pem")]], 64, &["KAFKA_TLS_CA: ", "/nowhere.pem"]);
    ends(&[&[on, ("KAFKA_TLS_CA", &no_pem)]], 64, &["KAFKA_TLS_CA: ", "no certificate"]);
    let of = |key| [on, ("KAFKA_TLS_CA", &*ca), ("KAFKA_TLS_CERT", &*cert), ("KAFKA_TLS_KEY", key)];
    ends(&[&of(&no_pem)], 64, &["KAFKA_TLS_KEY: ", "no private key"]);
    ends(&[&of(&key)], 64, &["KAFKA_TLS_KEY: "]);
    let redis: &Variables<'_> = &[("REDIS_TLS", "true"), ("REDIS_TLS_CA", &no_pem)];
    ends(&[redis], 64, &["REDIS_TLS_CA: ", "no certificate"]);
    let login: &Variables<'_> =
        &[("KAFKA_SASL_MECHANISM", "OAUTHBEARER"), ("KAFKA_SASL_OAUTH_TOKEN_FILE", "/nowhere")];
    ends(&[login], 64, &["KAFKA_SASL_OAUTH_TOKEN_FILE: ", "/nowhere"]);
}

#[test]
fn a_client_certificate_lets_us_in() {
    let kafka = secure();
    let redis = RedisServer::start();
    let address = (kafka.mutual(), redis.addr());
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|name| kafka.keys.path(name));
    let service = start(
        "mutual",
        &[&[
            ("KAFKA_BROKERS", &address.0),
            ("REDIS_ADDR", &address.1),
            ("KAFKA_TLS", "true"),
            ("KAFKA_TLS_CA", &ca),
            ("KAFKA_TLS_CERT", &cert),
            ("KAFKA_TLS_KEY", &key),
        ]],
    );
    service.ready();
    assert!(
        service.log().contains(r#""authorities":"Kafka: the configured file""#),
        "{}",
        service.log()
    );
}

#[test]
fn the_systems_roots_are_trusted_where_none_are_configured() {
    let kafka = secure();
    let redis = RedisServer::start();
    let address = (kafka.login(), redis.addr());
    let service = start(
        "system",
        &[&[
            ("KAFKA_BROKERS", &address.0),
            ("REDIS_ADDR", &address.1),
            ("KAFKA_TLS", "true"),
            ("SSL_CERT_FILE", &kafka.keys.path("ca.pem")),
            ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
            ("KAFKA_SASL_USERNAME", "alice"),
            ("KAFKA_SASL_PASSWORD", "secret"),
        ]],
    );
    service.ready();
    assert!(service.log().contains(r#""authorities":"Kafka: the system""#), "{}", service.log());
}

#[test]
fn a_login_that_is_revoked_while_it_runs_makes_it_unhealthy_until_it_is_given_again() {
    let kafka = secure();
    let redis = RedisServer::start();
    let address = (kafka.login(), redis.addr());
    let service = start(
        "revoked",
        &[&[
            ("KAFKA_BROKERS", &address.0),
            ("REDIS_ADDR", &address.1),
            ("KAFKA_TLS", "true"),
            ("KAFKA_TLS_CA", &kafka.keys.path("ca.pem")),
            ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-256"),
            ("KAFKA_SASL_USERNAME", "bob"),
            ("KAFKA_SASL_PASSWORD", "secret"),
        ]],
    );
    service.ready();
    foreign(&kafka.broker, &["unscram", "bob", "SCRAM-SHA-256"]);
    service.until("it to be unhealthy", || {
        let (status, body) = service.get("/readyz").unwrap();
        status == 503 && body.contains("kafka: ") && body.contains("refuses the login")
    });
    assert_eq!(service.get("/livez").unwrap().0, 200);
    foreign(&kafka.broker, &["scram", "bob", "secret"]);
    service.ready();
}
