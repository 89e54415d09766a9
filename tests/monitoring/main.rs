//! What `deploy/` gives to whoever watches the service, held against the service itself:
//! Prometheus' own tool reads rules and configuration, and a real Prometheus that scrapes a running
//! service answers every query of the dashboard and evaluates every alert.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "wall clock and environment are the tests' own")]

use support::harness::{service, topic, workload};

mod expressions;
mod files;
mod prometheus;
mod runbook;
mod stage;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::expressions::Variables;
use crate::files::{Query, list, word};
use crate::prometheus::{Prometheus, promtool};
use crate::service::{PATIENCE, Service};
use crate::stage::Stage;

/// Figures that are on no panel, and why.
const NOT_SHOWN: &[(&str, &str)] = &[];

/// Alerts of what is or is not.
const UNMEASURED: [&str; 4] =
    ["AggregatorCutOff", "AggregatorDown", "AggregatorFenced", "AggregatorNotReady"];

/// Figures that the load must have moved before a look at the dashboard says anything.
const MOVED: [&str; 10] = [
    "trades_counted_total",
    "trades_late_total",
    "rejected_total",
    "dead_letters_total",
    "messages_published_total",
    "publish_tick_seconds_count",
    "flush_seconds_count",
    "flush_size_bytes_count",
    "count_latency_seconds_count",
    "ready",
];

#[test]
fn promtool_accepts_rules_and_configuration_and_every_case_comes_out_as_it_says() {
    for args in [
        ["check", "config", "prometheus.yml"].as_slice(),
        &["check", "rules", "alerts.yml"],
        &["test", "rules", "alerts.test.yml"],
    ] {
        let (content, said) = promtool(args);
        assert!(content && said.contains("SUCCESS"), "promtool {args:?}:\n{said}");
    }
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent() {
    let cases = files::cases();
    let alerts = files::alerts();
    for alert in &alerts {
        for fires in [true, false] {
            let there = cases.iter().any(|case| case.alert == alert.name && case.fires == fires);
            assert!(there, "{} has no case with fires: {fires}", alert.name);
        }
        assert!(["critical", "warning"].contains(&alert.severity.as_str()), "{alert:?}");
        assert!(alert.summary.contains("{{ $labels."), "says where: {alert:?}");
        let says_how_much = alert.description.contains("{{ $value");
        assert_eq!(says_how_much, !UNMEASURED.contains(&alert.name.as_str()), "{alert:?}");
    }
    for case in cases {
        assert!(alerts.iter().any(|alert| alert.name == case.alert), "no such alert: {case:?}");
    }
}

#[test]
fn the_dashboard_fills_its_columns_and_every_panel_says_what_is_normal() {
    let dashboard = files::dashboard();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in list(&dashboard["panels"]) {
        let title = word(&panel["title"]);
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title} has an id of its own");
        let place = |edge: &str| panel["gridPos"][edge].as_u64().unwrap();
        assert!(place("x") + place("w") <= COLUMNS, "{title} ends within the columns");
        for (x, y) in (place("x")..place("x") + place("w"))
            .flat_map(|x| (place("y")..place("y") + place("h")).map(move |y| (x, y)))
        {
            assert!(taken.insert((x, y)), "{title} lies on another panel at {x}, {y}");
        }
    }
    let rows = taken.iter().map(|(_, y)| y + 1).max().unwrap();
    let area = usize::try_from(rows * COLUMNS).unwrap();
    assert_eq!(taken.len(), area, "no hole in the dashboard");
    for panel in files::panels(&dashboard) {
        let (title, says) = (word(&panel["title"]), word(&panel["description"]));
        assert!(says.contains("Normal:"), "{title}: what is normal? {says}");
        let (kind, defaults) = (word(&panel["type"]), &panel["fieldConfig"]["defaults"]);
        let unit = if kind == "heatmap" { &panel["options"]["yAxis"] } else { defaults };
        word(&unit["unit"]);
        assert!(kind == "heatmap" || defaults["thresholds"].is_object(), "{title}: thresholds");
        for target in list(&panel["targets"]) {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}

const COLUMNS: u64 = 24;

/// The data source, the folder, the scrape interval: said in one file, relied on in another.
#[test]
fn grafana_and_prometheus_are_told_the_same() {
    let source = &files::yaml("grafana/provisioning/datasources/prometheus.yaml")["datasources"][0];
    let prometheus = files::yaml("prometheus.yml");
    assert_eq!(source["type"], "prometheus");
    assert_eq!(source["isDefault"], true);
    assert_eq!(source["jsonData"]["timeInterval"], prometheus["global"]["scrape_interval"]);
    let provider = files::yaml("grafana/provisioning/dashboards/aggregator-service.yaml");
    assert_eq!(provider["providers"][0]["type"], "file");
    assert_eq!(provider["providers"][0]["options"]["path"], "/var/lib/grafana/dashboards");
    assert_eq!(prometheus["rule_files"], json!(["alerts.yml"]));
    let job = word(&prometheus["scrape_configs"][0]["job_name"]);
    let asks_for_it = format!("up{{job=\"{job}\"}}");
    assert!(files::alerts().iter().any(|alert| alert.expr.contains(&asks_for_it)), "{job}");
}

#[test]
fn a_running_service_has_data_for_every_query_and_fires_no_alert_until_it_is_gone() {
    let stage = Stage::set();
    let service = stage.service();
    let families = families(&service);
    let prometheus = Prometheus::start(service.port);
    stage.under_load(|| {
        let names = MOVED.map(|name| format!("aggregator_{name}"));
        prometheus.until_none("not moved by the load", || {
            let still = |name: &&String| {
                let moved = prometheus.values(&format!("sum({name}) > 0"), true);
                !moved.is_ok_and(|values| !values.is_empty())
            };
            names.iter().filter(still).cloned().collect()
        });
        figures_are_on_the_dashboard(&families);
        queries_have_data(&prometheus);
        alerts_are_silent(&prometheus);
    });
    service.terminate();
    assert_eq!(service.exit_code(PATIENCE), 0);
    prometheus.until_none("not noticed that it is gone", || {
        let states = prometheus.states().unwrap();
        let silent = states.into_iter().filter(|(_, state)| state == "inactive");
        silent.map(|(name, _)| name).filter(|name| name == "AggregatorDown").collect()
    });
}

/// The names of all figures that the service has.
fn families(service: &Service) -> BTreeSet<String> {
    let (status, text) = service.get("/metrics").unwrap();
    assert_eq!(status, 200, "{text}");
    let named = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    named.map(str::to_owned).collect()
}

/// The dashboard and the alerts name what is there, and what is there is on the dashboard.
fn figures_are_on_the_dashboard(families: &BTreeSet<String>) {
    let queries = files::queries(&files::dashboard());
    let shown: BTreeSet<_> = queries.iter().flat_map(|it| known(&it.expr, families)).collect();
    for alert in files::alerts() {
        known(&alert.expr, families);
    }
    for (name, _) in NOT_SHOWN {
        assert!(families.contains(*name) && !shown.contains(*name), "{name} needs no reason");
    }
    let reason = |name: &String| NOT_SHOWN.iter().any(|(excused, _)| excused == name);
    let missing = families.iter().filter(|name| !shown.contains(*name));
    let missing: Vec<_> = missing.filter(|name| !reason(name)).collect();
    assert!(missing.is_empty(), "on no panel, and without a reason: {missing:?}");
}

/// The families that an expression names; all of them exist.
fn known(expr: &str, families: &BTreeSet<String>) -> Vec<String> {
    let family = |series: &str| match expressions::family(series, families) {
        Some(family) => family.to_owned(),
        None => panic!("the service has no {series}: {expr}"),
    };
    expressions::figures(expr).into_iter().map(family).collect()
}

/// Every query, asked as Grafana asks it, has a number to show.
fn queries_have_data(prometheus: &Prometheus) {
    let dashboard = files::dashboard();
    let queries = files::queries(&dashboard);
    let [job, instance] = ["job", "instance"].map(|name| variable(prometheus, &dashboard, name));
    let variables = Variables { rate_interval: "15s", range: "1m", job: &job, instance: &instance };
    let answers = |query: &Query| {
        let expr = variables.fill(&query.expr);
        let values = prometheus.values(&expr, query.instant);
        let values = values.unwrap_or_else(|error| panic!("{}: {expr}: {error}", query.title));
        values.iter().any(|value| value.is_finite())
    };
    prometheus.until_none("no data", || {
        let silent = queries.iter().filter(|query| !answers(query));
        silent.map(|query| format!("{}: {}", query.title, query.expr)).collect()
    });
    // Moments that did not come are no data and no error.
    for query in files::annotations(&dashboard) {
        let moments = prometheus.values(&variables.fill(&query.expr), false);
        assert!(moments.is_ok(), "{}: {moments:?}", query.title);
    }
}

/// What Grafana offers for a variable, `label_values(SELECTOR, LABEL)`: the one that there is.
fn variable(prometheus: &Prometheus, dashboard: &Value, name: &str) -> String {
    let all = list(&dashboard["templating"]["list"]);
    let asked = all.iter().find(|variable| variable["name"] == name).expect("a variable");
    let asked = word(&asked["query"]["query"]);
    let inner = asked.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
    let (selector, label) = inner.and_then(|inner| inner.rsplit_once(", ")).expect("a query");
    let selector = selector.replace("$job", "aggregator-service");
    let mut values = prometheus.label(label, &selector).unwrap();
    assert_eq!(values.len(), 1, "{name}: {values:?}");
    values.remove(0)
}

/// Every series that an alert looks at exists, and no alert so much as thinks of firing.
fn alerts_are_silent(prometheus: &Prometheus) {
    let alerts = files::alerts();
    prometheus.until_none("no such series", || {
        let seen = |selector: &&str| prometheus.values(selector, true).unwrap().is_empty();
        let selectors = alerts.iter().flat_map(|alert| expressions::selectors(&alert.expr));
        selectors.filter(seen).map(str::to_owned).collect()
    });
    prometheus.until_none("not silent", || {
        let states = prometheus.states().unwrap();
        let silent = |name: &String| states.contains(&(name.clone(), "inactive".to_owned()));
        alerts.iter().map(|alert| alert.name.clone()).filter(|name| !silent(name)).collect()
    });
}
