//! A client certificate in files, read again when they change: who gives it out has it followed by another every few hours.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::file_stamp::{FileStamp, is_old};
use super::rustls::ChangingCertificate;
use super::{Access, ClientCertificate, CredentialsError, Material};

/// The certificate of an access, of which a part is in a file. `Debug` shows nothing of it.
///
/// ```
/// use std::{fs, time::Instant};
///
/// use lease_proto::access::{Access, FileStamp, ServerUrl, rustls::CertificateFiles};
///
/// let access = Access::new(ServerUrl::parse("https://kubernetes.example")?);
/// if let Some(files) = CertificateFiles::of(&access, &|path| fs::read(path))? {
///     // Before each connection:
///     let stamp = |path: &std::path::Path| FileStamp::of(&fs::metadata(path).ok()?);
///     files.refresh(Instant::now(), &stamp, &|path| fs::read(path))?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CertificateFiles {
    given: ClientCertificate,
    presented: ChangingCertificate,
    last: Mutex<Option<Last>>,
}

/// When the files were read, and what they looked like.
struct Last {
    at: Instant,
    stamps: [Option<FileStamp>; 2],
}

/// Gives the content of a file.
type Read<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

impl CertificateFiles {
    /// Reads them; `None` if the access has no certificate that can change.
    ///
    /// # Errors
    ///
    /// One is unreadable, or not PEM, or they do not belong together.
    pub fn of(access: &Access, read: Read<'_>) -> Result<Option<Self>, CredentialsError> {
        let Some(given) = &access.auth.client_certificate else {
            return Ok(None);
        };
        let is_file = |material: &Material| matches!(material, Material::File(_));
        if !access.server.is_https() || !(is_file(&given.certificate) || is_file(&given.key)) {
            return Ok(None);
        }
        let presented = ChangingCertificate::default();
        presented.set(Some(given), read)?;
        Ok(Some(Self {
            given: given.clone(),
            presented,
            last: Mutex::default(),
        }))
    }

    /// What connections present.
    pub fn presented(&self) -> ChangingCertificate {
        self.presented.clone()
    }

    /// Reads them again if they have changed, or that was a minute ago. `stamp` says what a file looks like.
    ///
    /// # Errors
    ///
    /// As of [`of`](Self::of), as while only one of the two has changed: what was there is presented still.
    pub fn refresh(
        &self,
        now: Instant,
        stamp: &dyn Fn(&Path) -> Option<FileStamp>,
        read: Read<'_>,
    ) -> Result<(), CredentialsError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = [&self.given.certificate, &self.given.key].map(|material| match material {
            Material::File(path) => stamp(path),
            Material::Inline(_) => None,
        });
        let is_known = |last: &Last| last.stamps == stamps && !is_old(last.at, now);
        if last.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        *last = Some(Last { at: now, stamps });
        self.presented.set(Some(&self.given), read)
    }
}

impl fmt::Debug for CertificateFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateFiles").finish_non_exhaustive()
    }
}
