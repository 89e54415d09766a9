//! Logins and rights: what is refused is named, with the variable or the operation.

use crate::site::{Site, kafka};
use support::redis::RedisServer;

fn login(site: Site, user: &str, password: &str) -> Site {
    let secure = &kafka().secure;
    site.with("KAFKA_BROKERS", &secure.login())
        .with("KAFKA_TLS", "true")
        .with("KAFKA_TLS_CA", &secure.keys.path("ca.pem"))
        .with("KAFKA_SASL_MECHANISM", "SCRAM-SHA-256")
        .with("KAFKA_SASL_USERNAME", user)
        .with("KAFKA_SASL_PASSWORD", password)
}

#[test]
fn a_login_that_is_refused_names_the_variables() {
    let redis = RedisServer::start();
    redis.command("CONFIG SET requirepass secret");
    let site = login(Site::new("login", &redis), "alice", "wrong");
    let at = kafka().secure.login();
    let check = site.run(&["check"]);
    check.ends(1).says("fail", &at, "it refuses the login");
    check.says("fail", "server", "it refuses the login");
    assert!(check.text.contains("→ look at KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD"));
    assert!(check.text.contains("→ look at REDIS_USERNAME, REDIS_PASSWORD"));
    assert!(!check.text.contains("wrong"), "no secret is shown");
    let topics = site.run(&["topics"]);
    assert!(topics.ends(1).complaint.contains("KAFKA_SASL_PASSWORD"));
    let site = Site::new("login", &redis).with("KAFKA_BROKERS", &at);
    let plain = site.with("REDIS_PASSWORD", "secret").run(&["check"]);
    plain.ends(1).says("fail", &at, "it wants TLS");
    plain.says("ok", "permissions", "every command");
}

#[test]
fn a_user_of_kafka_with_few_rights_is_told_which_are_missing() {
    let redis = RedisServer::start_with(&["--appendonly", "yes"]);
    let site = Site::new("rights", &redis);
    site.run(&["topics", "--create"]).ends(0);
    let bob = login(site, "bob", "secret");
    let check = bob.run(&["check"]);
    check.ends(1).says("fail", "rights-trades", "is not shown to us");
    assert!(check.text.contains("--operation Describe --topic rights-trades"));
    bob.order(&["permit", "bob", "DESCRIBE", "rights-"]);
    let check = bob.run(&["check"]);
    check.ends(1).says("fail", "rights-trades", "Read is not permitted");
    check.says("fail", "rights-aggregates", "Write is not permitted");
    check.says("fail", "rights-letters", "Write is not permitted");
    check.says("fail", "rights-info", "Read is not permitted");
    check.says("warn", "rights-trades", "its settings, retention among them, are not shown");
    for operation in ["READ", "WRITE"] {
        bob.order(&["permit", "bob", operation, "rights-"]);
    }
    bob.run(&["check"]).ends(0).says("warn", "rights-trades", "its settings");
    bob.order(&["permit", "bob", "DESCRIBE_CONFIGS", "rights-"]);
    let check = bob.run(&["check"]);
    check.ends(0);
    assert!(!check.text.contains("rights-trades  its settings"), "now they are shown");
    // What is missing and may not be made is told without trying.
    let other = bob.with("AGGREGATE_TOPIC", "rights-other").run(&["check"]);
    other.ends(1).says("fail", "rights-other", "does not exist, and we cannot create it");
}

#[test]
fn a_user_of_redis_with_a_command_less_is_told_which() {
    let redis = RedisServer::start();
    let site = Site::new("commands", &redis);
    site.run(&["topics", "--create"]).ends(0);
    let site = site.with("REDIS_USERNAME", "few").with("REDIS_PASSWORD", "secret");
    redis.command("ACL SETUSER few on >secret ~aggregator:* +@all -xtrim");
    site.run(&["check"]).ends(1).says("fail", "permissions", "it does not permit");
    // The user of the README sees no settings of Redis, and needs none.
    redis.command("ACL SETUSER few +@all -config");
    let check = site.run(&["check"]);
    check.ends(0).says("ok", "permissions", "every command");
    check.says("ok", "persistence", "whether snapshots are taken is not told");
    assert_eq!(redis.command("KEYS *"), "*0\r\n");
}
