//! A receiver that is away, silent, refusing, or not to be trusted: the service goes on, says so
//! now and then, and ends when it is told to.

use std::net::TcpListener;

use crate::lines::assert_none_repeats;
use crate::otlp::{assert_they_add_up, exported};
use crate::receiver::{Mood, Receiver};
use crate::service::{PATIENCE, Service};
use crate::{demo, log, said};
use support::keys::Keys;

const NOT_EXPORTED: &str = "OpenTelemetry is not exported: the service goes on without it";

fn exporting(scheme: &str, port: u16, more: &[(&str, &str)]) -> Service {
    let endpoint = format!("{scheme}://127.0.0.1:{port}");
    let mut variables =
        vec![("LOG_LEVEL", "INFO"), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    variables.extend(more);
    demo(&variables)
}

/// It says why nothing is exported; meanwhile ticks go on, and the stop is a clean one.
fn goes_on(service: &Service, cause: &str) {
    service.ready();
    service.until("the warning", || {
        let lines = said(service, NOT_EXPORTED);
        lines.iter().any(|line| line["cause"].as_str().unwrap().contains(cause))
    });
    let ticks = service.figure("ticks_total");
    service.until("more ticks", || service.figure("ticks_total") >= ticks + 2.0);
    service.terminate();
    assert_eq!(service.exit_code(PATIENCE), 0);
    let lines = log(service);
    assert_none_repeats(&lines);
    assert!(lines.iter().all(|line| line["level"] != "ERROR"), "{lines:?}");
}

#[test]
fn a_receiver_that_is_away_silent_or_refusing_disturbs_nothing() {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = nobody.local_addr().unwrap().port();
            drop(nobody);
            goes_on(&exporting("http", port, &[]), "not reached");
        });
        scope.spawn(|| {
            let silent = Receiver::start(Mood::Silent, None);
            let short = [("SHUTDOWN_TIMEOUT", "3s")];
            goes_on(&exporting("http", silent.port, &short), "no answer within 10 s");
        });
        scope.spawn(|| {
            let refusing = Receiver::start(Mood::Status(400), None);
            let service = exporting("http", refusing.port, &[]);
            service.ready();
            service.until("dropped spans", || service.figure("otel_dropped_total") > 0.0);
            goes_on(&service, "HTTP status 400");
        });
    });
}

#[test]
fn what_waited_for_a_receiver_arrives_when_it_is_back() {
    let receiver = Receiver::start(Mood::Status(503), None);
    let service = exporting("http", receiver.port, &[]);
    service.ready();
    service.until("the warning", || !said(&service, NOT_EXPORTED).is_empty());
    receiver.be(Mood::Status(200));
    service.until("spans", || !receiver.spans("/v1/traces").is_empty());
    service
        .until("the end of it", || !said(&service, "OpenTelemetry is exported again").is_empty());
    service.terminate();
    assert_eq!(service.exit_code(PATIENCE), 0);
    let last = receiver.figures("/v1/metrics").pop().unwrap();
    assert_they_add_up(&receiver.spans("/v1/traces"), &exported(&last));
}

#[test]
fn over_tls_it_goes_to_whom_we_trust_and_to_nobody_else() {
    let keys = Keys::make();
    let receiver = Receiver::start(Mood::Status(200), Some(&keys));
    let trusting = [("SSL_CERT_FILE", keys.path("ca.pem"))];
    let [(name, file)] = &trusting;
    let service = exporting("https", receiver.port, &[(name, file)]);
    service.until("figures and spans", || {
        ["/v1/metrics", "/v1/traces"].iter().all(|path| !receiver.kept(path).is_empty())
    });
    drop(service);
    let other = Receiver::start(Mood::Status(200), Some(&Keys::make()));
    goes_on(&exporting("https", other.port, &[(name, file)]), "invalid peer certificate");
    assert!(other.kept("/v1/metrics").is_empty() && other.kept("/v1/traces").is_empty());
}
