//! A client certificate that changes while connections come and go.

use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use ::rustls::{
    ClientConfig, SignatureScheme,
    client::{ResolvesClientCert, Resumption},
    crypto::ring,
    sign::CertifiedKey,
};

use super::{ClientCertificate, CredentialsError, rustls::pair};

/// A client certificate that is known only later, and changes: that of a credential plugin.
///
/// Connections that are made after [`set`](Self::set) present it; those that there are stay what they are, so close them when
/// [`version`](Self::version) has changed. Clones are the same certificate. `Debug` shows nothing of it.
///
/// ```
/// use std::fs;
///
/// use lease_proto::access::{Access, ServerUrl, rustls::{ChangingCertificate, client_config}};
///
/// let access = Access::new(ServerUrl::parse("http://localhost:8001")?);
/// let mut tls = client_config(&access, &|path| fs::read(path), &Vec::new)?;
/// let certificate = ChangingCertificate::default();
/// certificate.install(&mut tls);
/// let before = certificate.version();
/// certificate.set(None, &|path| fs::read(path))?; // what the plugin gave; here it gave none
/// assert_eq!(certificate.version(), before);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct ChangingCertificate(Arc<Shared>);

#[derive(Default)]
struct Shared {
    current: RwLock<Option<Arc<CertifiedKey>>>,
    version: AtomicU64,
}

impl ChangingCertificate {
    /// Has connections with these settings present it, and none of them resume an earlier one's session: that would have
    /// stood for the certificate of then.
    pub fn install(&self, config: &mut ClientConfig) {
        config.client_auth_cert_resolver = Arc::new(self.clone());
        config.resumption = Resumption::disabled();
    }

    /// Takes a certificate, or that there is none. `read` gives the content of a file.
    ///
    /// # Errors
    ///
    /// It or its key is unreadable, or not PEM, or they do not belong together. What was there stays.
    pub fn set(
        &self,
        certificate: Option<&ClientCertificate>,
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<(), CredentialsError> {
        let new = match certificate {
            Some(certificate) => {
                let (chain, key) = pair(certificate, read)?;
                let key = CertifiedKey::from_der(chain, key, &ring::default_provider());
                let mismatch = |error| CredentialsError::mismatch(certificate, error);
                Some(Arc::new(key.map_err(mismatch)?))
            }
            None => None,
        };
        let mut current = self
            .0
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let chain = |key: &Option<Arc<CertifiedKey>>| key.as_ref().map(|key| key.cert.clone());
        if chain(&current) != chain(&new) {
            *current = new;
            self.0.version.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    /// Returns a number that is another one after each change.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        let current = self.0.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesClientCert for ChangingCertificate {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let current = self.current()?;
        // What the server cannot check is not offered; it then says itself that it wants one.
        current.key.choose_scheme(schemes)?;
        Some(current)
    }

    fn has_certs(&self) -> bool {
        self.current().is_some()
    }
}

impl fmt::Debug for ChangingCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangingCertificate")
            .finish_non_exhaustive()
    }
}
