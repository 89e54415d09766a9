//! One reader for each kind of value: text in, typed value out, `None` where it is not accepted.
//! What is accepted stands beside each setting in the table of `settings`.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

use super::duration;
use super::values::{Emit, Headers, InstanceId, LogFormat, LogLevel, SaslMechanism, Secret};
use crate::domain::position::StartFrom;
use crate::domain::token::Shards;
use crate::domain::window::{Window, Windows};
use crate::wire::extended::Chosen;
use crate::wire::registered::Format;

/// Comma-separated `host:port`; blanks and empty parts are ignored, as the Go service did.
pub(super) fn addresses(text: &str) -> Option<Vec<String>> {
    let list: Vec<String> = parts(text).map(str::to_owned).collect();
    (!list.is_empty() && list.iter().all(|one| is_address(one))).then_some(list)
}

/// `host:port`, or a URL of one of [`REDIS_SCHEMES`] with a host.
pub(super) fn redis_address(text: &str) -> Option<Secret> {
    let is_url = || {
        Url::parse(text)
            .is_ok_and(|url| REDIS_SCHEMES.contains(&url.scheme()) && url.host().is_some())
    };
    (is_address(text) || is_url()).then(|| Secret::new(text))
}

/// Kafka's rule for topic names.
pub(super) fn topic(text: &str) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fits = (1..=MAX_TOPIC_BYTES).contains(&text.len());
    (fits && text.chars().all(legal) && text != "." && text != "..").then(|| text.to_owned())
}

/// A topic, or nothing: off.
pub(super) fn topic_or_off(text: &str) -> Option<Option<String>> {
    if text.is_empty() {
        return Some(None);
    }
    topic(text).map(Some)
}

/// Any text that is not empty.
pub(super) fn name(text: &str) -> Option<String> {
    (!text.trim().is_empty()).then(|| text.to_owned())
}

/// Any text.
pub(super) fn optional(text: &str) -> Option<Option<String>> {
    Some((!text.is_empty()).then(|| text.to_owned()))
}

/// Any text, never shown.
pub(super) fn secret(text: &str) -> Option<Option<Secret>> {
    Some((!text.is_empty()).then(|| Secret::new(text)))
}

/// A path, or nothing.
pub(super) fn path(text: &str) -> Option<Option<PathBuf>> {
    Some((!text.is_empty()).then(|| PathBuf::from(text)))
}

/// The windows in the configured order.
pub(super) fn windows(text: &str) -> Option<Windows> {
    let mut list: Vec<Window> = Vec::new();
    for name in parts(text) {
        if list.iter().any(|window| window.name == name) {
            return None;
        }
        let length = named_length(name).or_else(|| duration::parse(name))?;
        let seconds = u32::try_from(whole_seconds(length)?.as_secs()).ok()?;
        list.push(Window { name: name.to_owned(), seconds });
    }
    Windows::new(list)
}

/// Whole seconds from 1 s to a day.
pub(super) fn publish_interval(text: &str) -> Option<Duration> {
    between(text, Duration::from_secs(1), DAY).and_then(whole_seconds)
}

/// Which extended fields are written.
pub(super) fn fields(text: &str) -> Option<Chosen> {
    Chosen::parse(text)
}

/// What a tick is of.
pub(super) fn emit(text: &str) -> Option<Emit> {
    match text {
        "all" => Some(Emit::All),
        "changed" => Some(Emit::Changed),
        _ => None,
    }
}

/// From 1 to 1,000.
pub(super) fn full_every(text: &str) -> Option<u32> {
    text.parse().ok().filter(|ticks| (1..=1_000).contains(ticks))
}

/// As the publish interval, or none.
pub(super) fn changed_interval(text: &str) -> Option<Option<Duration>> {
    if matches!(text, "" | "off" | "0") {
        return Some(None);
    }
    publish_interval(text).map(Some)
}

/// Up to a day.
pub(super) fn skew(text: &str) -> Option<Duration> {
    between(text, Duration::ZERO, DAY)
}

/// From 1 ms to a minute.
pub(super) fn short(text: &str) -> Option<Duration> {
    between(text, Duration::from_millis(1), Duration::from_secs(60))
}

/// From 3 s, so that a lease of some seconds is left, to what brokers take by default.
pub(super) fn session(text: &str) -> Option<Duration> {
    between(text, Duration::from_secs(3), Duration::from_secs(1_800))
}

/// A power of two, within bounds.
pub(super) fn shards(text: &str) -> Option<Shards> {
    text.parse().ok().and_then(Shards::new)
}

/// What Kafka takes: the rules are a topic's.
pub(super) fn instance(text: &str) -> Option<InstanceId> {
    match text {
        "" => Some(InstanceId::None),
        "auto" => Some(InstanceId::Auto),
        name => topic(name).map(InstanceId::Named),
    }
}

/// From 1 s to an hour.
pub(super) fn shutdown(text: &str) -> Option<Duration> {
    between(text, Duration::from_secs(1), Duration::from_secs(3_600))
}

/// From 1 s to a day.
pub(super) fn max_age(text: &str) -> Option<Duration> {
    between(text, Duration::from_secs(1), DAY)
}

/// At least 1 ms (the `ttl` header has no smaller unit); `off`, `0` or nothing: off.
pub(super) fn ttl(text: &str) -> Option<Option<Duration>> {
    if matches!(text, "" | "off" | "0") {
        return Some(None);
    }
    between(text, Duration::from_millis(1), Duration::MAX).map(Some)
}

/// At least 1 s.
pub(super) fn retention(text: &str) -> Option<Duration> {
    between(text, Duration::from_secs(1), Duration::MAX)
}

/// From 1 to 10,000.
pub(super) fn batch_size(text: &str) -> Option<usize> {
    text.parse().ok().filter(|size| (1..=10_000).contains(size))
}

/// From 1 to 4 × 10⁹: places are numbered with 32 bits.
pub(super) fn bound(text: &str) -> Option<usize> {
    text.parse().ok().filter(|bound| (1..=4_000_000_000).contains(bound))
}

/// Any whole number that fits.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// What Go's `strconv.ParseBool` reads.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A level in any case; `WARNING` as the Go service had it.
pub(super) fn log_level(text: &str) -> Option<LogLevel> {
    match text.to_ascii_uppercase().as_str() {
        "DEBUG" => Some(LogLevel::Debug),
        "INFO" => Some(LogLevel::Info),
        "WARN" | "WARNING" => Some(LogLevel::Warn),
        "ERROR" => Some(LogLevel::Error),
        "FATAL" => Some(LogLevel::Fatal),
        _ => None,
    }
}

/// A format by its name; JSON alone has no schema.
pub(super) fn format(text: &str) -> Option<Option<Format>> {
    match text {
        "json" => Some(None),
        "json-schema" => Some(Some(Format::JsonSchema)),
        "avro" => Some(Some(Format::Avro)),
        "protobuf" => Some(Some(Format::Protobuf)),
        _ => None,
    }
}

/// An http or https URL, which may hold a user and a password.
pub(super) fn registry_url(text: &str) -> Option<Option<Secret>> {
    if text.is_empty() {
        return Some(None);
    }
    let url = Url::parse(text).ok()?;
    let fits = matches!(url.scheme(), "http" | "https") && url.has_host();
    fits.then(|| Some(Secret::new(text)))
}

/// An http or https URL without a user, which would stand in the log.
pub(super) fn otlp_endpoint(text: &str) -> Option<Option<Url>> {
    if text.is_empty() {
        return Some(None);
    }
    let url = Url::parse(text).ok()?;
    let open = url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && open).then_some(Some(url))
}

/// `name=value,name=value`; values may be percent-encoded, as OpenTelemetry has it.
pub(super) fn otlp_headers(text: &str) -> Option<Headers> {
    let header = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value: Vec<u8> = percent_decode_str(value.trim()).collect();
        let mut value = HeaderValue::from_bytes(&value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(name.trim().as_bytes()).ok()?, value))
    };
    parts(text).map(header).collect()
}

/// A log format.
pub(super) fn log_format(text: &str) -> Option<LogFormat> {
    match text {
        "auto" => Some(LogFormat::Auto),
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

/// Where to begin without a checkpoint.
pub(super) fn start_from(text: &str) -> Option<StartFrom> {
    match text {
        "window" => Some(StartFrom::Window),
        "earliest" => Some(StartFrom::Earliest),
        "latest" => Some(StartFrom::Latest),
        _ => None,
    }
}

/// A SASL mechanism by its registered name, or nothing: off.
pub(super) fn sasl_mechanism(text: &str) -> Option<Option<SaslMechanism>> {
    match text {
        "" => Some(None),
        "PLAIN" => Some(Some(SaslMechanism::Plain)),
        "SCRAM-SHA-256" => Some(Some(SaslMechanism::ScramSha256)),
        "SCRAM-SHA-512" => Some(Some(SaslMechanism::ScramSha512)),
        "OAUTHBEARER" => Some(Some(SaslMechanism::OauthBearer)),
        _ => None,
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let host_fits = match bracketed {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(legal),
    };
    host_fits && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// `5min`, `4hour`, `1day`: whole numbers with the Go service's spelled-out units.
fn named_length(name: &str) -> Option<Duration> {
    let (number, unit) = name.split_at(name.find(|c: char| !c.is_ascii_digit())?);
    let seconds: u64 = match unit {
        "sec" => 1,
        "min" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

fn between(text: &str, least: Duration, most: Duration) -> Option<Duration> {
    duration::parse(text).filter(|found| (least..=most).contains(found))
}

fn whole_seconds(duration: Duration) -> Option<Duration> {
    (duration.subsec_nanos() == 0).then_some(duration)
}

const DAY: Duration = Duration::from_secs(86_400);

/// Kafka's own limit: a topic's name is a directory's.
const MAX_TOPIC_BYTES: usize = 249;

/// What the Redis client can be told.
const REDIS_SCHEMES: [&str; 6] =
    ["redis", "rediss", "redis-cluster", "rediss-cluster", "redis-sentinel", "rediss-sentinel"];
