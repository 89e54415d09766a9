//! What the operator sees of the checkpoint: a health component, log lines, figures.

use serde_json::Value;

use crate::service::Service;

/// Waits until all three name the `cause`; meanwhile the service is alive, and not ready.
pub(crate) fn sees(service: &Service, cause: &str) {
    service.until(cause, || {
        let reason = reason(service);
        reason != "ok" && reason.contains(cause)
    });
    assert_eq!(service.get("/livez").unwrap().0, 200, "alive");
    assert!(service.figure("flush_errors_total") >= 1.0);
    // A flush that was under way may have told of another cause just before: lines are throttled.
    service.until("a line that names it", || {
        let lines = lines(service, "checkpoint not written: publishing goes on from memory");
        lines.iter().any(|line| line["cause"].as_str().unwrap().contains(cause))
    });
    println!("health: checkpoint: {}", reason(service));
}

/// Waits until the checkpoint is written again.
pub(crate) fn recovers(service: &Service) {
    service.until("the checkpoint to be written", || reason(service) == "ok");
    assert!(!lines(service, "checkpointing again").is_empty());
}

/// The log's lines with this text.
pub(crate) fn lines(service: &Service, text: &str) -> Vec<Value> {
    let log = service.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == text).collect()
}

/// How often the checkpoint gave this verdict.
pub(crate) fn verdicts(service: &Service, verdict: &str) -> f64 {
    service.figure(&format!("flushes_total{{verdict=\"{verdict}\"}}"))
}

/// What the component says.
pub(crate) fn reason(service: &Service) -> String {
    let (_, body) = service.get("/health").unwrap();
    let health: Value = serde_json::from_str(&body).unwrap();
    health["components"]["checkpoint"]["reason"].as_str().unwrap().to_owned()
}

/// What the operator is told of a checkpoint that has lost acknowledged writes.
pub(crate) const REWRITES: &str = "checkpoint has lost acknowledged writes: all is written anew";
