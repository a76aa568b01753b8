//! What an [`Access`] says of TLS, as rustls takes it.
//!
//! Reads no files: their content comes in. Time is rustls' own affair, when it checks a certificate.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ::rustls::client::WantsClientCert;
use ::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use ::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use ::rustls::pki_types::pem::PemObject;
use ::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use ::rustls::{
    AlertDescription, CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct,
    RootCertStore, SignatureScheme, WantsVerifier,
};

pub use super::certificate_files::CertificateFiles;
pub use super::changing_certificate::ChangingCertificate;
pub use super::exec_answers::{ExecAnswers, Given};
use super::{Access, ClientCertificate, CredentialsError, Material, Origin, Secret, TlsProblem};

/// Puts together the TLS settings: ring, TLS 1.2 and 1.3, the authority that was given or the platform's, the client's certificate.
///
/// `read` gives the content of a file, and `platform` the certificates that this machine believes, asked for only where no
/// authority was given. ALPN is left to the caller. Over plain http there is no TLS: nothing is read, and nobody believed.
///
/// # Errors
///
/// Something is unreadable, is not PEM, or does not belong together.
pub fn client_config(
    access: &Access,
    read: &dyn Fn(&std::path::Path) -> io::Result<Vec<u8>>,
    platform: &dyn Fn() -> Vec<CertificateDer<'static>>,
) -> Result<ClientConfig, CredentialsError> {
    if !access.server.is_https() {
        return Ok(both_versions(ring::default_provider())
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth());
    }
    let builder = verification(access, read, platform, ring::default_provider())?;
    let Some(client) = &access.auth.client_certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let (chain, key) = pair(client, read)?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| CredentialsError::mismatch(client, error))
}

/// The name that the server's certificate must bear. Over plain http there is none, and what comes back stands in no
/// certificate.
///
/// # Errors
///
/// The name that was given, or the host of the address, is neither a DNS name nor an address.
pub fn server_name(access: &Access) -> Result<ServerName<'static>, CredentialsError> {
    if !access.server.is_https() {
        return Ok(ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    }
    let name = access
        .tls
        .server_name
        .as_deref()
        .unwrap_or_else(|| access.server.host());
    ServerName::try_from(name.to_owned()).map_err(|_| CredentialsError::ServerName {
        name: name.to_owned(),
    })
}

/// Looks through an error and its sources for what rustls has to say of TLS.
pub fn problem(error: &(dyn Error + 'static)) -> Option<TlsProblem> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<::rustls::Error>() {
            return Some(classify(error));
        }
        // An io::Error hides the error within it from the chain of sources.
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Reads a client certificate and its key.
pub(super) fn pair(
    client: &ClientCertificate,
    read: &dyn Fn(&std::path::Path) -> io::Result<Vec<u8>>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CredentialsError> {
    let chain = certificates("client certificate", &client.certificate, read)?;
    let key = PrivateKeyDer::from_pem_slice(content("client key", &client.key, read)?.expose())
        .map_err(|_| CredentialsError::NotPem {
            what: "client key",
            origin: Origin::from(&client.key),
            label: "PRIVATE KEY",
        })?;
    Ok((chain, key))
}

fn verification(
    access: &Access,
    read: &dyn Fn(&std::path::Path) -> io::Result<Vec<u8>>,
    platform: &dyn Fn() -> Vec<CertificateDer<'static>>,
    provider: CryptoProvider,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, CredentialsError> {
    let algorithms = provider.signature_verification_algorithms;
    let builder = both_versions(provider);
    if access.tls.insecure_skip_verify {
        let verifier = Arc::new(AnyCertificate { algorithms });
        return Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier));
    }
    let mut roots = RootCertStore::empty();
    let usable = match &access.tls.ca {
        Some(ca) => {
            let given = certificates("certificate authority", ca, read)?;
            roots.add_parsable_certificates(given).0
        }
        None => roots.add_parsable_certificates(platform()).0,
    };
    if usable == 0 {
        return Err(match &access.tls.ca {
            Some(ca) => not_a_certificate("certificate authority", ca),
            None => CredentialsError::NoPlatformCertificates,
        });
    }
    Ok(builder.with_root_certificates(roots))
}

fn both_versions(provider: CryptoProvider) -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of both versions")
}

fn certificates(
    what: &'static str,
    material: &Material,
    read: &dyn Fn(&std::path::Path) -> io::Result<Vec<u8>>,
) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let pem = content(what, material, read)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.expose()).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| not_a_certificate(what, material))
}

fn not_a_certificate(what: &'static str, material: &Material) -> CredentialsError {
    CredentialsError::NotPem {
        what,
        origin: Origin::from(material),
        label: "CERTIFICATE",
    }
}

fn content(
    what: &'static str,
    material: &Material,
    read: &dyn Fn(&std::path::Path) -> io::Result<Vec<u8>>,
) -> Result<Secret, CredentialsError> {
    match material {
        Material::Inline(content) => Ok(content.clone()),
        Material::File(path) => {
            read(path)
                .map(Secret::new)
                .map_err(|source| CredentialsError::Unreadable {
                    what,
                    path: path.clone(),
                    source,
                })
        }
    }
}

fn classify(error: &::rustls::Error) -> TlsProblem {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "another crate's enums, open and large"
    )]
    match error {
        ::rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                TlsProblem::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                TlsProblem::NotYetValid
            }
            CertificateError::NotValidForName => TlsProblem::NameMismatch {
                presented: Vec::new(),
            },
            CertificateError::NotValidForNameContext { presented, .. } => {
                TlsProblem::NameMismatch {
                    presented: presented.clone(),
                }
            }
            // Two authorities of one name differ in their keys only.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                TlsProblem::UnknownIssuer
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                TlsProblem::NotForServers
            }
            // What the library below says, which has no other name for it here.
            CertificateError::Other(error) if error.to_string() == "CaUsedAsEndEntity" => {
                TlsProblem::Authority
            }
            _ => TlsProblem::Other,
        },
        ::rustls::Error::AlertReceived(
            AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate,
        ) => TlsProblem::ClientCertificateRefused,
        _ => TlsProblem::Other,
    }
}

/// Believes whatever certificate comes, as `insecure-skip-tls-verify` asks; the handshake's signatures are checked all the same.
#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, ::rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, ::rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, ::rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
