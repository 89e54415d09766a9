//! Brokers that are silent, die, or hand their partitions over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::site;
use crate::stage::{Stage, logged, stop};
use crate::topic::now;
use support::kafka::three::start_three;
use support::kafka::{KafkaBroker, Session};

pub(crate) fn a_broker_that_is_silent_for_30_s_costs_nothing_and_doubles_nothing() {
    let broker = KafkaBroker::start();
    let mut stage = Stage::set("silent", broker.config());
    let records = stage.plan();
    let service = stage.service();
    service.ready();
    let (silent_ms, back_ms) = stage.load_while(&records, |stage| {
        stage.ticks(&service, 1);
        broker.stop();
        let (silent_ms, since) = (now().timestamp_millis(), Instant::now());
        let mut said = BTreeSet::new();
        while since.elapsed() < SILENCE {
            assert_eq!(service.get("/livez").unwrap().0, 200, "live");
            said.insert(service.get("/readyz").unwrap());
            std::thread::sleep(LOOK);
        }
        broker.cont();
        let (back_ms, back) = (now().timestamp_millis(), Instant::now());
        let newer = |stage: &mut Stage| stage.said().iter().any(|one| one.at_ms > silent_ms);
        service.until("the first message", || newer(stage));
        let first = back.elapsed();
        println!("silent: the first message came {first:?} after the broker was back");
        assert!(first < FIRST_MESSAGE, "the first message came {first:?} after the return");
        let not_ready = |(status, body): &(u16, String)| *status == 503 && body.contains("kafka: ");
        assert!(said.iter().any(not_ready), "it said that Kafka is away: {said:?}");
        (silent_ms, back_ms)
    });
    let quiet = stage.quiet(&service);
    service.ready();
    stage.ticks(&service, 1);
    assert!(!logged(&service, "WARN", "reading waits for the brokers").is_empty());
    assert!(!logged(&service, "INFO", "reading again").is_empty());
    assert!(service.figure("fetch_errors_total") > 0.0);
    stop(service);
    assert_eq!(stage.judge(quiet, false).doubled, 0);
    // One may have been in flight; of those that waited, only the newest came.
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    for one in stage.said().iter().filter(|one| (silent_ms..back_ms).contains(&one.at_ms)) {
        *held.entry(&one.token).or_default() += 1;
    }
    assert!(held.values().all(|messages| *messages <= 2), "the newest state only: {held:?}");
}

pub(crate) fn a_broker_that_is_killed_and_leads_in_a_later_epoch_costs_nothing() {
    let mut broker = KafkaBroker::start();
    let mut stage = Stage::set("epoch", broker.config());
    let records = stage.plan();
    let service = stage.service();
    service.ready();
    for slice in records.chunks(records.len().div_ceil(2)) {
        stage.load_while(slice, |stage| {
            stage.ticks(&service, 1);
            broker.kill9();
            broker.restart();
        });
    }
    let quiet = stage.quiet(&service);
    service.ready();
    stage.ticks(&service, 1);
    assert!(!logged(&service, "WARN", "reading waits for the brokers").is_empty());
    stop(service);
    for topic in ["epoch-trades", "epoch-aggregates"] {
        let epochs = epochs(&broker, topic);
        assert!(epochs.len() >= 3, "{topic} was led in the epochs {epochs:?}");
    }
    stage.judge(quiet, true);
}

pub(crate) fn leaders_that_move_among_three_brokers_cost_nothing() {
    let mut brokers = start_three();
    let config = site::config(&brokers);
    let mut session = Session::start(&config.brokers.join(","));
    let mut stage = Stage::set("three", config);
    let topics = ["three-trades", "three-aggregates"];
    let mut leaders = || topics.map(|topic| session.order(&["leaders", topic]));
    let records = stage.plan();
    let service = stage.service();
    service.ready();
    let (first, second) = records.split_at(records.len() / 2);
    let before = leaders();
    let moved = |after: &[Vec<String>; 2]| {
        after.iter().zip(&before).all(|(after, before)| after != before)
            && !after.iter().flatten().any(|leader| leader == "-1")
    };
    stage.load_while(first, |stage| {
        let killed = &before[0][0];
        assert!(before[1].contains(killed), "it leads a partition of each: {before:?}");
        let broker = &mut brokers[killed.parse::<usize>().unwrap() - 1];
        broker.kill9();
        service.until("other leaders", || moved(&leaders()));
        stage.ticks(&service, 1);
        broker.restart();
    });
    stage.load_while(second, |stage| {
        service.until("the leaders of before", || {
            for topic in topics {
                session.order(&["elect", topic]);
            }
            topics.map(|topic| session.order(&["leaders", topic])) == before
        });
        stage.ticks(&service, 1);
        for (topic, leaders) in topics.iter().zip(&before) {
            for (partition, leader) in leaders.iter().enumerate() {
                let leader = leader.parse::<usize>().unwrap();
                let [next, last] = [leader % 3 + 1, (leader + 1) % 3 + 1];
                let replicas = format!("{next},{last},{leader}");
                session.order(&["reassign", topic, &partition.to_string(), &replicas]);
            }
            session.order(&["elect", topic]);
        }
        let mut leaders = || topics.map(|topic| session.order(&["leaders", topic]));
        service.until("leaders of another order", || moved(&leaders()));
        stage.ticks(&service, 1);
    });
    let quiet = stage.quiet(&service);
    service.ready();
    stage.ticks(&service, 1);
    assert!(!logged(&service, "WARN", "reading waits for the brokers").is_empty());
    assert!(service.figure("fetch_errors_total") > 0.0);
    stop(service);
    stage.judge(quiet, true);
}

/// The leader epochs of a topic's batches, as the broker keeps them.
fn epochs(broker: &KafkaBroker, topic: &str) -> BTreeSet<u32> {
    let mut epochs = BTreeSet::new();
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    for partition in 0..crate::topic::PARTITIONS {
        let segment = broker.segment(topic, partition);
        let mut rest = &segment[..];
        while let Some(length) = rest.get(8..12) {
            epochs.insert(number(&rest[12..16]));
            rest = &rest[12 + usize::try_from(number(length)).unwrap()..];
        }
    }
    epochs
}

const SILENCE: Duration = Duration::from_secs(30);
/// Between two looks at a service that waits.
const LOOK: Duration = Duration::from_millis(200);
/// What the service promises of a Kafka that comes back.
const FIRST_MESSAGE: Duration = Duration::from_secs(5);
