//! TLS settings for Kafka and Redis: whom to trust. A configured file, else the system's roots,
//! else the built-in ones, which an empty root directory needs.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A client's settings; `ca` is a PEM file of authorities.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub(super) fn client(ca: Option<&Path>) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            let name = file.display();
            let certificates = CertificateDer::pem_file_iter(file)
                .with_context(|| format!("{name} cannot be read"))?;
            for certificate in certificates {
                let certificate = certificate.with_context(|| format!("{name} is no PEM file"))?;
                roots.add(certificate).with_context(|| format!("a certificate in {name}"))?;
            }
            ensure!(!roots.is_empty(), "{name} holds no certificate");
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS versions")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
