//! The rows of the HTTP table that say how the service is, how it is set and what it refuses.

use std::collections::{BTreeMap, BTreeSet};

use aggregator_service::config::SETTINGS;
use serde_json::{Value, json};

use crate::ask::ask_with;
use crate::service::instance;
use crate::stage::{ADMIN_TOKEN, LATE, ODD, QUIET, Stage, command, second, until};

/// The names in an object.
fn names(object: &Value) -> BTreeSet<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

pub(crate) fn health(stage: &Stage) {
    let health = stage.json("/health");
    for name in ["status", "timestamp", "service", "started", "uptime_seconds"] {
        assert!(names(&health).contains(name), "{name} is not in {health}");
    }
    assert_eq!(health["status"], "healthy", "{health}");
    assert_eq!(health["service"], "aggregator-service");
    let since_start = second(&health["timestamp"]) - second(&health["started"]);
    assert!(health["uptime_seconds"].as_i64().unwrap().abs_diff(since_start) <= 1, "{health}");
    let summary = &health["metrics_summary"];
    let counted = stage.trades.iter().filter(|told| told.token != LATE).count();
    assert_eq!(summary["trades_counted"], counted, "{summary}");
    assert_eq!((&summary["trades_late"], &summary["rejected"]), (&json!(1), &json!(1)));
    let components = health["components"].as_object().unwrap();
    for name in ["pipeline", "kafka", "publishing", "checkpoint"] {
        assert!(components.contains_key(name), "{name} is not in {health}");
    }
    for (name, component) in components {
        assert_eq!(component["status"], "healthy", "{name}: {component}");
        assert!(!component["reason"].as_str().unwrap().is_empty(), "{name}: {component}");
    }
}

pub(crate) fn live(stage: &Stage) {
    for path in ["/health/live", "/livez"] {
        assert_eq!(stage.json(path), json!({"status": "alive"}), "{path}");
    }
}

pub(crate) fn ready(stage: &Stage) {
    for path in ["/health/ready", "/readyz"] {
        assert_eq!(stage.json(path), json!({"status": "ready"}), "{path}");
    }
}

pub(crate) fn metrics(stage: &Stage) {
    let answer = stage.ask("GET /metrics");
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    for line in answer.body.lines() {
        let name = line.strip_prefix("# HELP ").or(line.strip_prefix("# TYPE ")).unwrap_or(line);
        assert!(name.starts_with("aggregator_"), "{line}");
    }
    for token in [QUIET, ODD] {
        assert!(!answer.body.contains(token), "a label for {token}");
    }
    let rejected = "aggregator_rejected_total{reason=\"missing_field\"} 1";
    assert!(answer.body.lines().any(|line| line == rejected), "{}", answer.body);
}

pub(crate) fn metrics_json(stage: &Stage) {
    let (text, families) = (stage.ask("GET /metrics").body, stage.json("/metrics/json"));
    let families: BTreeMap<&str, &Value> =
        families.as_object().unwrap().iter().map(|(name, family)| (&**name, family)).collect();
    let types = |line: &'static str| line.strip_prefix("# TYPE ")?.split_once(' ');
    let text: &'static str = text.leak();
    let told: BTreeMap<_, _> = text.lines().filter_map(types).collect();
    assert!(told.len() > 20, "{text}");
    let kinds = families.iter().map(|(name, family)| (*name, family["type"].as_str().unwrap()));
    assert_eq!(kinds.collect::<BTreeMap<_, _>>(), told);
    let rejected = families["aggregator_rejected_total"]["values"].as_array().unwrap();
    let ours = json!({"labels": {"reason": "missing_field"}, "value": 1.0});
    assert!(rejected.contains(&ours), "{rejected:?}");
}

pub(crate) fn stats(stage: &Stage) {
    let mut stats = Value::Null;
    // Between two ticks it has heard of every message that there is.
    until("as many messages as Kafka has", || {
        stats = stage.json("/stats");
        // How long a tick took is known at its end, after its messages.
        stats["messages_sent"] == stage.aggregates.all().len()
            && stats["writer_stats"]["batch_time"] != 0
    });
    let expected = [
        "is_running",
        "brokers",
        "topic",
        "messages_sent",
        "messages_error",
        "bytes_sent",
        "last_sent_time",
        "average_latency",
        "writer_stats",
    ];
    assert_eq!(names(&stats), expected.into());
    let writer = &stats["writer_stats"];
    let expected = ["writes", "messages", "bytes", "errors", "batch_time", "write_time"];
    assert_eq!(names(writer), expected.into());
    assert_eq!(stats["is_running"], true);
    assert_eq!(stats["brokers"], json!([stage.kafka.address()]));
    assert_eq!(stats["topic"], "contract-aggregates");
    assert_eq!(
        (&writer["messages"], &writer["bytes"]),
        (&stats["messages_sent"], &stats["bytes_sent"])
    );
    assert_eq!((&stats["messages_error"], &writer["errors"]), (&json!(0), &json!(0)));
    for (object, name) in [
        (&stats, "bytes_sent"),
        (&stats, "average_latency"),
        (writer, "writes"),
        (writer, "batch_time"),
        (writer, "write_time"),
    ] {
        assert!(object[name].as_u64().is_some_and(|value| value > 0), "{name}: {stats}");
    }
    let last = second(&stats["last_sent_time"]);
    assert!(last >= second(&stage.json("/health")["started"]), "{stats}");
}

pub(crate) fn refused(stage: &Stage) {
    let bearer = format!("Authorization: Bearer {ADMIN_TOKEN}");
    let json = "Content-Type: application/json";
    let all = r#"{"all":true}"#;
    let cases: &[(&[&str], &str, u16)] = &[
        (&[json], all, 401),
        (&[json, "Authorization: Bearer wrong"], all, 401),
        (&[json, &bearer, "Origin: https://evil.example"], all, 403),
        (&[&bearer], all, 415),
        (&[json, &bearer], "{}", 400),
        (&[json, &bearer], r#"{"all":true,"token":"a"}"#, 400),
        (&[json, &bearer], r#"{"everything":true}"#, 400),
        (&[json, &bearer], &"x".repeat(MAX_BODY + 1), 413),
    ];
    for (headers, body, status) in cases {
        let answer = ask_with(stage.port, "POST /publish", headers, body);
        assert_eq!(answer.status, *status, "{headers:?}: {answer:?}");
        assert!(!answer.error().is_empty(), "{answer:?}");
        let wanted = (*status == 401).then_some("bearer");
        assert_eq!(answer.header("www-authenticate"), wanted, "{answer:?}");
    }
}

pub(crate) fn config(stage: &Stage) {
    let answer = stage.json("/config");
    let shown = answer["settings"].as_array().unwrap();
    let order: Vec<_> = shown.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(order, SETTINGS.iter().map(|setting| setting.name).collect::<Vec<_>>());
    let port = stage.port.to_string();
    let set: BTreeMap<&str, &str> = stage
        .variables
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .chain([("METRICS_PORT", &*port), ("ADMIN_TOKEN", "***")])
        .chain([("KAFKA_GROUP_INSTANCE_ID", instance(&stage.variables))])
        .collect();
    for (one, setting) in shown.iter().zip(SETTINGS) {
        let (value, origin) = match set.get(setting.name) {
            Some(value) => (*value, "environment"),
            None => (setting.default, "default"),
        };
        let expected = json!({"name": setting.name, "value": value, "origin": origin});
        assert_eq!(*one, expected);
    }
}

pub(crate) fn version(stage: &Stage) {
    let version = stage.json("/version");
    assert_eq!(names(&version), ["commit", "rust", "service", "target", "version"].into());
    let told = command(&["--version"]).output().unwrap().stdout;
    let service = version["service"].as_str().unwrap();
    let number = version["version"].as_str().unwrap();
    assert_eq!(String::from_utf8(told).unwrap().trim_end(), format!("{service} {number}"));
    assert!(version["rust"].as_str().unwrap().starts_with("rustc 1."), "{version}");
    assert!(version["target"].as_str().unwrap().starts_with(std::env::consts::ARCH), "{version}");
}

pub(crate) fn errors(stage: &Stage) {
    for path in ["/nowhere", "/health/", "/healthy", "/metrics/xml", "/tokens/", "//", "/%00"] {
        let answer = stage.ask(&format!("GET {path}"));
        assert_eq!((answer.status, &*answer.error()), (404, "no such path"), "{path}");
    }
    for request in ["POST /health", "DELETE /stats", "PUT /config", "OPTIONS /metrics"] {
        let answer = stage.ask(request);
        assert_eq!((answer.status, &*answer.error()), (405, "no such method here"), "{request}");
        assert_eq!(answer.header("allow"), Some("get,head"), "{request}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{request}");
    }
    let answer = stage.ask("GET /publish");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("post")));
}

pub(crate) fn head(stage: &Stage) {
    for path in ["/livez", "/readyz", "/version", "/config", "/openapi.json", "/nowhere"] {
        let (head, get) = (stage.ask(&format!("HEAD {path}")), stage.ask(&format!("GET {path}")));
        assert_eq!((head.status, &*head.body), (get.status, ""), "{path}");
        for name in ["content-type", "content-length", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
    }
}

pub(crate) fn page(stage: &Stage) {
    let answer = stage.ask("GET /");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/html"), "{answer:?}");
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
}

pub(crate) fn log_level(stage: &Stage) {
    let debug = r#""level":"DEBUG""#;
    let debug_lines = || stage.log().lines().filter(|line| line.contains(debug)).count();
    let told = |level: &str| stage.post("/log-level", &json!({ "level": level })).json();
    assert_eq!(debug_lines(), 0);
    assert_eq!(told("DEBUG"), json!({"level": "DEBUG", "before": "INFO"}));
    until("a line of that level", || debug_lines() > 0);
    assert_eq!(told("INFO"), json!({"level": "INFO", "before": "DEBUG"}));
    let answer = stage.post("/log-level", &json!({"level": "LOUD"}));
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.error().contains("LOUD"), "{answer:?}");
    let stranger = ["Content-Type: application/json"];
    let answer = ask_with(stage.port, "POST /log-level", &stranger, r#"{"level":"DEBUG"}"#);
    assert_eq!(answer.status, 401, "{answer:?}");
}

/// 256 kB.
const MAX_BODY: usize = 262_144;
