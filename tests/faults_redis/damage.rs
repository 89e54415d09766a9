//! A checkpoint that somebody tampered with, or that a later program wrote.

use aggregator_service::wire::checkpoint::{NEWEST, VERSION};

use crate::operator::{REWRITES, lines, verdicts};
use crate::service::{PATIENCE, Service};
use crate::stage::Stage;
use support::redis::RedisServer;

#[test]
fn a_damaged_entry_is_recognised_and_its_shard_is_rebuilt_from_kafka() {
    let redis = RedisServer::start();
    let mut stage = Stage::set("damaged", redis.addr());
    let service = stage.ready();
    stage.under_load(|| {
        service.until("entries", || verdicts(&service, "ok") >= 500.0);
        redis.command(&format!("XADD {} * b garbage", log("damaged-trades", 5)));
        service.until("the gap to be seen", || verdicts(&service, "gap") >= 1.0);
    });
    assert_eq!(lines(&service, REWRITES).len(), 1);
    stage.exact(&service);
    service.kill9();
    rewrite(&redis, &log("damaged-trades", 6), |entry| entry[0] ^= 1);
    rewrite(&redis, &log("damaged-trades", 7), |entry| entry[9] ^= 1);
    rewrite(&redis, &log("damaged-trades", 8), |entry| entry.truncate(3));
    rewrite(&redis, &log("damaged-trades", 9), |entry| *entry = b"garbage".to_vec());
    let service = stage.ready();
    let told = lines(&service, "checkpoint damaged: this shard is rebuilt from the log");
    let mut shards: Vec<_> = told.iter().map(|line| line["shard"].as_u64().unwrap()).collect();
    shards.sort_unstable();
    assert_eq!(shards, [6, 7, 8, 9], "{told:?}");
    assert!(told.iter().all(|line| line["level"] == "ERROR"));
    assert!((service.figure("checkpoint_damaged_total") - 4.0).abs() < 0.5);
    let rebuilt = service.figure("trades_counted_total");
    assert!(rebuilt > 0.0 && rebuilt < service.figure("trades_duplicate_total"));
    stage.exact(&service);
    stage.crash(service);
}

#[test]
fn a_checkpoint_of_a_newer_version_refuses_the_start_in_one_clear_line() {
    let redis = RedisServer::start();
    let mut stage = Stage::set("newer", redis.addr());
    let service = stage.ready();
    stage.under_load(|| service.until("entries", || verdicts(&service, "ok") >= 200.0));
    stage.exact(&service);
    service.kill9();
    let log = log("newer-trades", 3);
    let version = |version: u8| {
        move |entry: &mut Vec<u8>| {
            entry[0] = version;
            seal(entry);
        }
    };
    rewrite(&redis, &log, version(NEWEST + 1));
    let newer = format!("has format {}, newer than {NEWEST}", NEWEST + 1);
    refused(&stage.start(), &format!("the checkpoint of shard 3 {newer}"));
    rewrite(&redis, &log, version(VERSION));
    let meta = "aggregator:{newer-trades:newer-trades:4}:meta";
    redis.command(&format!("HSET {meta} fmt 99"));
    refused(&stage.start(), "the checkpoint of shard 4 has format 99, newer than 1");
    redis.command(&format!("HSET {meta} fmt 1"));
    let service = stage.ready();
    stage.exact(&service);
    stage.crash(service);
}

#[test]
fn another_number_of_shards_is_refused_until_the_checkpoint_is_deleted() {
    let redis = RedisServer::start();
    let mut stage = Stage::set("spread", redis.addr());
    let service = stage.ready();
    stage.under_load(|| service.until("entries", || verdicts(&service, "ok") >= 200.0));
    stage.exact(&service);
    stage.shards = "16";
    let keys = redis.command("DBSIZE");
    let rival = stage.start();
    assert_eq!(rival.exit_code(PATIENCE), 64);
    let pattern = "aggregator:{spread-trades:spread-trades:*";
    assert_eq!(
        last_line(&rival),
        format!(
            "aggregator-service: SHARDS: 16 is not what the checkpoint in Redis is spread over; \
             accepted: 64, or another number once all instances are stopped and the keys \
             {pattern:?} are deleted: then the windows are rebuilt from Kafka"
        )
    );
    assert_eq!(redis.command("DBSIZE"), keys, "a refusal leaves nothing");
    assert_eq!(service.get("/readyz").unwrap().0, 200, "and disturbs nobody");
    service.kill9();
    let delete = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do \
                  redis.call('UNLINK', key) end return redis.call('DBSIZE')";
    let left = redis.command(&format!("EVAL \"{delete}\" 0 \"{pattern}\""));
    assert_eq!(left, redis.command("EVAL \"return #redis.call('KEYS', 'aggregator:view:*')\" 0"));
    let service = stage.ready();
    let shards = service.figure("shards{stage=\"open\"}");
    assert!((shards - 16.0).abs() < 0.5, "{shards}");
    stage.exact(&service);
    stage.crash(service);
    stage.shards = "64";
    assert_eq!(stage.start().exit_code(PATIENCE), 64);
}

fn refused(service: &Service, why: &str) {
    assert_eq!(service.exit_code(PATIENCE), 1);
    assert_eq!(last_line(service), format!("aggregator-service: the service cannot start: {why}"));
}

fn last_line(service: &Service) -> String {
    service.log().lines().last().unwrap().to_owned()
}

/// Changes the first entry of a changelog.
fn rewrite(redis: &RedisServer, log: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let first = "local blob = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][2][2] \
                 return (string.gsub(blob, '.', function(c) \
                 return string.format('%02x', string.byte(c)) end))";
    let answer = redis.command(&format!("EVAL \"{first}\" 1 {log}"));
    let digits = answer.lines().nth(1).unwrap().as_bytes();
    let byte = |hex: &[u8]| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap();
    let mut entry: Vec<u8> = digits.chunks(2).map(byte).collect();
    change(&mut entry);
    let entry: String = entry.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let put = "local entries = redis.call('XRANGE', KEYS[1], '-', '+') \
               redis.call('DEL', KEYS[1]) entries[1][2][2] = ARGV[1] \
               for _, entry in ipairs(entries) do \
               redis.call('XADD', KEYS[1], entry[1], 'b', entry[2][2]) end return #entries";
    let answer = redis.command(&format!("EVAL \"{put}\" 1 {log} \"{entry}\""));
    assert!(answer.starts_with(':'), "{answer}");
}

/// Puts the right checksum behind a changed entry.
fn seal(entry: &mut [u8]) {
    let body = entry.len() - 4;
    let crc = crc32fast::hash(&entry[..body]);
    entry[body..].copy_from_slice(&crc.to_le_bytes());
}

fn log(topic: &str, shard: u16) -> String {
    format!("aggregator:{{{topic}:{topic}:{shard}}}:log")
}
