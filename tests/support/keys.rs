//! Certificates of an authority of one's own, as PEM files.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// An authority, and what it has signed: a server for 127.0.0.1 and no other name, and a client.
pub struct Keys {
    dir: TempDir,
}

impl Keys {
    /// A new authority.
    pub fn make() -> Self {
        let keys = Self { dir: tempfile::tempdir().expect("a temporary directory") };
        let mut params = named(&keys.path("authority"), vec![]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, pair()).expect("an authority");
        keys.write("ca.pem", &ca.pem());
        for (name, names) in [("server", vec!["127.0.0.1".to_owned()]), ("client", vec![])] {
            let key = pair();
            let params = named(name, names);
            let cert = params.signed_by(&key, &ca).expect("a certificate");
            keys.write(&format!("{name}.pem"), &cert.pem());
            keys.write(&format!("{name}.key"), &key.serialize_pem());
            // As Kafka wants a key store.
            keys.write(&format!("{name}.both"), &(key.serialize_pem() + &cert.pem()));
        }
        keys
    }

    /// `ca.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`, `server.both`.
    pub fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// Writes a file beside them; its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.file(name), text).expect("a file");
        self.path(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn named(name: &str, addresses: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(addresses).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn pair() -> KeyPair {
    KeyPair::generate().expect("a key")
}
