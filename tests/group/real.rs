//! Groups on a real Kafka: each scenario on a broker of 4, all of them on one of 3.9.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aggregator_service::domain::token::ShardId;
use aggregator_service::kafka::Admin;
use aggregator_service::kafka::group::{GroupConfig, GroupError, State};
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::config;
use crate::stage::{Peer, SESSION, broker, shares};
use support::kafka::topic::PATIENCE;
use support::kafka::{KafkaBroker, Release, consumer_groups};

#[tokio::test(flavor = "multi_thread")]
async fn members_come_crash_leave_and_return() {
    come_crash_leave_and_return(&broker(Release::Four).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafkas_own_tool_shows_members_and_lag_and_a_group_that_is_deleted_begins_anew() {
    shown_and_deleted(&broker(Release::Four).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_starts_anew_finds_its_members_where_they_were() {
    let [before, after] = found_by_a_broker_that_starts_anew(broker(Release::Four).await).await;
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_healed_ends_with_the_cause() {
    ended_with_the_cause(&broker(Release::Four).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kafka_3_9_it_is_all_the_same() {
    let broker = Arc::new(broker(Release::Three).await);
    let spoken = Admin::any(&broker.config()).await.expect("an answer").release();
    assert_eq!(spoken, Some("3.9"));
    let [first, second, third] = [(); 3].map(|()| Arc::clone(&broker));
    let together = (
        tokio::spawn(async move { come_crash_leave_and_return(&first).await }),
        tokio::spawn(async move { shown_and_deleted(&second).await }),
        tokio::spawn(async move { ended_with_the_cause(&third).await }),
    );
    tokio::try_join!(together.0, together.1, together.2).expect("all of them");
    // One that is slow to start may have dropped its members meanwhile: they divide anew.
    let broker = Arc::into_inner(broker).expect("the last one");
    let [_, [a, b]] = found_by_a_broker_that_starts_anew(broker).await;
    assert!(a.is_disjoint(&b), "{a:?} and {b:?}");
}

async fn come_crash_leave_and_return(broker: &KafkaBroker) {
    let a = Peer::join(broker, "g", None);
    shares(&[&a], &[64]).await;
    let b = Peer::join(broker, "g", None);
    shares(&[&a, &b], &[32, 32]).await;
    let before = [a.published(), b.published()];
    let c = Peer::join(broker, "g", Some("c"));
    let joined = shares_of_three(&[&a, &b, &c]).await;
    println!("the third had its share after {joined:?}");
    assert!(a.published().is_subset(&before[0]) && b.published().is_subset(&before[1]));

    // A static member that comes back has its shards again, and nobody notices.
    // The others may not have heard yet of the agreement in which it got its share.
    let (generation, shards) = (c.generation(), c.published());
    c.crash();
    let c = Peer::join(broker, "g", Some("c"));
    let back = shares(&[&c], &[shards.len()]).await;
    println!("the static one was back after {back:?}");
    tokio::time::sleep(SESSION).await;
    assert_eq!((a.generation(), b.generation()), (generation, generation));
    assert_eq!(c.published(), shards);

    c.crash();
    let evicted = shares(&[&a, &b], &[32, 32]).await;
    println!("what the crashed one had was taken after {evicted:?}");
    assert!(evicted < SESSION + Duration::from_secs(2), "{evicted:?}");
    b.leave().await;
    let left = shares(&[&a], &[64]).await;
    println!("what the one that left had was taken after {left:?}");
    assert!(left < Duration::from_secs(1), "{left:?}");
    a.leave().await;
}

/// What the tool says of each partition, once positions were committed for all.
fn committed(broker: &KafkaBroker, group: &str) -> Vec<Vec<String>> {
    let began = Instant::now();
    loop {
        // A worker that only waited would keep the task it woke last, a member, from running.
        let said = block_in_place(|| consumer_groups(broker, &["--describe", "--group", group]));
        let rows = said.lines().filter(|line| line.contains("trades"));
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        let rows: Vec<Vec<String>> = rows.map(words).collect();
        if rows.len() == 64 && rows.iter().all(|row| row[5] != "-") {
            println!("{said}");
            return rows;
        }
        assert!(began.elapsed() < PATIENCE, "{said}");
    }
}

/// Who of them has the one shard that cannot be divided is not said.
async fn shares_of_three(peers: &[&Peer; 3]) -> Duration {
    let expected = [[22, 21, 21], [21, 22, 21], [21, 21, 22]];
    let one_of = expected.map(|sizes| async move { shares(peers, &sizes).await });
    let [first, second, third] = one_of.map(Box::pin);
    tokio::select! { took = first => took, took = second => took, took = third => took }
}

async fn shown_and_deleted(broker: &KafkaBroker) {
    let [a, b] = [None, Some("b")].map(|instance| Peer::join(broker, "shown", instance));
    shares(&[&a, &b], &[32, 32]).await;
    a.reach(&[0; 64]);
    let rows = committed(broker, "shown");
    // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID
    let lag: i64 = rows.iter().map(|row| row[5].parse::<i64>().expect("lag")).sum();
    assert_eq!(lag, 10);
    for row in &rows {
        assert_eq!([&row[3], &row[7], &row[8]], ["0", "/127.0.0.1", "test"], "{row:?}");
    }
    let members: BTreeSet<_> = rows.iter().map(|row| &row[6]).collect();
    assert_eq!(members.len(), 2, "partitions stand with the owners of their shards");
    a.leave().await;
    b.leave().await;
    block_in_place(|| consumer_groups(broker, &["--delete", "--group", "shown"]));
    let again = Peer::join(broker, "shown", None);
    shares(&[&again], &[64]).await;
    again.leave().await;
}

/// What two members had before, and have after it.
async fn found_by_a_broker_that_starts_anew(mut broker: KafkaBroker) -> [[Shares; 2]; 2] {
    // A broker that has just started is slow: the session is the default one.
    let [a, b] = [None, Some("b")].map(|instance| Peer::join_as(&broker, config(instance)));
    shares(&[&a, &b], &[32, 32]).await;
    let before = [a.published(), b.published()];
    let broker = tokio::task::spawn_blocking(move || {
        broker.restart();
        broker
    });
    let broker = broker.await.expect("restart");
    shares(&[&a, &b], &[32, 32]).await;
    let after = [a.published(), b.published()];
    drop(broker);
    a.crash();
    b.crash();
    [before, after]
}

type Shares = BTreeSet<ShardId>;

async fn ended_with_the_cause(broker: &KafkaBroker) {
    let first = Peer::join(broker, "one", Some("same"));
    shares(&[&first], &[64]).await;
    let second = Peer::join(broker, "one", Some("same"));
    let ended = first.ends().await;
    assert!(matches!(&ended, GroupError::Fenced { instance, .. } if instance == "same"), "{ended}");
    shares(&[&second], &[64]).await;
    let mut status = second.status.clone();
    let is_member = status.wait_for(|status| status.state == State::Member).await.unwrap().clone();
    assert_eq!((is_member.coordinator, is_member.trouble), (broker.address(), None));
    second.leave().await;
    let short = GroupConfig { session: Duration::from_millis(500), ..config(None) };
    let ended = Peer::join_as(broker, short).ends().await;
    assert!(matches!(ended, GroupError::Session { .. }), "{ended}");
}
