//! The log level while it runs: by `POST /log-level`, and by SIGHUP from the configuration.

use std::fs;

use serde_json::{Value, json};
use support::signals::signal;

use crate::service::{PATIENCE, Service};
use crate::{demo, log, said};

fn post(service: &Service, body: &str) -> (u16, Value) {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build();
    let url = format!("http://127.0.0.1:{}/log-level", service.port);
    let request = ureq::Agent::new_with_config(config).post(url);
    let mut answer = request.header("content-type", "application/json").send(body).unwrap();
    let body = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&body).unwrap())
}

fn hang_up(service: &Service) {
    signal(&service.pid, "HUP");
}

fn debug_lines(service: &Service) -> usize {
    log(service).iter().filter(|line| line["level"] == "DEBUG").count()
}

fn lines_below_warn(service: &Service) -> usize {
    let below = |line: &&Value| line["level"] == "DEBUG" || line["level"] == "INFO";
    log(service).iter().filter(below).count()
}

/// Waits until so many ticks more have been published.
fn ticks(service: &Service, more: f64) {
    let before = service.figure("ticks_total");
    service.until("ticks", || service.figure("ticks_total") >= before + more);
}

#[test]
fn a_level_that_is_posted_holds_from_then_on() {
    let service = demo(&[("LOG_LEVEL", "INFO")]);
    service.ready();
    ticks(&service, 4.0);
    assert_eq!(debug_lines(&service), 0, "not before");
    let set = post(&service, r#"{"level":"DEBUG"}"#);
    assert_eq!(set, (200, json!({"level": "DEBUG", "before": "INFO"})));
    service.until("a debug line", || debug_lines(&service) > 0);
    let set = post(&service, r#"{"level":"warning"}"#);
    assert_eq!(set, (200, json!({"level": "WARN", "before": "DEBUG"})));
    ticks(&service, 1.0); // what was being written has been
    let before = lines_below_warn(&service);
    ticks(&service, 4.0);
    assert_eq!(lines_below_warn(&service), before, "nothing below WARN");
    let (status, answer) = post(&service, r#"{"level":"LOUD"}"#);
    let says = "level: \"LOUD\" is not accepted; accepted: DEBUG, INFO, WARN, ERROR or FATAL";
    assert_eq!((status, answer), (400, json!({ "error": says })));
    assert_eq!(post(&service, r#"{"level":"INFO"}"#).1["before"], "WARN", "it changed nothing");
}

#[test]
fn sighup_reads_the_level_anew_and_a_wrong_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings.toml");
    fs::write(&file, "log_level = 'INFO'\n").unwrap();
    let service = demo(&[("AGGREGATOR_CONFIG", file.to_str().unwrap())]);
    service.ready();
    hang_up(&service);
    let set = "log level set";
    service.until("the level to be read", || said(&service, set).len() == 1);
    assert_eq!(debug_lines(&service), 0, "the same level");

    fs::write(&file, "log_level = 'LOUD'\n").unwrap();
    hang_up(&service);
    let wrong = "SIGHUP changes nothing: the configuration is wrong";
    service.until("the complaint", || said(&service, wrong).len() == 1);
    let cause = &said(&service, wrong)[0]["cause"];
    let says = "LOG_LEVEL: \"LOUD\" (file) is not accepted; accepted: ";
    assert!(cause.as_str().unwrap().starts_with(says), "{cause}");
    ticks(&service, 2.0);
    assert_eq!(debug_lines(&service), 0, "it changed nothing");

    fs::write(&file, "log_level = 'DEBUG'\n").unwrap();
    hang_up(&service);
    service.until("a debug line", || debug_lines(&service) > 0);
}
