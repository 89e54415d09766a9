//! The settings of the connection to Redis. A wrong setting is refused here, before anything is
//! sent; a server that is away is no error. Every wait that the driver does is bounded here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client as FredClient;
use fred::types::RespVersion;
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, ReconnectError, ReconnectPolicy, TcpConfig,
    TlsConfig, TlsHostMapping, UnresponsiveConfig,
};
use rustls::ClientConfig;

use super::admission::Refusal;
use super::client::Client;

/// Where Redis is and how to talk to it.
#[derive(Clone)]
pub struct RedisConfig {
    /// `host:port`, or a URL with the scheme `redis`, `rediss`, either with `-cluster` or
    /// `-sentinel` behind it.
    pub addr: String,
    /// Password; goes before one in the URL.
    pub password: Option<String>,
    /// User name; goes before one in the URL.
    pub username: Option<String>,
    /// Database; 0 leaves the choice to the URL.
    pub db: u8,
    /// Present: TLS is spoken, whatever the scheme. `rediss` is refused without it.
    pub tls: Option<Arc<ClientConfig>>,
    /// What every key starts with.
    pub key_prefix: String,
}

/// Why Redis was not set up or did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RedisError {
    /// The address cannot be used.
    #[error("not an address of Redis: {0}")]
    Address(String),
    /// A scheme that asks for TLS, and no TLS settings.
    #[error("rediss asks for TLS, and TLS is not configured")]
    TlsMissing,
    /// It answers, and refuses or is refused: asking again does not help.
    #[error("{refusal}: {cause}")]
    Refused {
        /// What is refused.
        refusal: Refusal,
        /// What was said.
        cause: String,
    },
    /// It is not there, or says something unexpected.
    #[error("{0}")]
    Unanswered(String),
}

/// Starts a connection and returns at once, whether or not a server is there. Must be called
/// inside the runtime.
pub fn connect(config: &RedisConfig) -> Result<Client, RedisError> {
    let client = FredClient::new(
        fred_config(config)?,
        Some(PerformanceConfig {
            default_command_timeout: COMMAND_TIMEOUT,
            ..PerformanceConfig::default()
        }),
        Some(connection_config()),
        Some(reconnect_policy()),
    );
    Ok(Client::start(client))
}

fn fred_config(config: &RedisConfig) -> Result<Config, RedisError> {
    let url = match config.addr.split_once("://") {
        Some(_) => config.addr.clone(),
        None => format!("redis://{}", config.addr),
    };
    let url = match (url.strip_prefix("rediss"), &config.tls) {
        (Some(_), None) => return Err(RedisError::TlsMissing),
        // By itself fred would read the system's certificates for `rediss`.
        (Some(rest), Some(_)) => format!("redis{rest}"),
        (None, _) => url,
    };
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        let known = "redis, rediss, each also with -cluster or -sentinel";
        return Err(RedisError::Address(format!("the scheme must be one of {known}")));
    }
    let parsed = Config::from_url(&url).map_err(|error| RedisError::Address(error.to_string()))?;
    let clustered = parsed.server.is_clustered();
    let database = if config.db == 0 { parsed.database } else { Some(config.db) };
    if clustered && database.is_some_and(|db| db != 0) {
        return Err(RedisError::Address("a cluster has no database but 0".to_owned()));
    }
    Ok(Config {
        // Else a server that is away at the start would be final.
        fail_fast: false,
        version: RespVersion::RESP2,
        username: config.username.clone().or(parsed.username),
        password: config.password.clone().or(parsed.password),
        database,
        tls: config.tls.as_deref().map(|tls| TlsConfig {
            connector: tls.clone().into(),
            // A cluster names its nodes by IP, which certificates rarely hold.
            hostnames: if clustered { TlsHostMapping::DefaultHost } else { TlsHostMapping::None },
        }),
        server: parsed.server,
        ..Config::default()
    })
}

fn connection_config() -> ConnectionConfig {
    ConnectionConfig {
        connection_timeout: CONNECT_TIMEOUT,
        internal_command_timeout: CONNECT_TIMEOUT,
        max_command_attempts: 1,
        // Following one ends the driver's task when a slot is on its way. An error teaches the
        // driver the slot's new node all the same, and the caller sends again.
        max_redirections: 0,
        // Its counter leaks and wedges the client; bounded by the callers instead.
        max_command_buffer_len: 0,
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(UNRESPONSIVE_AFTER),
            interval: UNRESPONSIVE_CHECK,
        },
        reconnect_on_auth_error: true,
        tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
        reconnect_errors: vec![
            ReconnectError::ClusterDown,
            ReconnectError::Loading,
            ReconnectError::MasterDown,
            ReconnectError::ReadOnly,
        ],
        ..ConnectionConfig::default()
    }
}

/// For ever. The first attempt waits for the first delay as well: that one must be short.
fn reconnect_policy() -> ReconnectPolicy {
    ReconnectPolicy::Exponential {
        attempts: 0,
        max_attempts: 0,
        min_delay: 5,
        max_delay: 1_000,
        base: 2,
        jitter: 20,
    }
}

impl fmt::Debug for RedisConfig {
    /// Without the address and the credentials: a URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("db", &self.db)
            .field("key_prefix", &self.key_prefix)
            .finish_non_exhaustive()
    }
}

const SCHEMES: [&str; 3] = ["redis://", "redis-cluster://", "redis-sentinel://"];

/// Longest wait for an answer. Above the time in which an unresponsive connection is noticed
/// (`UNRESPONSIVE_AFTER` + `UNRESPONSIVE_CHECK`), which counts from the last write.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_secs(4);
/// Silence after a write that counts as a hung server.
const UNRESPONSIVE_AFTER: Duration = Duration::from_millis(1_500);
const UNRESPONSIVE_CHECK: Duration = Duration::from_millis(500);
/// For TCP and TLS, and for AUTH and SELECT: below `COMMAND_TIMEOUT`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
