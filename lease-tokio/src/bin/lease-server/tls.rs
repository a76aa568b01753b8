//! TLS, with a certificate from files.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, RootCertStore, ServerConfig,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use tokio_rustls::TlsAcceptor;

use crate::listen::Refusal;

/// Reads what is presented to clients; HTTP/2 is offered beside HTTP/1.1.
pub(crate) fn acceptor(certificates: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let chain = read(certificates)?;
    let key_der = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unreadable("private key", key, &error.to_string()))?;
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

/// Finds out whether clients that believe in `authority` believe the server's certificate, and says what to do where they do
/// not. The name is left aside: in the kubeconfig that is another field.
pub(crate) fn verify(certificates: &Path, authority: &Path) -> Result<(), Refusal> {
    let chain = read(certificates)?;
    let Some((own, intermediates)) = chain.split_first() else {
        return Ok(());
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(read(authority)?);
    let algorithms = ring::default_provider().signature_verification_algorithms;
    let verified = ParsedCertificate::try_from(own).and_then(|own| {
        let (now, algorithms) = (UnixTime::now(), algorithms.all);
        verify_server_cert_signed_by_trust_anchor(&own, &roots, intermediates, now, algorithms)
    });
    verified.map_err(|error| {
        Refusal::Senseless(format!(
            "clients with the kubeconfig would not believe the certificate in {}, which they would check by {}: {error}; {}",
            certificates.display(),
            authority.display(),
            advice(&error, certificates == authority)
        ))
    })
}

/// What is to be done about a certificate that is not believed.
fn advice(error: &rustls::Error, by_itself: bool) -> &'static str {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "another crate's enums, open and large"
    )]
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) if by_itself => {
            "name the authority that signed it with --tls-ca"
        }
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => {
            "--tls-ca is for the authority that signed it, and what is between the two belongs into the file of --tls-cert"
        }
        rustls::Error::InvalidCertificate(CertificateError::Other(error))
            if error.to_string() == "CaUsedAsEndEntity" =>
        {
            "it is an authority's own: sign one for the server with it, and name the authority with --tls-ca, or make one with \
             -addext basicConstraints=CA:FALSE"
        }
        _ => "give one that is good, with the authority that signed it in --tls-ca",
    }
}

/// Reads the certificates of a file, of which there is one at least.
fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable("certificate", path, &error.to_string()))?;
    if chain.is_empty() {
        return Err(unreadable("certificate", path, "there is none in PEM"));
    }
    Ok(chain)
}

fn unreadable(what: &str, path: &Path, error: &str) -> String {
    format!("no {what} can be read from {}: {error}", path.display())
}
