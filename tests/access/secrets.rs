//! What nobody may read: passwords, tokens and keys are in no log line, no answer, no complaint, no
//! output and not in the process list, whether it works or not.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::service::{PATIENCE, Service};
use crate::{Variables, post, secure, start};
use support::kafka::secure::TOKEN;
use support::redis::RedisServer;

/// Parts of every secret that is used here.
const SECRETS: [&str; 5] = ["hush", "hu-sh", "sEcReT", "PRIVATE KEY", TOKEN_PART];
const TOKEN_PART: &str = TOKEN.split_at(20).1;

fn assert_hidden(place: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret:?} is in {place}:\n{text}");
    }
}

fn run(arguments: &[&str], variables: &Variables<'_>) -> (i32, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_aggregator-service"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (status.code().unwrap(), said)
}

fn process_list(service: &Service) -> String {
    fs::read_to_string(format!("/proc/{}/cmdline", service.pid)).unwrap()
}

#[test]
fn a_service_that_works_shows_no_secret() {
    let kafka = secure();
    let redis = RedisServer::start();
    redis.command("ACL SETUSER me on >hush-redis ~* &* +@all");
    let url = format!("redis://me:hush-redis@{}", redis.addr());
    let address = kafka.mutual();
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|name| kafka.keys.path(name));
    let service = start(
        "secrets",
        &[&[
            ("LOG_LEVEL", "DEBUG"),
            ("KAFKA_BROKERS", &address),
            ("KAFKA_TLS", "true"),
            ("KAFKA_TLS_CA", &ca),
            ("KAFKA_TLS_CERT", &cert),
            ("KAFKA_TLS_KEY", &key),
            ("REDIS_ADDR", &url),
            ("ADMIN_TOKEN", "hush-admin"),
        ]],
    );
    service.ready();
    assert_hidden("the process list", &process_list(&service));
    for (token, status) in [(None, 401), (Some("hush-wrong"), 401), (Some("hush-admin"), 200)] {
        let (found, body) = post(&service, "/publish", token, r#"{"all":true}"#);
        assert_eq!(found, status, "{body}");
        assert_hidden("the answer", &body);
    }
    for path in ["/health", "/readyz", "/metrics", "/metrics/json", "/stats", "/version"] {
        assert_hidden(path, &service.get(path).unwrap().1);
    }
    redis.command("ACL SETUSER me >sEcReT <hush-redis");
    redis.command("CLIENT KILL USER me");
    service.until("it to be unhealthy", || {
        let (status, body) = service.get("/health").unwrap();
        assert_hidden("/health", &body);
        status == 503
    });
    service.terminate();
    service.exit_code(PATIENCE);
    assert_hidden("the log", &service.log());
}

#[test]
fn a_start_that_fails_shows_no_secret() {
    let kafka = secure();
    let redis = RedisServer::start();
    let url = format!("redis://me:hush@{}", redis.addr());
    let brokers = (kafka.broker.address(), kafka.login());
    let ca = kafka.keys.path("ca.pem");
    let token = kafka.keys.write("cut", &TOKEN[..TOKEN.len() - 9]);
    let tls: &Variables<'_> =
        &[("KAFKA_BROKERS", &brokers.1), ("KAFKA_TLS", "true"), ("KAFKA_TLS_CA", &ca)];
    let debug: &Variables<'_> = &[("LOG_LEVEL", "DEBUG"), ("ADMIN_TOKEN", "hush")];
    let cases: [&[&Variables<'_>]; 4] = [
        &[debug, &[("KAFKA_BROKERS", &brokers.0), ("REDIS_ADDR", &url)]],
        &[
            debug,
            tls,
            &[
                ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
                ("KAFKA_SASL_USERNAME", "alice"),
                ("KAFKA_SASL_PASSWORD", "hush"),
            ],
        ],
        &[
            debug,
            tls,
            &[
                ("KAFKA_SASL_MECHANISM", "PLAIN"),
                ("KAFKA_SASL_USERNAME", "alice"),
                ("KAFKA_SASL_PASSWORD", "hush"),
            ],
        ],
        &[
            debug,
            tls,
            &[("KAFKA_SASL_MECHANISM", "OAUTHBEARER"), ("KAFKA_SASL_OAUTH_TOKEN_FILE", &token)],
        ],
    ];
    for case in cases {
        let service = start("hidden", case);
        let cmdline = fs::read_to_string(format!("/proc/{}/cmdline", service.pid));
        assert_eq!(service.exit_code(PATIENCE), 1, "{}", service.log());
        assert_hidden("the process list", &cmdline.unwrap_or_default());
        assert_hidden("the log", &service.log());
    }
}

#[test]
fn wrong_settings_and_the_list_of_settings_show_no_secret() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "redis_password = 'hush\nadmin_token = \"hush\\q\"").unwrap();
    let file = file.path().display().to_string();
    let secrets: &Variables<'_> = &[
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SASL_USERNAME", "me"),
        ("KAFKA_SASL_PASSWORD", "hush"),
        ("REDIS_PASSWORD", "hush"),
        ("ADMIN_TOKEN", "hush"),
        ("REDIS_ADDR", "rediss-sentinel://me:hu-sh@h:1/0?sentinelPassword=hu-sh@x"),
    ];
    let (code, said) = run(&["config"], secrets);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("ADMIN_TOKEN=***") && said.contains("REDIS_PASSWORD=***"), "{said}");
    assert_hidden("the list", &said);
    for (name, value) in [
        ("REDIS_ADDR", "me:hush@redis:6379"),
        ("REDIS_ADDR", "amqp://me:hush@redis"),
        ("REDIS_ADDR", "redis://me:hu-sh/@redis"),
        ("KAFKA_BROKERS", "SASL_SSL://me:hush@kafka:9092"),
        ("KAFKA_BROKERS", "me:hush@a:9092,me:hush@b:9092"),
        ("AGGREGATOR_CONFIG", &file),
    ] {
        let (code, said) = run(&[], &[(name, value)]);
        assert_eq!(code, 64, "{value}: {said}");
        assert!(said.contains(name) || said.contains("the file"), "{said}");
        assert_hidden("the complaint", &said);
    }
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
    for setting in [
        "KAFKA_SASL_PASSWORD=hush",
        "REDIS_PASSWORD=hush",
        "ADMIN_TOKEN=hush",
        "REDIS_ADDR=redis://me:hush@redis:6379",
    ] {
        let (code, said) = run(&["config", "--set", setting], &[]);
        assert_eq!(code, 64, "{said}");
        let name = setting.split('=').next().unwrap();
        assert!(said.contains(name) && said.contains("process list"), "{said}");
        assert_hidden("the complaint", &said);
    }
}
