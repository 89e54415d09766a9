//! What a registry refuses ends the start with its reason; one that is away is waited for, and not
//! missed later.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::registry::{Registry, url};
use crate::service::{PATIENCE, Service};
use crate::topic::Topic;
use crate::{FORMATS, program, variables};
use support::kafka::KafkaBroker;
use support::keys::Keys;
use support::proxy::{Proxy, Weather};
use support::redis::RedisServer;

/// Somebody else's schemas, and what the registry says of ours beside them.
const FOREIGN: [(&str, &str); 3] = [
    (
        r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object",
            "properties":{"token":{"type":"integer"}}}"#,
        "SUBSCHEMA_TYPE_CHANGED at /properties/token",
    ),
    (
        r#"{"type":"record","name":"Aggregate","namespace":"aggregator",
            "fields":[{"name":"token","type":"long"}]}"#,
        "reader type: STRING not compatible with writer type: LONG at /fields/0/type",
    ),
    (
        "syntax = \"proto3\";\npackage aggregator.v1;\nmessage Aggregate { int64 token = 1; }",
        "The new version of the protobuf artifact is not backward compatible.",
    ),
];

/// The last line, which says why it ended; the exit code is 1.
fn complaint(service: &Service) -> String {
    assert_eq!(service.exit_code(PATIENCE), 1);
    let log = service.log();
    log.lines().last().unwrap_or_default().to_owned()
}

/// What `check` says, and whether it fails.
fn check(variables: &[(String, String)]) -> (bool, String) {
    let mut command = Command::new(program());
    command.env_clear().envs(variables.iter().cloned()).arg("check");
    let done = command.output().unwrap();
    (done.status.code() == Some(1), String::from_utf8(done.stdout).unwrap())
}

#[test]
fn an_incompatible_schema_refuses_the_start_with_the_reason_of_the_registry() {
    let (registry, redis) = (Registry::shared(), RedisServer::start());
    for (format, (schema, reason)) in FORMATS.into_iter().zip(FOREIGN) {
        let name = format!("refused-{}", format.name());
        let subject = format!("{name}-value");
        registry.hold(&subject, format, schema);
        let variables = variables(&name, format.name(), &redis, &[]);
        let line = complaint(&Service::start(program(), &variables));
        for part in ["AGGREGATE_FORMAT: ", &subject, "incompatible", reason] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        assert_eq!(registry.latest(&subject).unwrap()["version"], 1, "nothing was registered");
        let (failed, page) = check(&variables);
        let line = page.lines().find(|line| line.contains(&subject)).expect(&page);
        assert!(failed && line.contains("fail") && line.contains("incompatible"), "{page}");
    }
}

#[test]
fn a_registry_that_is_away_is_waited_for_at_the_start_and_not_missed_later() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(&format!("127.0.0.1:{}", Registry::shared().port));
    proxy.weather(Weather::Refuse);
    let through = url("http", proxy.port());
    let through = [("SCHEMA_REGISTRY_URL", &*through)];
    let variables = variables("away", "avro", &redis, &through);
    let (failed, page) = check(&variables);
    assert!(failed && page.contains("is SCHEMA_REGISTRY_URL right"), "{page}");
    crate::trades::produce("away-trades", "away-names");
    let service = Service::start(program(), &variables);
    let waits = |line: Value| {
        line["dependency"] == "schema_registry"
            && line["message"] == "the start waits for what it needs, and asks again"
            && line["cause"].as_str().unwrap().contains("does not answer")
    };
    service.until("the warning", || {
        service.log().lines().any(|line| serde_json::from_str(line).is_ok_and(waits))
    });
    let (status, reasons) = service.get("/readyz").unwrap();
    assert_eq!(status, 503, "{reasons}");

    proxy.weather(Weather::Clear);
    service.ready();
    let (failed, page) = check(&variables);
    assert!(!failed && page.contains("our schema is registered, id "), "{page}");
    drop(proxy);
    let topic = Topic::open(KafkaBroker::shared(), "away");
    let before: i64 = topic.ends().iter().sum();
    service.until("more messages", || topic.ends().iter().sum::<i64>() >= before + 20);
    service.terminate();
    assert_eq!(service.exit_code(PATIENCE), 0);
}

/// Answers every request in the same way.
fn answering(status: &'static str, body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut request, mut part) = (stream.unwrap(), Vec::new(), [0; 4_096]);
            while !request.ends_with(b"}") {
                let length = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..length]);
            }
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    port
}

#[test]
fn a_registry_that_refuses_ends_the_start_with_the_variable_and_the_cause() {
    let redis = RedisServer::start();
    let cases = [
        ("401 Unauthorized", r#"{"message":"who are you?"}"#, "SCHEMA_REGISTRY_USERNAME, "),
        ("422 Unprocessable Entity", r#"{"message":"not so"}"#, "SCHEMA_REGISTRY_URL: "),
        ("200 OK", "<html>{}", "SCHEMA_REGISTRY_URL: "),
        ("404 Not Found", "nothing here", "SCHEMA_REGISTRY_URL: "),
    ];
    for (status, body, variable) in cases {
        let url = format!("http://me:hush@127.0.0.1:{}", answering(status, body));
        let variables = variables("refusing", "avro", &redis, &[("SCHEMA_REGISTRY_URL", &url)]);
        let service = Service::start(program(), &variables);
        let line = complaint(&service);
        let cause = match serde_json::from_str::<Value>(body) {
            Ok(body) => body["message"].as_str().unwrap().to_owned(),
            Err(_) if status == "200 OK" => "no registry's answer".to_owned(),
            Err(_) => body.to_owned(),
        };
        assert!(line.contains(variable) && line.contains(&cause), "{line}");
        assert!(!service.log().contains("hush"), "a secret is in the log");
    }
}

#[test]
fn it_logs_in_as_it_is_told_and_over_tls_trusts_whom_it_may() {
    let (registry, redis) = (Registry::shared(), RedisServer::start());
    let heard = Arc::<Mutex<Vec<u8>>>::default();
    let hears = Arc::clone(&heard);
    let proxy = Proxy::watched(&format!("127.0.0.1:{}", registry.port), move |_, reply, bytes| {
        if !reply {
            hears.lock().unwrap().extend_from_slice(bytes);
        }
    });
    let (with_user, without) = (
        format!("http://me:h%3Ash@127.0.0.1:{}/apis/ccompat/v7", proxy.port()),
        url("http", proxy.port()),
    );
    let apart = [("SCHEMA_REGISTRY_USERNAME", "me"), ("SCHEMA_REGISTRY_PASSWORD", "h:sh")];
    for (name, extra) in [
        ("login-url", vec![("SCHEMA_REGISTRY_URL", &*with_user)]),
        ("login", [&apart[..], &[("SCHEMA_REGISTRY_URL", &*without)]].concat()),
    ] {
        heard.lock().unwrap().clear();
        let (_, page) = check(&variables(name, "protobuf", &redis, &extra));
        assert!(page.contains("our schema is not registered yet, and fits"), "{page}");
        let heard = String::from_utf8_lossy(&heard.lock().unwrap()).to_lowercase();
        // me:h:sh, in base 64, in lower case.
        assert!(heard.contains("authorization: basic bwu6adpzaa=="), "{heard}");
        assert!(!page.contains("h:sh") && !page.contains("h%3Ash"), "{page}");
    }

    let (ours, others, https) =
        (registry.keys.path("ca.pem"), Keys::make(), url("https", registry.tls_port));
    let trusting = |ca: &str| {
        let extra = [("SCHEMA_REGISTRY_URL", &*https), ("SCHEMA_REGISTRY_TLS_CA", ca)];
        variables("tls", "json-schema", &redis, &extra)
    };
    let service = Service::start(program(), &trusting(&ours));
    service.ready();
    assert!(registry.latest("tls-value").is_some(), "it was registered");
    drop(service);
    let line = complaint(&Service::start(program(), &trusting(&others.path("ca.pem"))));
    assert!(line.contains("SCHEMA_REGISTRY_TLS_CA: "), "{line}");
}
