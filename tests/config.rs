//! Configuration from the outside: layers, all errors at once, what is hidden, and that README
//! says what the program does.
#![cfg(test)]

use std::io::Write;
use std::time::Duration;

use aggregator_service::cli;
use aggregator_service::config::{Config, ConfigArgs, LogLevel, Origin, SETTINGS};
use aggregator_service::domain::position::StartFrom;

fn load(env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    load_with(&ConfigArgs::default(), env)
}

fn load_with(args: &ConfigArgs, env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(args, env).map_err(|error| error.0)
}

fn file(text: &str) -> (tempfile::NamedTempFile, ConfigArgs) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let args = ConfigArgs { config: Some(file.path().to_owned()), set: Vec::new() };
    (file, args)
}

fn shown(config: &Config, name: &str) -> (String, Origin) {
    let shown = config.shown.iter().find(|shown| shown.name == name).unwrap();
    (shown.value.clone(), shown.origin)
}

#[test]
fn the_defaults_are_the_contract() {
    let config = load(&[]).unwrap();
    assert_eq!(config.kafka_brokers, ["localhost:9092"]);
    assert_eq!(config.publish_interval, Duration::from_secs(30));
    let windows: Vec<_> = config.windows.iter().map(|w| (w.name.as_str(), w.seconds)).collect();
    let minutes = [("1min", 60), ("5min", 300), ("15min", 900), ("30min", 1_800), ("1hour", 3_600)];
    assert_eq!(windows, minutes);
    assert_eq!(config.dlq_topic.as_deref(), Some("trade-info-dlq"));
    assert_eq!(config.aggregate_ttl, None);
    assert_eq!(config.metrics_port, 8_081);
    assert_eq!(config.start_from, StartFrom::Window);
    assert!(config.shown.iter().all(|shown| shown.origin == Origin::Default));
}

#[test]
fn a_later_layer_wins_and_is_named() {
    let (_file, mut args) = file(
        "kafka_topic = 'f'\naggregate_topic = 'f2'\nredis_db = 3\nmetrics_enabled = false\n\
         kafka_brokers = ['a:1', 'b:2']\ntime_windows = '90s,1day'\n",
    );
    args.set = vec![("AGGREGATE_TOPIC".to_owned(), "flag".to_owned())];
    let env = [("AGGREGATE_TOPIC", "e"), ("REDIS_DB", "4")];
    let config = load_with(&args, &env).unwrap();
    assert_eq!(shown(&config, "KAFKA_TOPIC"), ("f".to_owned(), Origin::File));
    assert_eq!(shown(&config, "AGGREGATE_TOPIC"), ("flag".to_owned(), Origin::Flag));
    assert_eq!(shown(&config, "REDIS_DB"), ("4".to_owned(), Origin::Environment));
    assert_eq!(config.redis_db, 4);
    assert!(!config.metrics_enabled);
    assert_eq!(config.kafka_brokers, ["a:1", "b:2"]);
    assert_eq!(config.windows.longest(), 86_400);
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let (_file, args) = file("kafka_topic = 'f'");
    let path = args.config.unwrap();
    let config = load(&[("AGGREGATOR_CONFIG", path.to_str().unwrap())]).unwrap();
    assert_eq!(config.kafka_topic, "f");
}

#[test]
fn all_wrong_settings_are_named_at_once_with_value_and_what_is_accepted() {
    let wrong = [
        ("KAFKA_BROKERS", "kafka"),
        ("KAFKA_TOPIC", "no topic"),
        ("AGGREGATE_PUBLISH_INTERVAL", "1500ms"),
        ("TIME_WINDOWS", "1min,25h"),
        ("REDIS_ADDR", "http://localhost"),
        ("SHARDS", "96"),
        ("REDIS_DB", "-1"),
        ("METRICS_ENABLED", "maybe"),
        ("METRICS_PORT", "65536"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("START_FROM", "yesterday"),
        ("AGGREGATE_TTL", "-1s"),
        ("AGGREGATE_EMIT", "some"),
        ("AGGREGATE_FULL_EVERY", "0"),
        ("AGGREGATE_CHANGED_INTERVAL", "500ms"),
        ("AGGREGATE_BATCH_SIZE", "0"),
        ("AGGREGATE_FORMAT", "xml"),
        ("AGGREGATE_FIELDS", "unique_buyers,open_price"),
        ("MAX_WALLETS", "0"),
        ("SCHEMA_REGISTRY_URL", "ftp://registry"),
        ("MAX_TOKENS", "many"),
        ("KAFKA_SASL_MECHANISM", "GSSAPI"),
        ("SHUTDOWN_TIMEOUT", "0"),
    ];
    let problems = load(&wrong).unwrap_err();
    assert_eq!(problems.len(), wrong.len(), "{problems:#?}");
    for (name, value) in wrong {
        let setting = SETTINGS.iter().find(|setting| setting.name == name).unwrap();
        let line = problems.iter().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        assert!(line.contains(&format!("{value:?}")) && line.contains(setting.accepts), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}

#[test]
fn in_the_file_an_unknown_key_is_an_error_also_a_go_one() {
    let (_file, args) = file("max_workers = 5\nkafka_topik = 'x'\nredis_db = { a = 1 }\n[kafka]\n");
    let problems = load_with(&args, &[]).unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:#?}");
    for key in ["max_workers", "kafka_topik", "REDIS_DB", "kafka"] {
        assert!(problems.iter().any(|line| line.starts_with(&format!("{key}:"))), "{problems:#?}");
    }
}

#[test]
fn a_key_with_a_line_break_does_not_break_the_line_of_its_problem() {
    let (_file, args) = file("\"a\\nb\" = 1\n");
    assert_eq!(load_with(&args, &[]).unwrap_err(), ["a\\nb: unknown key in the file"]);
}

#[test]
fn a_file_that_cannot_be_read_is_one_line() {
    let (_file, args) = file("kafka_topic = \nadmin_token = 'hush'");
    let problems = load_with(&args, &[]).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("line 1") && !problems[0].contains('\n'), "{problems:?}");
    let absent = ConfigArgs { config: Some("/nowhere/at/all.toml".into()), set: Vec::new() };
    let problems = load_with(&absent, &[]).unwrap_err();
    assert!(problems[0].contains("/nowhere/at/all.toml"), "{problems:?}");
}

#[test]
fn an_unknown_flag_setting_is_an_error() {
    let set = vec![("KAFKA_TOPIK".to_owned(), "x".to_owned())];
    let problems = load_with(&ConfigArgs { config: None, set }, &[]).unwrap_err();
    assert_eq!(problems, ["KAFKA_TOPIK: no such setting"]);
}

#[test]
fn the_go_services_tuning_is_ignored_and_named() {
    let config = load(&[("REDIS_POOL_SIZE", "9"), ("MAX_WORKERS", "x"), ("HOME", "/")]).unwrap();
    assert_eq!(config.ignored, ["MAX_WORKERS", "REDIS_POOL_SIZE"]);
}

#[test]
fn systemd_is_told_where_it_says_where_it_listens() {
    for (env, supervised) in
        [(&[][..], false), (&[("NOTIFY_SOCKET", "")], false), (&[("NOTIFY_SOCKET", "@x")], true)]
    {
        assert_eq!(load(env).unwrap().supervised, supervised, "{env:?}");
    }
}

#[test]
fn an_empty_variable_is_none_except_where_empty_means_off() {
    let empty = [("KAFKA_TOPIC", ""), ("DLQ_TOPIC", ""), ("AGGREGATE_TTL", "")];
    let config = load(&empty).unwrap();
    assert_eq!(config.kafka_topic, "trade-info");
    assert_eq!(config.dlq_topic, None);
    assert_eq!(config.aggregate_ttl, None);
}

#[test]
fn secrets_are_shown_nowhere() {
    let env = [
        ("REDIS_PASSWORD", "hush"),
        ("ADMIN_TOKEN", "hush"),
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SASL_USERNAME", "me"),
        ("KAFKA_SASL_PASSWORD", "hush"),
        ("REDIS_ADDR", "rediss://me:hu@sh@redis:6380/1"),
        ("AGGREGATE_FORMAT", "avro"),
        ("SCHEMA_REGISTRY_URL", "https://me:hu@sh@registry:8081/path"),
    ];
    let config = load(&env).unwrap();
    assert_eq!(config.redis_password.as_ref().map(|secret| secret.expose()), Some("hush"));
    let mut printed = Vec::new();
    cli::config::print(&config, &mut printed).unwrap();
    let printed = String::from_utf8(printed).unwrap();
    assert_eq!(printed.lines().count(), SETTINGS.len());
    assert!(printed.contains("REDIS_ADDR=rediss://***@redis:6380/1"), "{printed}");
    assert!(printed.contains("ADMIN_TOKEN=***"), "{printed}");
    let registry = "SCHEMA_REGISTRY_URL=https://***@registry:8081/path";
    assert!(printed.contains(registry), "{printed}");
    assert!(!printed.contains("hush"), "{printed}");
    let debugged = format!("{config:?}");
    assert!(!debugged.contains("hush") && !debugged.contains("hu@sh"), "{debugged}");
    for wrong in
        [("REDIS_ADDR", "amqp://me:hush@redis"), ("SCHEMA_REGISTRY_URL", "ftp://me:hush@registry")]
    {
        let problems = load(&[wrong]).unwrap_err();
        assert!(!problems[0].contains("hush"), "{problems:?}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let cases: [&[(&str, &str)]; 15] = [
        &[("KAFKA_SASL_MECHANISM", "OAUTHBEARER")],
        &[("KAFKA_SASL_OAUTH_TOKEN_FILE", "token")],
        &[
            ("KAFKA_SASL_MECHANISM", "PLAIN"),
            ("KAFKA_SASL_USERNAME", "me"),
            ("KAFKA_SASL_PASSWORD", "hush"),
            ("KAFKA_SASL_OAUTH_TOKEN_FILE", "token"),
        ],
        &[("KAFKA_TLS", "true"), ("KAFKA_TLS_CERT", "cert.pem")],
        &[("REDIS_TLS", "true"), ("REDIS_TLS_KEY", "key.pem")],
        &[("KAFKA_TLS_CERT", "cert.pem"), ("KAFKA_TLS_KEY", "key.pem")],
        &[("REDIS_USERNAME", "me")],
        &[("AGGREGATE_TOPIC", "trade-info")],
        &[("KAFKA_SASL_USERNAME", "me")],
        &[("KAFKA_SASL_MECHANISM", "PLAIN"), ("KAFKA_SASL_USERNAME", "me")],
        &[("KAFKA_TLS_CA", "ca.pem")],
        &[("REDIS_TLS_CA", "ca.pem")],
        &[("CHECKPOINT_MAX_AGE", "30s"), ("CHECKPOINT_INTERVAL", "30s")],
        &[("AGGREGATE_CHANGED_INTERVAL", "7s")],
        &[("AGGREGATE_CHANGED_INTERVAL", "30s")],
    ];
    for case in cases {
        assert_eq!(load(case).unwrap_err().len(), 1, "{case:?}");
    }
    assert!(load(&[("REDIS_TLS_CA", "ca.pem"), ("REDIS_ADDR", "rediss://r:1")]).is_ok());
    assert!(load(&[("CHECKPOINT_MAX_AGE", "31s"), ("CHECKPOINT_INTERVAL", "30s")]).is_ok());
    assert!(load(&[("AGGREGATE_CHANGED_INTERVAL", "10s")]).is_ok());
    let url = ("REDIS_ADDR", "redis://:hush@redis");
    assert!(load(&[url, ("REDIS_USERNAME", "me")]).is_ok());
}

#[test]
fn a_format_with_a_schema_and_its_registry_go_together() {
    let (avro, url) = (("AGGREGATE_FORMAT", "avro"), ("SCHEMA_REGISTRY_URL", "http://registry"));
    let with_user = ("SCHEMA_REGISTRY_URL", "http://me:hush@registry");
    let user = ("SCHEMA_REGISTRY_USERNAME", "me");
    let password = ("SCHEMA_REGISTRY_PASSWORD", "hush");
    let ca = ("SCHEMA_REGISTRY_TLS_CA", "ca.pem");
    let cases: [&[(&str, &str)]; 8] = [
        &[avro],
        &[url],
        &[user, password],
        &[avro, url, user],
        &[avro, url, password],
        &[avro, with_user, user, password],
        &[avro, url, ca],
        &[ca],
    ];
    for case in cases {
        assert_eq!(load(case).unwrap_err().len(), 1, "{case:?}");
    }
    let https = ("SCHEMA_REGISTRY_URL", "https://registry");
    for case in [&[avro, url][..], &[avro, with_user], &[avro, https, ca, user, password]] {
        assert!(load(case).is_ok(), "{case:?}");
    }
}

#[test]
fn what_the_go_service_accepted_is_accepted() {
    let config = load(&[
        ("LOG_LEVEL", "warning"),
        ("METRICS_ENABLED", "T"),
        ("KAFKA_BROKERS", " a:1 , b:2,"),
        ("TIME_WINDOWS", "1min,4hour,24hour,1day,90s,1h30m"),
        ("REDIS_ADDR", "[::1]:6379"),
    ])
    .unwrap();
    assert_eq!(config.log_level, LogLevel::Warn);
    assert_eq!(config.kafka_brokers, ["a:1", "b:2"]);
    assert_eq!(config.windows.count(), 6);
    for wrong in ["", "1min,1min", "0s", "1500ms", "25hour", "1week", "min"] {
        let answer = load_with(
            &ConfigArgs { config: None, set: vec![("TIME_WINDOWS".to_owned(), wrong.to_owned())] },
            &[],
        );
        assert_eq!(answer.unwrap_err().len(), 1, "{wrong}");
    }
}

#[test]
fn readmes_table_is_the_table_of_settings() {
    let readme = include_str!("../README.md");
    let rows: Vec<_> = readme.lines().filter(|line| is_setting(line)).collect();
    let expected: Vec<_> = SETTINGS
        .iter()
        .map(|one| {
            let default =
                if one.default.is_empty() { String::new() } else { format!("`{}`", one.default) };
            format!("| `{}` | {default} | {} | {} |", one.name, one.doc, one.accepts)
        })
        .collect();
    assert_eq!(rows, expected, "put this there:\n{}", expected.join("\n"));
}

/// A row that opens with a variable's name.
fn is_setting(line: &str) -> bool {
    let name = line.strip_prefix("| `").and_then(|rest| rest.split('`').next());
    name.is_some_and(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
}

#[test]
fn where_to_export_to_is_a_url_and_what_is_sent_along_is_hidden() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel.example:4318/base");
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20aHVzaA%3D%3D, x-a = b=c");
    let config = load(&[endpoint, headers]).unwrap();
    assert_eq!(config.otel_endpoint.as_ref().unwrap().as_str(), endpoint.1);
    let [(name, value), (other, text)] = config.otel_headers.as_slice() else { panic!("two") };
    assert_eq!((name.as_str(), value.to_str().unwrap()), ("authorization", "Basic aHVzaA=="));
    assert_eq!((other.as_str(), text.to_str().unwrap()), ("x-a", "b=c"));
    assert_eq!(shown(&config, headers.0), ("***".to_owned(), Origin::Environment));
    assert!(!format!("{config:?}").contains("aHVzaA"));
    let none = load(&[]).unwrap();
    assert!(none.otel_endpoint.is_none() && none.otel_headers.is_empty());
    for wrong in ["otel:4318", "ftp://otel", "http://", "http://me:hush@otel"] {
        let said = load(&[(endpoint.0, wrong)]).unwrap_err().join("\n");
        assert!(said.starts_with(endpoint.0) && !said.contains("hush"), "{said}");
    }
    for wrong in ["hush", "hush hush=a", "a=hush%0Ahush"] {
        let said = load(&[(headers.0, wrong)]).unwrap_err().join("\n");
        assert!(said.starts_with(headers.0) && !said.contains("hush"), "{said}");
    }
}
