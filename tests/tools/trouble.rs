//! What is away, hangs, lies about its address, or is set up so that it will lose data.

use std::net::TcpListener;
use std::time::Duration;

use crate::site::{Site, kafka};
use support::proxy::{Proxy, Weather};
use support::redis::{RedisServer, free_port};

#[test]
fn what_is_away_or_hangs_is_named_one_by_one_and_the_check_ends() {
    let mut redis = RedisServer::start();
    let site = Site::new("away", &redis);
    site.run(&["topics", "--create"]).ends(0);
    redis.kill();
    let proxy = Proxy::to(&kafka().secure.broker.address());
    proxy.weather(Weather::Swallow);
    let (nobody, there) = (format!("127.0.0.1:{}", free_port()), kafka().secure.broker.address());
    let brokers = [nobody.as_str(), &proxy.addr(), &there].join(",");
    let check = site.with("KAFKA_BROKERS", &brokers).run(&["check"]);
    check.ends(1).says("fail", &nobody, "Connection refused");
    check.says("fail", &proxy.addr(), "no answer within 5s");
    check.says("ok", &there, "speaks as Kafka 4");
    check.says("ok", "away-trades", "3 partitions");
    check.says("fail", "server", "Connection refused");
}

#[test]
fn a_broker_that_tells_clients_a_wrong_address_is_caught() {
    let redis = RedisServer::start();
    let astray = &kafka().astray;
    let site = Site::new("astray", &redis).with("KAFKA_BROKERS", astray);
    let check = site.run(&["check"]);
    check.ends(1).says("ok", astray, "answers in");
    check.says("fail", "127.0.0.1:1", "broker 1 tells this address to clients: Connection refused");
    assert!(check.text.contains("→ is it running? Then set its advertised.listeners"));
}

#[test]
fn a_redis_that_will_lose_the_checkpoint_is_named_with_what_to_do() {
    let redis = RedisServer::start_with(&["--maxmemory", "100mb"]);
    let site = Site::new("loses", &redis);
    site.run(&["topics", "--create"]).ends(0);
    redis.command("CONFIG SET maxmemory-policy allkeys-lru");
    redis.command("SET aggregator:{loses:loses-trades:7}:meta somebody");
    let check = site.run(&["check"]);
    check.ends(1).says("warn", "memory", "of 104 MB, maxmemory-policy allkeys-lru");
    check.says("warn", "persistence", "none: a restart of Redis loses checkpoint and names");
    check.says("fail", "checkpoint", "\"aggregator:{loses:loses-trades:7}:meta\" is another");
    redis.command("DEL aggregator:{loses:loses-trades:7}:meta");
    redis.command("HSET aggregator:{loses:loses-trades:7}:meta tok 1:a fmt 9 seq 1 lastid 1-1");
    redis.command("CONFIG SET maxmemory-policy noeviction");
    redis.command("CONFIG SET appendonly yes");
    let check = site.run(&["check"]);
    check.ends(1).says("fail", "checkpoint", "its layout 9 is newer than 1");
    check.says("ok", "memory", "noeviction");
    check.says("ok", "persistence", "append-only file");
    redis.command("DEL aggregator:{loses:loses-trades:7}:meta");
    redis.command("HSET aggregator:{loses:loses-trades:0}:meta of 128");
    let check = site.run(&["check"]);
    check.ends(1).says("fail", "checkpoint", "it is spread over 128 shards, and SHARDS is 64");
    assert!(check.text.contains("→ set SHARDS=128"), "{}", check.text);
    redis.command("REPLICAOF 127.0.0.1 1");
    site.run(&["check"]).ends(1).says("fail", "server", "slave");
}

#[test]
fn a_cluster_that_is_addressed_as_one_server_is_named() {
    let ours = ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"];
    let redis = RedisServer::start_with(&ours);
    redis.command("CLUSTER ADDSLOTSRANGE 0 16383");
    for _ in 0..POLLS {
        if redis.command("CLUSTER INFO").contains("cluster_state:ok") {
            break;
        }
        std::thread::sleep(POLL);
    }
    let site = Site::new("cluster", &redis);
    site.run(&["topics", "--create"]).ends(0);
    let check = site.run(&["check"]);
    check.ends(1).says("fail", "server", "one node of a cluster");
    assert!(check.text.contains("→ write REDIS_ADDR as redis-cluster://host:port"));
    let address = format!("redis-cluster://{}", redis.addr());
    let check = site.with("REDIS_ADDR", &address).run(&["check"]);
    check.ends(0).says("ok", "server", "cluster, master");
    check.says("ok", "permissions", "every command");
}

#[test]
fn a_port_that_another_program_has_is_named() {
    let redis = RedisServer::start();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let site = Site::new("port", &redis).with("METRICS_PORT", &port.to_string());
    // It accepts and says nothing.
    site.run(&["check"]).ends(1).says("fail", &format!("port {port}"), "another program");
}

/// A cluster of one is ready within a second: 20 s in all.
const POLL: Duration = Duration::from_millis(20);
const POLLS: u32 = 1_000;
