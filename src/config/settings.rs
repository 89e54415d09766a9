//! The table of settings: name, default, what is accepted, what it does. The fields of [`Config`],
//! their validation, the output of `config` and README's table all follow from it.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::Shown;
use super::layers::Values;
use super::parse;
use super::values::{Emit, Headers, InstanceId, LogFormat, LogLevel, SaslMechanism, Secret};
use crate::domain::position::StartFrom;
use crate::domain::token::Shards;
use crate::domain::window::Windows;
use crate::wire::extended::Chosen;
use crate::wire::registered::Format;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The environment variable; in lower case, the key in the TOML file.
    pub name: &'static str,
    /// Its value where nobody sets it.
    pub default: &'static str,
    /// What is accepted, in words.
    pub accepts: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// How an empty value and the value itself are treated.
    pub kind: Kind,
}

/// How an empty value and the value itself are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Has a value always: an empty variable counts as none, as in the Go service.
    Needed,
    /// Empty means off.
    Optional,
    /// As `Optional`, and its value is never shown.
    Secret,
}

macro_rules! settings {
    ($(
        #[doc = $doc:literal]
        $field:ident: $type:ty =
            $name:literal, $default:literal, $kind:ident, $parse:path, $accepts:literal;
    )+) => {
        /// Every setting, in the order in which they are shown.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            name: $name,
            default: $default,
            accepts: $accepts,
            doc: $doc.trim_ascii(),
            kind: Kind::$kind,
        }),+];

        /// The validated configuration.
        #[derive(Clone, Debug)]
        pub struct Config {
            $(#[doc = $doc] pub $field: $type,)+
            /// Variables of the Go service that are set and have no meaning here.
            pub ignored: Vec<String>,
            /// Every setting as it is in force, secrets hidden, with where it came from.
            pub shown: Vec<Shown>,
            /// Whether systemd wants to know how it is going: `NOTIFY_SOCKET`.
            pub supervised: bool,
        }

        /// Reads every setting, so that every wrong one is reported, then puts them together.
        pub(super) fn build(values: &mut Values) -> Option<Config> {
            let mut table = SETTINGS.iter();
            $(let $field = values.read(table.next()?, $parse);)+
            let (ignored, shown, supervised) = Default::default();
            Some(Config { $($field: $field?,)+ ignored, shown, supervised })
        }
    };
}

settings! {
    /// Brokers to ask first; the others are learned from them.
    kafka_brokers: Vec<String> = "KAFKA_BROKERS", "localhost:9092", Needed, parse::addresses,
        "host:port, comma-separated";
    /// Trades come in here.
    kafka_topic: String = "KAFKA_TOPIC", "trade-info", Needed, parse::topic,
        "a topic name";
    /// The group that lag tools see, and the name of the checkpoint.
    kafka_consumer_group: String = "KAFKA_CONSUMER_GROUP", "aggregator-service", Needed,
        parse::name, "any text";
    /// A name in the group that outlives a restart; auto: host name and port; empty: none.
    kafka_group_instance_id: InstanceId = "KAFKA_GROUP_INSTANCE_ID", "auto", Optional,
        parse::instance, "auto, or letters, digits, dots, dashes and underscores, or empty";
    /// After so long without a word from an instance the others take over what it had.
    kafka_session_timeout: Duration = "KAFKA_SESSION_TIMEOUT", "10s", Needed, parse::session,
        "a duration, 3s to 30m";
    /// Shards that the tokens are spread over; fixed at the first start.
    shards: Shards = "SHARDS", "64", Needed, parse::shards,
        "a power of two, 1 to 1024; the same for all instances of a group";
    /// So many other instances follow each token and can go on with it at once; 0: none does.
    standby_replicas: u8 = "STANDBY_REPLICAS", "0", Needed, parse::number,
        "a whole number, 0 to 255";
    /// Encrypt connections to Kafka.
    kafka_tls: bool = "KAFKA_TLS", "false", Needed, parse::boolean,
        "true or false";
    /// PEM file of the authorities that may sign the brokers' certificates; empty: the system's.
    kafka_tls_ca: Option<PathBuf> = "KAFKA_TLS_CA", "", Optional, parse::path,
        "a path, or empty";
    /// PEM file of our own certificate and its chain, for brokers that want one.
    kafka_tls_cert: Option<PathBuf> = "KAFKA_TLS_CERT", "", Optional, parse::path,
        "a path, or empty";
    /// PEM file of its private key.
    kafka_tls_key: Option<PathBuf> = "KAFKA_TLS_KEY", "", Optional, parse::path,
        "a path, or empty";
    /// How to log in to Kafka; empty: not at all.
    kafka_sasl_mechanism: Option<SaslMechanism> = "KAFKA_SASL_MECHANISM", "", Optional,
        parse::sasl_mechanism, "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, or empty";
    /// The user that logs in to Kafka.
    kafka_sasl_username: Option<String> = "KAFKA_SASL_USERNAME", "", Optional, parse::optional,
        "any text, or empty";
    /// Its password.
    kafka_sasl_password: Option<Secret> = "KAFKA_SASL_PASSWORD", "", Secret, parse::secret,
        "any text, or empty";
    /// File with the token of `OAUTHBEARER`, read anew for each login.
    kafka_sasl_oauth_token_file: Option<PathBuf> = "KAFKA_SASL_OAUTH_TOKEN_FILE", "", Optional,
        parse::path, "a path, or empty";
    /// Aggregates go out here.
    aggregate_topic: String = "AGGREGATE_TOPIC", "aggregate-info", Needed, parse::topic,
        "a topic name";
    /// In which format; all but json have their schema in a registry.
    aggregate_format: Option<Format> = "AGGREGATE_FORMAT", "json", Needed, parse::format,
        "json, json-schema, avro or protobuf";
    /// Figures beside the standard ones: none, all, or those of these names.
    aggregate_fields: Chosen = "AGGREGATE_FIELDS", "standard", Needed, parse::fields,
        "standard, extended, or names of extended fields, comma-separated";
    /// Schema registry, as Confluent's clients know it; empty: none.
    schema_registry_url: Option<Secret> = "SCHEMA_REGISTRY_URL", "", Optional,
        parse::registry_url, "an http or https URL, or empty";
    /// The user that logs in there; empty: the URL's, or none.
    schema_registry_username: Option<String> = "SCHEMA_REGISTRY_USERNAME", "", Optional,
        parse::optional, "any text, or empty";
    /// Its password.
    schema_registry_password: Option<Secret> = "SCHEMA_REGISTRY_PASSWORD", "", Secret,
        parse::secret, "any text, or empty";
    /// PEM file of the authorities that may sign its certificate; empty: the system's.
    schema_registry_tls_ca: Option<PathBuf> = "SCHEMA_REGISTRY_TLS_CA", "", Optional,
        parse::path, "a path, or empty";
    /// How often they go out, at multiples of it on the wall clock.
    publish_interval: Duration = "AGGREGATE_PUBLISH_INTERVAL", "30s", Needed,
        parse::publish_interval, "a duration in whole seconds, 1s to 24h";
    /// Messages in one batch at most.
    aggregate_batch_size: usize = "AGGREGATE_BATCH_SIZE", "50", Needed, parse::batch_size,
        "a whole number, 1 to 10000";
    /// How long a batch waits to fill.
    aggregate_batch_timeout: Duration = "AGGREGATE_BATCH_TIMEOUT", "100ms", Needed, parse::short,
        "a duration, 1ms to 1m";
    /// Puts the headers `ttl` and `expires-at` on each message.
    aggregate_ttl: Option<Duration> = "AGGREGATE_TTL", "off", Optional, parse::ttl,
        "a duration from 1ms, or off";
    /// Whose messages ticks publish: of all active tokens, or of those that have changed.
    aggregate_emit: Emit = "AGGREGATE_EMIT", "all", Needed, parse::emit,
        "all or changed";
    /// With `changed`, one tick of so many is of all active tokens.
    aggregate_full_every: u32 = "AGGREGATE_FULL_EVERY", "10", Needed, parse::full_every,
        "a whole number, 1 to 1000";
    /// Between those ticks, tokens that changed are published at multiples of this.
    aggregate_changed_interval: Option<Duration> = "AGGREGATE_CHANGED_INTERVAL", "off", Optional,
        parse::changed_interval, "a duration in whole seconds that divides the interval, or off";
    /// Adds the headers of a CloudEvent; its id is token@end, so repeats can be told.
    aggregate_cloudevents: bool = "AGGREGATE_CLOUDEVENTS", "false", Needed, parse::boolean,
        "true or false";
    /// A tombstone follows each closing message; an output that is created is compacted.
    aggregate_tombstones: bool = "AGGREGATE_TOMBSTONES", "false", Needed, parse::boolean,
        "true or false";
    /// How long the output keeps them where the start or `topics` creates it.
    aggregate_retention: Duration = "AGGREGATE_RETENTION", "1h", Needed, parse::retention,
        "a duration from 1s";
    /// The windows of every token, in the order of the message.
    windows: Windows = "TIME_WINDOWS", "1min,5min,15min,30min,1hour", Needed, parse::windows,
        "1min, 4hour, 1day or durations like 90s, comma-separated, whole seconds, 1s to 24h, \
         at most 32, none twice";
    /// Rejected trades go out here; empty: they are only counted.
    dlq_topic: Option<String> = "DLQ_TOPIC", "trade-info-dlq", Optional, parse::topic_or_off,
        "a topic name, or empty";
    /// Symbols and names of tokens come in here; empty: no further ones are read.
    token_info_topic: Option<String> = "TOKEN_INFO_TOPIC", "token-info", Optional,
        parse::topic_or_off, "a topic name, or empty";
    /// A trade further ahead of its record's timestamp is rejected.
    max_future_skew: Duration = "MAX_FUTURE_SKEW", "5m", Needed, parse::skew,
        "a duration, 0 to 24h";
    /// Where to begin without a checkpoint.
    start_from: StartFrom = "START_FROM", "window", Needed, parse::start_from,
        "window, earliest or latest";
    /// Tokens held at most; trades of further ones are rejected.
    max_tokens: usize = "MAX_TOKENS", "2000000", Needed, parse::bound,
        "a whole number, 1 to 4000000000";
    /// Seconds of tokens (panes) held; new tokens are rejected beyond, far beyond known ones too.
    max_panes: usize = "MAX_PANES", "30000000", Needed, parse::bound,
        "a whole number, 1 to 4000000000";
    /// Wallets of tokens held for extended fields; what further ones are in is null, not wrong.
    max_wallets: usize = "MAX_WALLETS", "10000000", Needed, parse::bound,
        "a whole number, 1 to 4000000000";
    /// The Redis with the checkpoint and the query view.
    redis_addr: Secret = "REDIS_ADDR", "localhost:6379", Needed, parse::redis_address,
        "host:port, or a redis, rediss, redis-cluster or redis-sentinel URL";
    /// The user that logs in to Redis; empty: the default one.
    redis_username: Option<String> = "REDIS_USERNAME", "", Optional, parse::optional,
        "any text, or empty";
    /// Its password.
    redis_password: Option<Secret> = "REDIS_PASSWORD", "", Secret, parse::secret,
        "any text, or empty";
    /// The logical database.
    redis_db: u8 = "REDIS_DB", "0", Needed, parse::number,
        "a whole number, 0 to 255";
    /// Every key in Redis starts with this.
    redis_key_prefix: String = "REDIS_KEY_PREFIX", "aggregator:", Needed, parse::name,
        "any text";
    /// Encrypt connections to Redis; a rediss URL does so too.
    redis_tls: bool = "REDIS_TLS", "false", Needed, parse::boolean,
        "true or false";
    /// PEM file of the authorities that may sign Redis' certificate; empty: the system's.
    redis_tls_ca: Option<PathBuf> = "REDIS_TLS_CA", "", Optional, parse::path,
        "a path, or empty";
    /// PEM file of our own certificate and its chain, for a Redis that wants one.
    redis_tls_cert: Option<PathBuf> = "REDIS_TLS_CERT", "", Optional, parse::path,
        "a path, or empty";
    /// PEM file of its private key.
    redis_tls_key: Option<PathBuf> = "REDIS_TLS_KEY", "", Optional, parse::path,
        "a path, or empty";
    /// How often what changed is written to the checkpoint.
    checkpoint_interval: Duration = "CHECKPOINT_INTERVAL", "250ms", Needed, parse::short,
        "a duration, 1ms to 1m";
    /// A checkpoint that misses an older change makes the service unready.
    checkpoint_max_age: Duration = "CHECKPOINT_MAX_AGE", "60s", Needed, parse::max_age,
        "a duration, 1s to 24h";
    /// Answer HTTP at all.
    metrics_enabled: bool = "METRICS_ENABLED", "true", Needed, parse::boolean,
        "true or false";
    /// Where HTTP is answered; 0: any free port.
    metrics_port: u16 = "METRICS_PORT", "8081", Needed, parse::number,
        "a port, 0 to 65535";
    /// What `POST` has to bring as bearer token; empty: `POST` is answered over loopback only.
    admin_token: Option<Secret> = "ADMIN_TOKEN", "", Secret, parse::secret,
        "any text, or empty";
    /// The least level that is logged.
    log_level: LogLevel = "LOG_LEVEL", "INFO", Needed, parse::log_level,
        "DEBUG, INFO, WARN, ERROR or FATAL";
    /// How log lines look; auto: text on a terminal, else JSON.
    log_format: LogFormat = "LOG_FORMAT", "auto", Needed, parse::log_format,
        "auto, text or json";
    /// OpenTelemetry receiver (OTLP over HTTP) for figures and spans; empty: none.
    otel_endpoint: Option<Url> = "OTEL_EXPORTER_OTLP_ENDPOINT", "", Optional,
        parse::otlp_endpoint, "an http or https URL without a user, or empty";
    /// What is sent along with each export, to log in there.
    otel_headers: Headers = "OTEL_EXPORTER_OTLP_HEADERS", "", Secret, parse::otlp_headers,
        "name=value pairs, comma-separated, values percent-encoded where needed, or empty";
    /// How long a stop may take, from the signal to the exit.
    shutdown_timeout: Duration = "SHUTDOWN_TIMEOUT", "10s", Needed, parse::shutdown,
        "a duration, 1s to 1h";
}

/// The Go service's tuning: accepted in the environment, without meaning here.
pub(super) const IGNORED: [&str; 18] = [
    "BATCH_PROCESSING_SIZE",
    "GC_TARGET_PERCENTAGE",
    "MAINTENANCE_INTERVAL",
    "MAX_TOKEN_PROCESSORS",
    "MAX_WORKERS",
    "MEMORY_LIMIT_MB",
    "PROCESSOR_CHANNEL_SIZE",
    "REDIS_IDLE_TIMEOUT",
    "REDIS_MAX_CONN_AGE",
    "REDIS_MAX_RETRIES",
    "REDIS_PIPELINE_SIZE",
    "REDIS_POOL_SIZE",
    "REDIS_READ_TIMEOUT",
    "REDIS_RETRY_DELAY",
    "REDIS_WRITE_TIMEOUT",
    "STALE_THRESHOLD",
    "TRADE_BUFFER_SIZE",
    "WORKER_QUEUE_SIZE",
];
