//! What stands in the `Authorization` header, read again when it changes.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use lease_proto::access::rustls::{ChangingCertificate, Given};
use lease_proto::access::{
    Access, CredentialsError, FileStamp, Material, Origin, Secret, TokenFile, bearer,
};

use crate::clock::Clock;

/// Gives the `Authorization` header of each request.
pub(crate) struct Credentials {
    source: Source,
    clock: Clock,
}

enum Source {
    /// Nothing to send, or always the same.
    Fixed(Option<HeaderValue>),
    File(Mutex<TokenFile>),
    Plugin(Box<dyn AskCredentials>),
}

/// Gives what others than files hold: the `Authorization` header, and a client certificate.
pub(crate) trait AskCredentials: fmt::Debug + Send + Sync {
    /// What to send, after no longer than `timeout`. `reload`: not what the server has [refused](Self::refuse).
    fn authorization(&self, reload: bool, timeout: Duration) -> Result<Given, CredentialsError>;

    /// Takes note that the server has refused what has this number, and what came before it.
    fn refuse(&self, number: u64);

    /// What connections present.
    fn certificate(&self) -> ChangingCertificate;
}

impl Credentials {
    /// Reads what can be read without running anything, so that a missing file is reported at once.
    ///
    /// The plugin is used where there is nothing else.
    pub(crate) fn new(
        access: &Access,
        plugin: Option<Box<dyn AskCredentials>>,
    ) -> Result<Self, CredentialsError> {
        let (auth, clock) = (&access.auth, Clock::new());
        let source = match (&auth.token, &auth.basic, plugin) {
            (Some(Material::File(path)), _, _) => {
                let mut file = TokenFile::new(path).spare(auth.spare_token.clone());
                file.take(fs::read(path), stamp(path), false, clock.now())?;
                Source::File(Mutex::new(file))
            }
            (Some(Material::Inline(token)), _, _) => {
                Source::Fixed(Some(header(token, Origin::Inline)?))
            }
            (None, Some(basic), _) => Source::Fixed(Some(basic.header().map_err(|source| {
                CredentialsError::InvalidToken {
                    origin: Origin::Inline,
                    source,
                }
            })?)),
            (None, None, Some(plugin)) => Source::Plugin(plugin),
            (None, None, None) => Source::Fixed(None),
        };
        Ok(Self { source, clock })
    }

    /// What to send, after less than `timeout`. `reload`: the server refused the last one, so whatever is cached is not good enough.
    pub(crate) fn authorization(
        &self,
        reload: bool,
        timeout: Duration,
    ) -> Result<Given, CredentialsError> {
        match &self.source {
            Source::Fixed(header) => Ok(by_no_plugin(header.clone())),
            Source::File(file) => {
                let header = self.read(&mut lock(file), reload)?;
                Ok(by_no_plugin(Some(header)))
            }
            Source::Plugin(plugin) => plugin.authorization(reload, timeout),
        }
    }

    /// Takes note of an answer to what went with it: refused credentials are those that a reload replaces.
    pub(crate) fn answered<T>(&self, number: u64, answer: &http::Response<T>) {
        if let Source::Plugin(plugin) = &self.source
            && answer.status() == StatusCode::UNAUTHORIZED
        {
            plugin.refuse(number);
        }
    }

    fn read(&self, file: &mut TokenFile, reload: bool) -> Result<HeaderValue, CredentialsError> {
        let (stamp, now) = (stamp(file.path()), self.clock.now());
        if !reload && let Some(known) = file.known(stamp, now) {
            return Ok(known);
        }
        let content = fs::read(file.path());
        file.take(content, stamp, reload, now)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Fixed(None) => f.write_str("none"),
            Source::Fixed(Some(_)) => f.write_str("given"),
            Source::File(file) => lock(file).fmt(f),
            Source::Plugin(plugin) => plugin.fmt(f),
        }
    }
}

fn by_no_plugin(header: Option<HeaderValue>) -> Given {
    Given { header, number: 0 }
}

fn header(token: &Secret, origin: Origin) -> Result<HeaderValue, CredentialsError> {
    bearer(token).map_err(|source| CredentialsError::InvalidToken { origin, source })
}

/// How long to wait for credentials: a little less than the request may take, so that who is late is named and not the
/// server.
pub(crate) fn patience(timeout: Duration) -> Duration {
    timeout.saturating_sub((timeout / 8).min(Duration::from_millis(250)))
}

fn lock(file: &Mutex<TokenFile>) -> MutexGuard<'_, TokenFile> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stamp(path: &Path) -> Option<FileStamp> {
    FileStamp::of(&fs::metadata(path).ok()?)
}
