//! Members on a real Kafka, each with a pipeline that does at once what it is told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::token::ShardId;
use aggregator_service::domain::token::Shards;
use aggregator_service::kafka::group::{Group, GroupConfig, GroupError, GroupStatus};
use aggregator_service::ports::group::{Assignment, Seat, seat};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::config;
use support::kafka::topic::{PATIENCE, cluster, ensure};
use support::kafka::{KafkaBroker, Release, console_produce};

/// Above what a member may stand still on a machine that is shared.
pub(crate) const SESSION: Duration = Duration::from_secs(6);

/// A running member.
pub(crate) struct Peer {
    pub(crate) seat: Seat,
    pub(crate) status: watch::Receiver<GroupStatus>,
    stop: CancellationToken,
    member: JoinHandle<Result<(), GroupError>>,
    pipeline: JoinHandle<()>,
}

/// One for each shard.
pub(crate) const PARTITIONS: i32 = 64;

/// A broker that takes short sessions, and a topic with 10 records in it.
pub(crate) async fn broker(release: Release) -> KafkaBroker {
    let properties = [("group.min.session.timeout.ms", "1000")];
    let start = move || KafkaBroker::start_release(release, &properties);
    let broker = tokio::task::spawn_blocking(start).await.expect("broker");
    ensure(cluster(&broker).await.as_ref(), "trades", PARTITIONS).await;
    let lines: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    console_produce(&broker, "trades", &[], &[], &lines.join("\n"));
    broker
}

impl Peer {
    pub(crate) fn join(broker: &KafkaBroker, group: &str, instance: Option<&str>) -> Self {
        let of_group =
            GroupConfig { group: group.to_owned(), session: SESSION, ..config(instance) };
        Self::join_as(broker, of_group)
    }

    pub(crate) fn join_as(broker: &KafkaBroker, config: GroupConfig) -> Self {
        let (seat, served) = seat(Shards::DEFAULT);
        let (group, status) = Group::new(broker.config(), config, served, Instant::now);
        let stop = CancellationToken::new();
        let Seat { mut assignment, held, ready, .. } = seat.clone();
        let pipeline = tokio::spawn(async move {
            while assignment.changed().await.is_ok() {
                let told = assignment.borrow_and_update().clone().unwrap_or_default();
                held.send_replace(told.shards.clone());
                ready.send_replace(told.standby.clone());
            }
        });
        let member = tokio::spawn(group.run(stop.clone()));
        Self { seat, status, stop, member, pipeline }
    }

    pub(crate) fn told(&self) -> Option<Arc<Assignment>> {
        self.seat.assignment.borrow().clone()
    }

    pub(crate) fn generation(&self) -> i32 {
        self.told().map_or(-1, |told| told.generation)
    }

    /// The shards that it may publish now.
    pub(crate) fn published(&self) -> BTreeSet<ShardId> {
        let leased = self.seat.lease.borrow().is_some_and(|until| until > Instant::now());
        let told = self.told().filter(|_| leased);
        told.map(|told| told.shards.clone()).unwrap_or_default()
    }

    pub(crate) fn reach(&self, offsets: &[i64]) {
        let offsets = offsets.iter().map(|offset| Offset(*offset));
        self.seat.positions.send_replace((0..).map(Partition).zip(offsets).collect());
    }

    /// It dies as a process does, and says nothing.
    pub(crate) fn crash(self) {
        self.member.abort();
        self.pipeline.abort();
    }

    /// It ends as one that was asked to.
    pub(crate) async fn leave(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.member).await.expect("in time").expect("task").expect("left");
    }

    /// It ends by itself.
    pub(crate) async fn ends(self) -> GroupError {
        timeout(PATIENCE, self.member).await.expect("in time").expect("task").expect_err("refused")
    }
}

/// Waits until the members publish so many shards each; never does one shard belong to two. How
/// long it took.
pub(crate) async fn shares(peers: &[&Peer], expected: &[usize]) -> Duration {
    let began = Instant::now();
    loop {
        let published: Vec<_> = peers.iter().map(|peer| peer.published()).collect();
        let sizes: Vec<usize> = published.iter().map(BTreeSet::len).collect();
        let all: BTreeSet<_> = published.iter().flatten().collect();
        assert_eq!(all.len(), sizes.iter().sum::<usize>(), "two publish one shard: {sizes:?}");
        if sizes == expected {
            return began.elapsed();
        }
        assert!(began.elapsed() < PATIENCE, "{sizes:?} and not {expected:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
