//! TLS, with a certificate from files.

use std::{path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

/// Reads what is presented to clients; HTTP/2 is offered beside HTTP/1.1.
pub(crate) fn acceptor(certificates: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let unreadable = |what: &str, path: &Path, error: String| {
        format!("no {what} can be read from {}: {error}", path.display())
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable("certificate", certificates, error.to_string()))?;
    if chain.is_empty() {
        let error = "there is none in PEM".to_owned();
        return Err(unreadable("certificate", certificates, error));
    }
    let key_der = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unreadable("private key", key, error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| {
            config
                .with_no_client_auth()
                .with_single_cert(chain, key_der)
        });
    let mut config = config.map_err(|error| {
        format!(
            "the certificate in {} cannot be used with the key in {}: {error}",
            certificates.display(),
            key.display()
        )
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
