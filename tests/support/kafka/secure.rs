//! A broker that wants TLS, and a login or a certificate.

use super::foreign::foreign;
use super::{KafkaBroker, free_ports};
use crate::keys::Keys;

/// A broker with two listeners more: one for TLS and SASL, the users `alice` and `bob` with the
/// password `secret` (`bob` in SCRAM only); one for TLS with a client's certificate.
pub struct SecureKafka {
    /// The broker; its own listener wants nothing.
    pub broker: KafkaBroker,
    /// What signed its certificate.
    pub keys: Keys,
    login_port: u16,
    mutual_port: u16,
}

/// An unsecured JWS of `alice` that lasts until 2100.
pub const TOKEN: &str =
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImlhdCI6MSwiZXhwIjo0MTAyNDQ0ODAwfQ.";

/// One that lasted until 1970.
pub const EXPIRED_TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImlhdCI6MSwiZXhwIjoyfQ.";

impl SecureKafka {
    /// Starts it.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with more server properties, as `KafkaBroker` takes them.
    pub fn start_with(more: &[(&str, &str)]) -> Self {
        let keys = Keys::make();
        let [login_port, mutual_port] = free_ports();
        let listeners = format!(",LOGIN://127.0.0.1:{login_port},MUTUAL://127.0.0.1:{mutual_port}");
        let jaas = |module: &str, options: &str| {
            format!("org.apache.kafka.common.security.{module} required{options};")
        };
        let properties: &[(&str, &str)] = &[
            ("+listeners", &listeners),
            ("+advertised.listeners", &listeners),
            ("+listener.security.protocol.map", ",LOGIN:SASL_SSL,MUTUAL:SSL"),
            ("listener.name.login.sasl.enabled.mechanisms", MECHANISMS),
            (
                "listener.name.login.plain.sasl.jaas.config",
                &jaas("plain.PlainLoginModule", " user_alice=\"secret\""),
            ),
            (
                "listener.name.login.scram-sha-256.sasl.jaas.config",
                &jaas("scram.ScramLoginModule", ""),
            ),
            (
                "listener.name.login.scram-sha-512.sasl.jaas.config",
                &jaas("scram.ScramLoginModule", ""),
            ),
            (
                "listener.name.login.oauthbearer.sasl.jaas.config",
                &jaas("oauthbearer.OAuthBearerLoginModule", ""),
            ),
            // So that a login that was revoked is asked for again.
            ("listener.name.login.scram-sha-256.connections.max.reauth.ms", "1000"),
            ("listener.name.mutual.ssl.client.auth", "required"),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.location", &keys.path("server.both")),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", &keys.path("ca.pem")),
        ];
        let broker = KafkaBroker::start_with(&[properties, more].concat());
        for user in ["alice", "bob"] {
            foreign(&broker, &["scram", user, "secret"]);
        }
        Self { broker, keys, login_port, mutual_port }
    }

    /// Where a login is wanted.
    pub fn login(&self) -> String {
        format!("127.0.0.1:{}", self.login_port)
    }

    /// Where a certificate is wanted.
    pub fn mutual(&self) -> String {
        format!("127.0.0.1:{}", self.mutual_port)
    }
}

const MECHANISMS: &str = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER";
