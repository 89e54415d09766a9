//! What `deploy/` holds for whoever watches the service: dashboard, alerts and their cases,
//! runbook, the configuration of Prometheus and Grafana. Reads, never judges.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where the files are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// A file as text.
pub(crate) fn text(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A YAML file.
pub(crate) fn yaml(name: &str) -> Value {
    yaml_serde::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The dashboard.
pub(crate) fn dashboard() -> Value {
    serde_json::from_str(&text("dashboard.json")).unwrap()
}

/// One alert.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) expr: String,
    pub(crate) severity: String,
    pub(crate) summary: String,
    pub(crate) description: String,
    pub(crate) runbook: String,
}

/// All alerts.
pub(crate) fn alerts() -> Vec<Alert> {
    let all = yaml("alerts.yml");
    let rules = list(&all["groups"]).iter().flat_map(|group| list(&group["rules"]));
    let alert = |rule: &Value| Alert {
        name: word(&rule["alert"]),
        expr: word(&rule["expr"]),
        severity: word(&rule["labels"]["severity"]),
        summary: word(&rule["annotations"]["summary"]),
        description: word(&rule["annotations"]["description"]),
        runbook: word(&rule["annotations"]["runbook_url"]),
    };
    let alerts: Vec<_> = rules.map(alert).collect();
    assert!(alerts.len() > 10, "the alerts were not found");
    alerts
}

/// One case of an alert: does it fire in it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) alert: String,
    pub(crate) fires: bool,
}

/// All cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = yaml("alerts.test.yml");
    let cases = list(&all["tests"]).iter().flat_map(|test| list(&test["alert_rule_test"]));
    let case = |case: &Value| Case {
        alert: word(&case["alertname"]),
        fires: !list(&case["exp_alerts"]).is_empty(),
    };
    cases.map(case).collect()
}

/// One query of the dashboard.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// The panel or the annotation that asks.
    pub(crate) title: String,
    pub(crate) expr: String,
    /// One value, not one a step.
    pub(crate) instant: bool,
}

/// The queries of all panels.
pub(crate) fn queries(dashboard: &Value) -> Vec<Query> {
    let of = |panel: &Value| -> Vec<Query> {
        let query = |target: &Value| Query {
            title: word(&panel["title"]),
            expr: word(&target["expr"]),
            instant: target["instant"].as_bool().unwrap_or(false),
        };
        list(&panel["targets"]).iter().map(query).collect()
    };
    panels(dashboard).flat_map(of).collect()
}

/// The queries that mark moments in every panel.
pub(crate) fn annotations(dashboard: &Value) -> Vec<Query> {
    let all = list(&dashboard["annotations"]["list"]).iter();
    let asked = all.filter(|annotation| annotation["builtIn"] != 1);
    let query = |annotation: &Value| Query {
        title: word(&annotation["name"]),
        expr: word(&annotation["expr"]),
        instant: false,
    };
    asked.map(query).collect()
}

/// The panels, without the titles of rows.
pub(crate) fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row")
}

/// A list that must be there.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

/// Text that must be there and say something.
pub(crate) fn word(value: &Value) -> String {
    let text = value.as_str().unwrap_or_else(|| panic!("no text: {value}")).trim();
    assert!(!text.is_empty(), "empty text");
    text.to_owned()
}
