//! What stands in the `Authorization` header, read again when it changes.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;
use lease_proto::access::rustls::ChangingCertificate;
use lease_proto::access::{Access, CredentialsError, Material, Origin, Secret, bearer};

use crate::clock::Clock;

/// Gives the `Authorization` header of each request.
pub(crate) struct Credentials {
    source: Source,
    clock: Clock,
    /// What was read last.
    cached: Mutex<Option<Cached>>,
}

enum Source {
    /// Nothing to send, or always the same.
    Fixed(Option<HeaderValue>),
    File(PathBuf),
    Plugin(Box<dyn AskCredentials>),
}

struct Cached {
    header: HeaderValue,
    read_at: Instant,
    /// What the file looked like when it was read.
    stamp: Option<Stamp>,
    /// Whether the server does not know it.
    is_refused: bool,
}

/// Gives what others than files hold: the `Authorization` header, and a client certificate.
pub(crate) trait AskCredentials: fmt::Debug + Send + Sync {
    /// The header to send, if any, after no longer than `timeout`. `reload`: the server refused the last credentials.
    fn authorization(
        &self,
        reload: bool,
        timeout: Duration,
    ) -> Result<Option<HeaderValue>, CredentialsError>;

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
        let auth = &access.auth;
        let source = match (&auth.token, &auth.basic, plugin) {
            (Some(Material::File(path)), _, _) => Source::File(path.clone()),
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
        let clock = Clock::new();
        let first = match &source {
            Source::File(path) => Some(read(path, stamp(path), clock.now())?),
            Source::Fixed(_) | Source::Plugin(_) => None,
        };
        Ok(Self {
            source,
            clock,
            cached: Mutex::new(first),
        })
    }

    /// The header to send, if any, after less than `timeout`. `reload`: the server refused the last one, so whatever is cached is not good enough.
    pub(crate) fn authorization(
        &self,
        reload: bool,
        timeout: Duration,
    ) -> Result<Option<HeaderValue>, CredentialsError> {
        match &self.source {
            Source::Fixed(header) => Ok(header.clone()),
            Source::File(path) => self.read_file(path, reload).map(Some),
            Source::Plugin(plugin) => plugin.authorization(reload, timeout),
        }
    }

    fn read_file(&self, path: &Path, reload: bool) -> Result<HeaderValue, CredentialsError> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let stamp = stamp(path);
        if let Some(cached) = &*cached
            && !reload
            && stamp.is_some()
            && cached.stamp == stamp
            && now.saturating_duration_since(cached.read_at) < REREAD_AFTER
        {
            return Ok(cached.header.clone());
        }
        let error = match read(path, stamp, now) {
            Ok(fresh) => return Ok(cached.insert(fresh).header.clone()),
            Err(error) => error,
        };
        match cached.as_mut() {
            // While a token is rotated its file may be away for a moment, and the old one is good until refused.
            Some(old) if !reload && !old.is_refused => Ok(old.header.clone()),
            Some(old) => {
                old.is_refused = true;
                Err(error.after_refusal())
            }
            None => Err(error),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Fixed(None) => f.write_str("none"),
            Source::Fixed(Some(_)) => f.write_str("given"),
            Source::File(path) => write!(f, "token in {}", path.display()),
            Source::Plugin(plugin) => plugin.fmt(f),
        }
    }
}

fn read(path: &Path, stamp: Option<Stamp>, now: Instant) -> Result<Cached, CredentialsError> {
    let content =
        fs::read(path)
            .map(Secret::new)
            .map_err(|source| CredentialsError::Unreadable {
                what: "token",
                path: path.to_owned(),
                source,
            })?;
    Ok(Cached {
        header: header(&content.trimmed(), Origin::File(path.to_owned()))?,
        read_at: now,
        stamp,
        is_refused: false,
    })
}

fn header(token: &Secret, origin: Origin) -> Result<HeaderValue, CredentialsError> {
    bearer(token).map_err(|source| CredentialsError::InvalidToken { origin, source })
}

/// How long to wait for credentials: a little less than the request may take, so that who is late is named and not the
/// server.
pub(crate) fn patience(timeout: Duration) -> Duration {
    timeout.saturating_sub((timeout / 8).min(Duration::from_millis(250)))
}

/// When the file was written, and how long it is.
type Stamp = (SystemTime, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let changed = |metadata: fs::Metadata| -> io::Result<Stamp> {
        Ok((metadata.modified()?, metadata.len()))
    };
    fs::metadata(path).and_then(changed).ok()
}

/// A file system may show a change without another time or length.
const REREAD_AFTER: Duration = Duration::from_secs(60);
