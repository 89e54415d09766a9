//! TLS for Kafka and Redis: whom to trust, what to show of ourselves, and what a handshake that
//! failed says about the settings. Trusted are a configured file, else the system's roots, else
//! the built-in ones, which an empty root directory needs. Never switches verification off, never
//! falls back to plain text.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// PEM files, and the prefix of the variables that name them.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// `KAFKA_TLS` or `REDIS_TLS`.
    pub variable: &'static str,
    /// `…_CA`: authorities to trust instead of the system's.
    pub ca: Option<&'a Path>,
    /// `…_CERT`: our certificate and its chain.
    pub cert: Option<&'a Path>,
    /// `…_KEY`: its private key.
    pub key: Option<&'a Path>,
}

/// Where the trusted authorities come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The configured file.
    File,
    /// The system.
    System,
    /// This program.
    BuiltIn,
}

/// What a failed handshake says about the settings: trying again does not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Their certificate is not signed by anyone who is trusted, or not of this time.
    TheirCertificate,
    /// Their certificate is for another name than the one that we connect to.
    TheirName,
    /// They want a certificate of ours, or another one.
    OurCertificate,
    /// They do not speak TLS.
    NoTls,
}

/// A client's settings, and whom it trusts.
///
/// # Errors
/// Every file that cannot be used, a line each that names its variable.
pub fn client(files: &Files<'_>) -> Result<(Arc<ClientConfig>, Roots), Vec<String>> {
    let mut problems = Vec::new();
    let trusted = kept(roots(files), &mut problems);
    let shown = kept(identity(files), &mut problems);
    let (Some((roots, from)), Some(identity), true) = (trusted, shown, problems.is_empty()) else {
        return Err(problems);
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let wrong = |error: rustls::Error| vec![format!("{}_KEY: {error}", files.variable)];
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_root_certificates(roots);
    let config = match identity {
        Some((chain, key)) => config.with_client_auth_cert(chain, key).map_err(wrong)?,
        None => config.with_no_client_auth(),
    };
    Ok((Arc::new(config), from))
}

/// Whether TLS is spoken at an address, whoever it is: for who got no answer in plain text.
pub async fn is_spoken(host: &str, port: u16) -> bool {
    let asking = async {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .ok()?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).ok()?;
        let tcp = TcpStream::connect((host, port)).await.ok()?;
        let answer = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
        // Nobody is trusted: a certificate that was refused is one that was shown.
        let fault = Fault::of(&format!("{:?}", answer.err()?));
        Some(fault == Some(Fault::TheirCertificate))
    };
    timeout(SPOKEN_LIMIT, asking).await.ok().flatten().unwrap_or(false)
}

impl Fault {
    /// Of an error's `Debug` text: `rustls` names its errors there, and some libraries hand on
    /// nothing else.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if text.contains("InvalidCertificate(NotValidForName") {
            Some(Self::TheirName)
        } else if text.contains("InvalidCertificate(") {
            Some(Self::TheirCertificate)
        } else if says(&OUR_CERTIFICATE) {
            Some(Self::OurCertificate)
        } else if text.contains("InvalidContentType") {
            Some(Self::NoTls)
        } else {
            None
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TheirCertificate => "its certificate is not trusted",
            Self::TheirName => "its certificate is for another name",
            Self::OurCertificate => "it wants a certificate of ours that it trusts",
            Self::NoTls => "it does not speak TLS",
        })
    }
}

impl fmt::Display for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "the configured file",
            Self::System => "the system",
            Self::BuiltIn => "this program",
        })
    }
}

fn roots(files: &Files<'_>) -> Result<(RootCertStore, Roots), String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = files.ca {
        for certificate in certificates(files.variable, "_CA", file)? {
            roots.add(certificate).map_err(|error| problem(files.variable, "_CA", file, &error))?;
        }
        return Ok((roots, Roots::File));
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if !roots.is_empty() {
        return Ok((roots, Roots::System));
    }
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    Ok((roots, Roots::BuiltIn))
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(files: &Files<'_>) -> Result<Option<Identity>, String> {
    let (Some(cert), Some(key)) = (files.cert, files.key) else {
        return Ok(None);
    };
    let chain = certificates(files.variable, "_CERT", cert)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        let none = &"holds no private key in PEM that is not encrypted";
        let missing = matches!(error, pem::Error::NoItemsFound);
        problem(files.variable, "_KEY", key, if missing { none } else { &error })
    })?;
    Ok(Some((chain, key)))
}

fn certificates(
    variable: &str,
    which: &str,
    file: &Path,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error: pem::Error| problem(variable, which, file, &error);
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(wrong)?.collect();
    match found.map_err(wrong)? {
        found if found.is_empty() => {
            Err(problem(variable, which, file, &"holds no certificate in PEM"))
        }
        found => Ok(found),
    }
}

fn problem(variable: &str, which: &str, file: &Path, what: &dyn fmt::Display) -> String {
    format!("{variable}{which}: {:?}: {what}", file.display().to_string())
}

fn kept<T>(result: Result<T, String>, problems: &mut Vec<String>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// A server that speaks TLS shows its certificate in milliseconds.
const SPOKEN_LIMIT: Duration = Duration::from_secs(1);

/// Alerts about the certificate that we showed, or did not show.
const OUR_CERTIFICATE: [&str; 8] = [
    "AlertReceived(CertificateRequired",
    "AlertReceived(BadCertificate",
    "AlertReceived(UnsupportedCertificate",
    "AlertReceived(CertificateRevoked",
    "AlertReceived(CertificateExpired",
    "AlertReceived(CertificateUnknown",
    "AlertReceived(UnknownCA",
    "AlertReceived(AccessDenied",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_cannot_be_used_is_named_with_its_variable() {
        let absent = Some(Path::new("/nowhere/at/all.pem"));
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let no_pem = Some(Path::new(here));
        let files = Files { variable: "KAFKA_TLS", ca: absent, cert: no_pem, key: absent };
        let problems = client(&files).unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("KAFKA_TLS_CA: \"/nowhere/at/all.pem\": "), "{problems:?}");
        assert!(problems[1].contains("KAFKA_TLS_CERT: ") && problems[1].contains(here));
        let files = Files { variable: "REDIS_TLS", ca: no_pem, cert: None, key: None };
        assert!(client(&files).unwrap_err()[0].ends_with("holds no certificate in PEM"));
    }

    #[test]
    fn faults_are_told_from_troubles() {
        let fault =
            |error: rustls::Error| Fault::of(&format!("{:?}", std::io::Error::other(error)));
        let unknown = rustls::CertificateError::UnknownIssuer;
        assert_eq!(fault(unknown.into()), Some(Fault::TheirCertificate));
        let alert = rustls::AlertDescription::CertificateRequired;
        assert_eq!(fault(rustls::Error::AlertReceived(alert)), Some(Fault::OurCertificate));
        let alert = rustls::AlertDescription::InternalError;
        assert_eq!(fault(rustls::Error::AlertReceived(alert)), None);
        let plain = rustls::InvalidMessage::InvalidContentType;
        assert_eq!(fault(plain.into()), Some(Fault::NoTls));
    }
}
