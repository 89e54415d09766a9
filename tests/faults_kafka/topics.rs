//! The input topic changes under the reader: partitions are added, it is deleted and made again,
//! retention removes what nobody has read.

use std::sync::Arc;
use std::time::Duration;

use rskafka::record::Record;
use serde_json::Value;

use crate::service::Service;
use crate::site::{self, Shared};
use crate::stage::{Stage, logged, stop};
use crate::topic::{PARTITIONS, Topic, now};
use crate::workload::{Element, Planned};

pub(crate) fn partitions_that_are_added_are_read_from_their_start() {
    let (site, mut stage) = on_shared("added");
    let records = stage.plan();
    let (first, second) = records.split_at(records.len() / 2);
    let service = stage.service();
    service.ready();
    stage.load_while(first, |_| site.session().order(&["partitions", "added-trades", "5"]));
    stage.trades = Arc::new(Topic::reach(&stage.config, "added-trades"));
    assert_eq!(stage.trades.count(), 5);
    stage.load(second);
    stage.quiet(&service);
    assert_eq!(logged(&service, "INFO", "new partition").len(), 2);
    stop(service);
    let service = stage.service();
    service.ready();
    let quiet = now().timestamp() + 1;
    stage.ticks(&service, 1);
    assert!(service.figure("records_consumed_total") < 1.0, "all was in the checkpoint");
    stop(service);
    stage.judge(quiet, false);
}

pub(crate) fn a_topic_that_is_made_again_while_it_is_read_is_read_from_its_start() {
    let (site, mut stage) = on_shared("again");
    let (first, second) = two_logs(&mut stage);
    let service = stage.service();
    service.ready();
    stage.load_evenly(&first, Planned::record);
    stage.quiet(&service);
    let mut log = stage.trades.all();
    site.session().order(&["delete", "again-trades"]);
    service.until("it to say so", || service.get("/readyz").unwrap().0 == 503);
    made_again(&mut stage);
    stage.load_evenly(&second, Planned::record);
    let quiet = stage.quiet(&service);
    service.ready();
    stage.ticks(&service, 1);
    told_of_a_new_log(&service);
    stop(service);
    log.extend(stage.trades.all());
    stage.judge_by(&log, quiet, false);
}

pub(crate) fn a_topic_that_is_made_again_while_nobody_reads_is_read_from_its_start() {
    let (site, mut stage) = on_shared("anew");
    let (first, second) = two_logs(&mut stage);
    let service = stage.service();
    service.ready();
    stage.load_evenly(&first, Planned::record);
    stage.quiet(&service);
    stop(service);
    let mut log = stage.trades.all();
    site.session().order(&["delete", "anew-trades"]);
    made_again(&mut stage);
    stage.load_evenly(&second, Planned::record);
    let service = stage.service();
    service.ready();
    let quiet = stage.quiet(&service);
    stage.ticks(&service, 1);
    told_of_a_new_log(&service);
    stop(service);
    log.extend(stage.trades.all());
    stage.judge_by(&log, quiet, false);
}

pub(crate) fn records_that_retention_removed_unread_are_named_and_the_others_are_exact() {
    let (site, mut stage) = on_shared("retention");
    let (old, present) = (now() - OLD, now().timestamp());
    let read = stage.plan_between(present - 2_400, old.timestamp() - 100);
    let removed = stage.plan_between(old.timestamp() - 100, old.timestamp());
    let kept = stage.plan_between(present - 840, present + 100);
    let stamp = |plan: &Planned| Record { timestamp: old, ..plan.record() };
    let service = stage.service();
    service.ready();
    stage.load_evenly(&read, stamp);
    let count = f64::from(u32::try_from(read.len()).unwrap());
    service.until("all to be read", || service.figure("records_consumed_total") >= count);
    stop(service);
    let mut log = stage.trades.all();
    let from = stage.trades.ends();
    stage.load_evenly(&removed, stamp);
    let to = stage.trades.ends();
    let setting = format!("retention.ms={}", OLD.as_millis() / 2);
    site.session().order(&["config", "retention-trades", &setting]);
    stage.until_removed(&to);
    stage.load(&kept);
    let service = stage.service();
    service.ready();
    let quiet = stage.quiet(&service);
    stage.ticks(&service, 1);
    for (partition, (from, to)) in (0..).zip(from.into_iter().zip(to)) {
        let lines = logged(&service, "ERROR", "unread records removed");
        let named = lines.iter().filter(|line| {
            [("partition", partition), ("from", from), ("to", to)]
                .iter()
                .all(|(field, number)| says(line, field, *number))
                && line["lost"] == to - from
        });
        assert_eq!(named.count(), 1, "partition {partition}, {from} to {to}: {lines:?}");
        let lost = service.figure(&format!("offset_lost_total{{partition=\"{partition}\"}}"));
        assert!((lost - f64::from(u32::try_from(to - from).unwrap())).abs() < 0.5, "{lost}");
    }
    stop(service);
    log.extend(stage.trades.all());
    stage.judge_by(&log, quiet, false);
}

/// Loads of two logs, apart in time, so that no two trades share their place in every order. The
/// first one has no dead letters: their places would be taken twice.
fn two_logs(stage: &mut Stage) -> (Vec<Planned>, Vec<Planned>) {
    let present = now().timestamp();
    let mut first = stage.plan_between(present - 840, present - 400);
    let is_trade = |element: &Element| matches!(element, Element::Trade(_));
    first.retain(|plan| plan.value.is_some() && plan.elements.iter().all(is_trade));
    let mut second = stage.plan_between(present - 300, present + 60);
    second.truncate(second.len() / 4);
    (first, second)
}

fn made_again(stage: &mut Stage) {
    stage.trades = Arc::new(Topic::reach(&stage.config, &stage.trades.name));
}

fn told_of_a_new_log(service: &Service) {
    let lines = logged(service, "ERROR", "a new log: shorter than before");
    for partition in 0..PARTITIONS {
        let named = lines.iter().filter(|line| says(line, "partition", partition.into()));
        assert_eq!(named.count(), 1, "partition {partition}: {lines:?}");
        let figure = format!("new_logs_total{{partition=\"{partition}\"}}");
        assert!((service.figure(&figure) - 1.0).abs() < 0.5, "{figure}");
    }
}

fn says(line: &Value, field: &str, number: i64) -> bool {
    line[field].as_str() == Some(&number.to_string())
}

fn on_shared(name: &str) -> (&'static Shared, Stage) {
    let site = site::shared();
    (site, Stage::set(name, site.broker.config()))
}

const OLD: Duration = Duration::from_secs(1_200);
