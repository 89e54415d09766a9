//! Who gets in at Redis, and how.

use std::time::Duration;

use aggregator_service::redis::{RedisConfig, RedisError, Refusal, admitted, connect};
use aggregator_service::tls::{self, Files};

use crate::{Variables, ends, secure, start};
use support::keys::Keys;
use support::redis::{RedisServer, free_port};

/// What README says that the user needs, for `REDIS_KEY_PREFIX=aggregator:`.
const COMMANDS: [&str; 19] = [
    "ping",
    "info",
    "select",
    "client|id",
    "eval",
    "evalsha",
    "hset",
    "hmget",
    "hscan",
    "hdel",
    "xadd",
    "xlen",
    "xrange",
    "xrevrange",
    "xtrim",
    "rename",
    "persist",
    "expire",
    "unlink",
];

fn user(server: &RedisServer, name: &str, commands: impl Iterator<Item = &'static str>) {
    let commands: String = commands.map(|command| format!(" +{command}")).collect();
    let set = format!("ACL SETUSER {name} on >secret ~aggregator:* +set{commands}");
    assert_eq!(server.command(&set), "+OK\r\n", "{set}");
}

fn config(server: &RedisServer, name: &str) -> RedisConfig {
    RedisConfig {
        addr: server.addr(),
        password: Some("secret".to_owned()),
        username: Some(name.to_owned()),
        db: 0,
        tls: None,
        key_prefix: "aggregator:".to_owned(),
    }
}

/// A server that wants TLS on a port of its own; `who`: whether clients bring a certificate.
fn encrypted(keys: &Keys, who: &str) -> (RedisServer, String) {
    let port = free_port().to_string();
    let [ca, cert, key] = ["ca.pem", "server.pem", "server.key"].map(|name| keys.path(name));
    let server = RedisServer::start_with(&[
        "--tls-port",
        &port,
        "--tls-ca-cert-file",
        &ca,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        who,
    ]);
    (server, format!("127.0.0.1:{port}"))
}

#[test]
fn the_least_user_that_readme_names_is_enough() {
    let redis = RedisServer::start();
    user(&redis, "aggregator", COMMANDS.into_iter());
    let address = (secure().broker.address(), redis.addr());
    let service = start(
        "least",
        &[&[
            ("KAFKA_BROKERS", &address.0),
            ("REDIS_ADDR", &address.1),
            ("REDIS_USERNAME", "aggregator"),
            ("REDIS_PASSWORD", "secret"),
            ("REDIS_DB", "0"),
        ]],
    );
    service.ready();
    service.until("a flush", || service.figure("flushes_total{verdict=\"ok\"}") > 0.0);
    // What came back empty is written anew as a snapshot: the other commands.
    redis.command("DEL aggregator:{aggregator-service:least-trades:7}:meta");
    service.until("a rewrite", || service.figure("flushes_total{verdict=\"lost\"}") > 0.0);
    service.ready();
    service.terminate();
    assert_eq!(service.exit_code(crate::service::PATIENCE), 0, "{}", service.log());
    assert_eq!(redis.command("ACL LOG"), "*0\r\n", "everything was permitted");
}

#[tokio::test]
async fn a_user_with_one_command_less_is_told_at_the_start() {
    let redis = RedisServer::start();
    // Without these the driver itself does without.
    let spared = ["info", "select", "client|id"];
    for (number, without) in COMMANDS.iter().enumerate() {
        let name = format!("user{number}");
        user(&redis, &name, COMMANDS.into_iter().filter(|command| command != without));
        redis.command("SCRIPT FLUSH");
        let config = config(&redis, &name);
        let client = connect(&config).unwrap();
        let reached = async {
            loop {
                match admitted(&client, &config).await {
                    Err(RedisError::Unanswered(_)) => {}
                    answer => return answer,
                }
            }
        };
        let answer = tokio::time::timeout(PATIENCE, reached).await.expect("an answer");
        match answer {
            Err(RedisError::Refused { refusal: Refusal::Permission, cause }) => {
                println!("{without}: {cause}");
            }
            Ok(()) if spared.contains(without) => {}
            other => panic!("{without}: {other:?}"),
        }
    }
    assert_eq!(redis.command("KEYS *"), "*0\r\n", "nothing is written");
}

#[test]
fn a_wrong_login_ends_the_start_with_the_variables_and_the_cause() {
    let redis = RedisServer::start();
    user(&redis, "aggregator", COMMANDS.into_iter());
    redis.command("ACL SETUSER stranger on >secret ~other:* +@all");
    let address = (secure().broker.address(), redis.addr());
    let to: &Variables<'_> = &[("KAFKA_BROKERS", &address.0), ("REDIS_ADDR", &address.1)];
    let login = |user, password| [("REDIS_USERNAME", user), ("REDIS_PASSWORD", password)];
    let named = "REDIS_USERNAME, REDIS_PASSWORD: ";
    ends(&[to, &login("aggregator", "wrong")], 1, &[named, "refuses the login", "WRONGPASS"]);
    ends(&[to, &login("nobody", "secret")], 1, &[named, "refuses the login", "WRONGPASS"]);
    ends(&[to, &login("stranger", "secret")], 1, &[named, "does not permit", "NOPERM"]);
    redis.command("CONFIG SET requirepass secret");
    ends(&[to], 1, &[named, "refuses the login", "NOAUTH"]);
}

#[test]
fn a_password_that_is_revoked_while_it_runs_makes_it_unhealthy_until_it_is_given_again() {
    let redis = RedisServer::start();
    user(&redis, "aggregator", COMMANDS.into_iter());
    let address = (secure().broker.address(), redis.addr());
    let service = start(
        "revoked-redis",
        &[&[
            ("KAFKA_BROKERS", &address.0),
            ("REDIS_ADDR", &address.1),
            ("REDIS_USERNAME", "aggregator"),
            ("REDIS_PASSWORD", "secret"),
            ("CHECKPOINT_MAX_AGE", "5s"),
        ]],
    );
    service.ready();
    redis.command("ACL SETUSER aggregator resetpass >another");
    redis.command("CLIENT KILL USER aggregator");
    service.until("it to be unhealthy", || {
        let (status, body) = service.get("/readyz").unwrap();
        status == 503 && body.contains("checkpoint: ") && body.contains("WRONGPASS")
    });
    assert_eq!(service.get("/livez").unwrap().0, 200);
    redis.command("ACL SETUSER aggregator >secret");
    service.ready();
}

#[test]
fn tls_lets_us_in_with_and_without_a_certificate() {
    let keys = Keys::make();
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|name| keys.path(name));
    let kafka = secure().broker.address();
    for (name, who) in [("tls", "no"), ("mutual-redis", "yes")] {
        let (_server, address) = encrypted(&keys, who);
        let url = format!("rediss://{address}");
        let to: &Variables<'_> = &[("KAFKA_BROKERS", &kafka), ("REDIS_TLS_CA", &ca)];
        let shown: &Variables<'_> = &[("REDIS_TLS_CERT", &cert), ("REDIS_TLS_KEY", &key)];
        if who == "no" {
            start(name, &[to, &[("REDIS_ADDR", &url)]]).ready();
            start(name, &[to, &[("REDIS_ADDR", &address), ("REDIS_TLS", "true")]]).ready();
        } else {
            start(name, &[to, shown, &[("REDIS_ADDR", &url)]]).ready();
            let words = ["REDIS_TLS_CERT: ", "wants a certificate"];
            ends(&[to, &[("REDIS_ADDR", &url)]], 1, &words);
        }
    }
}

#[test]
fn tls_that_does_not_fit_ends_the_start_with_the_variable_and_the_cause() {
    let keys = Keys::make();
    let (ca, stranger) = (keys.path("ca.pem"), Keys::make());
    let kafka = secure().broker.address();
    let (_server, address) = encrypted(&keys, "no");
    let url = format!("rediss://{address}");
    let to: &Variables<'_> = &[("KAFKA_BROKERS", &kafka), ("REDIS_ADDR", &url)];
    let words = ["REDIS_TLS_CA: ", "not trusted", "UnknownIssuer"];
    ends(&[to, &[("REDIS_TLS_CA", &stranger.path("ca.pem"))]], 1, &words);
    let name = url.replace("127.0.0.1", "localhost");
    let to: &Variables<'_> = &[("KAFKA_BROKERS", &kafka), ("REDIS_ADDR", &name)];
    ends(&[to, &[("REDIS_TLS_CA", &ca)]], 1, &["REDIS_ADDR: ", "another name", "localhost"]);
    let plain: &Variables<'_> = &[("KAFKA_BROKERS", &kafka), ("REDIS_ADDR", &address)];
    ends(&[plain], 1, &["REDIS_TLS: ", "wants TLS"]);
}

#[tokio::test]
async fn rediss_is_never_plain_text() {
    let redis = RedisServer::start();
    let files = Files { variable: "REDIS_TLS", ca: None, cert: None, key: None };
    let (tls, _) = tls::client(&files).unwrap();
    let addr = format!("rediss://{}", redis.addr());
    let plain = RedisConfig { addr, username: None, tls: None, ..config(&redis, "") };
    assert!(matches!(connect(&plain), Err(RedisError::TlsMissing)));
    let client = connect(&RedisConfig { tls: Some(tls), ..plain }).unwrap();
    let error = client.wait_until_reachable(Duration::from_secs(4)).await.unwrap_err();
    println!("{error}");
    let said = redis.command("INFO commandstats");
    assert!(!said.contains("cmdstat_auth") && !said.contains("cmdstat_ping"), "{said}");
}

/// For what takes milliseconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);
