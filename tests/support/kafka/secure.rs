//! A broker that wants TLS and a login.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use aggregator_service::kafka::{KafkaConfig, Mechanism, Sasl};

use super::foreign::foreign;
use super::{KafkaBroker, free_ports};
use crate::support::install;

/// A broker with a second listener for TLS and SASL, the user `alice` with the password
/// `secret`, and how to connect there.
pub fn start_secure() -> (KafkaBroker, impl Fn(Mechanism, &str) -> KafkaConfig) {
    let keys = tempfile::tempdir().expect("directory").keep();
    let store = keys.join("keys.p12");
    let [port] = free_ports();
    let certificate = make_certificate(&store);
    let listener = format!(",SECURE://127.0.0.1:{port}");
    let jaas = "org.apache.kafka.common.security";
    let broker = KafkaBroker::start_with(&[
        ("+listeners", &listener),
        ("+advertised.listeners", &listener),
        ("+listener.security.protocol.map", ",SECURE:SASL_SSL"),
        ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"),
        (
            "listener.name.secure.plain.sasl.jaas.config",
            &format!("{jaas}.plain.PlainLoginModule required user_alice=\"secret\";"),
        ),
        (
            "listener.name.secure.scram-sha-256.sasl.jaas.config",
            &format!("{jaas}.scram.ScramLoginModule required;"),
        ),
        (
            "listener.name.secure.scram-sha-512.sasl.jaas.config",
            &format!("{jaas}.scram.ScramLoginModule required;"),
        ),
        ("ssl.keystore.type", "PKCS12"),
        ("ssl.keystore.location", &store.display().to_string()),
        ("ssl.keystore.password", "password"),
    ]);
    drop(fs::remove_dir_all(keys));
    foreign(&broker, &["scram", "alice", "secret"]);
    let config = move |mechanism, password: &str| KafkaConfig {
        brokers: vec![format!("127.0.0.1:{port}")],
        client_id: "test".to_owned(),
        tls: Some(trusting(&certificate)),
        sasl: Some(Sasl { mechanism, username: "alice".to_owned(), password: password.to_owned() }),
    };
    (broker, config)
}

/// A key for 127.0.0.1 in a new key store, and its certificate.
fn make_certificate(store: &Path) -> Vec<u8> {
    let keytool = |arguments: &str| {
        let done = Command::new("keytool")
            .args(["-keystore", &store.display().to_string(), "-storepass", "password"])
            .args(["-storetype", "PKCS12", "-alias", "broker"])
            .args(arguments.split(' '))
            .output()
            .expect("keytool");
        assert!(done.status.success(), "keytool: {done:?}");
        done.stdout
    };
    install::ensure("java", &["openjdk-17-jre-headless"]);
    keytool("-genkeypair -keyalg EC -groupname secp256r1 -dname CN=test -ext san=ip:127.0.0.1");
    keytool("-exportcert")
}

fn trusting(certificate: &[u8]) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.to_vec().into()).expect("certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
