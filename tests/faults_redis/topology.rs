//! Several servers: a failover that loses acknowledged writes, and slots that move.

use crate::operator::{REWRITES, lines, reason, recovers, sees, verdicts};
use crate::servers::{Cluster, Watched};
use crate::service::Service;
use crate::stage::Stage;

#[test]
fn sentinel_failovers_that_lose_acknowledged_writes_are_noticed_and_cost_nothing() {
    let mut watched = Watched::start();
    let mut stage = Stage::set("sentinel", watched.url());
    let service = stage.ready();
    stage.under_load(|| {
        watched.hand_over(|| some_flushes(&service));
        service.until("the gap to be seen", || verdicts(&service, "gap") >= 1.0);
    });
    let service = stage.holds(service);
    stage.under_load(|| {
        watched.settle();
        watched.fail_over(|| some_flushes(&service));
        recovers(&service);
        service.until("the gap to be seen", || verdicts(&service, "gap") >= 1.0);
    });
    assert!(!lines(&service, REWRITES).is_empty());
    stage.holds(service);
}

#[test]
fn slots_of_a_cluster_that_move_under_load_cost_nothing() {
    let cluster = Cluster::start();
    let mut stage = Stage::set("cluster", cluster.url());
    let service = stage.ready();
    stage.under_load(|| {
        service.until("a checkpoint", || verdicts(&service, "ok") >= 200.0);
        for shard in 0..6 {
            let keys = ["meta", "log"].map(|part| key("cluster-trades", shard, part));
            cluster.move_slot(keys.each_ref().map(String::as_str), |step| match (shard, step) {
                (0, 1) => sees(&service, "TRYAGAIN"),
                (0, 2) => {
                    let moves = "its slot of the cluster moves to another node";
                    service.until(moves, || reason(&service).contains(moves));
                }
                _ => {}
            });
        }
        recovers(&service);
    });
    stage.holds(service);
}

fn some_flushes(service: &Service) {
    let before = verdicts(service, "ok");
    service.until("flushes", || verdicts(service, "ok") >= before + 100.0);
}

fn key(topic: &str, shard: u16, part: &str) -> String {
    format!("aggregator:{{{topic}:{topic}:{shard}}}:{part}")
}
