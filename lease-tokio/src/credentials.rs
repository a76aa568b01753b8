//! What stands in the `Authorization` header, read again when it changes.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;
use lease_proto::access::{Access, CredentialsError, Material, Origin, Secret, bearer};
use tokio::fs;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::transport::BoxFuture;

/// Gives the `Authorization` header of each request.
pub(crate) struct Credentials {
    source: Source,
    clock: Clock,
    /// What was read or got last.
    cached: Mutex<Option<Cached>>,
    /// One permit: a plugin runs once, however many ask.
    asking: Semaphore,
}

enum Source {
    /// Nothing to send, or always the same.
    Fixed(Option<HeaderValue>),
    File(PathBuf),
    Plugin(Box<dyn AskToken>),
}

#[derive(Clone)]
struct Cached {
    header: HeaderValue,
    read_at: Instant,
    /// What the file looked like when it was read.
    stamp: Option<Stamp>,
    /// Whether the server does not know it.
    is_refused: bool,
    /// When a plugin's token is over.
    expires_at: Option<SystemTime>,
}

/// Gives a token each time that it is asked, and the time when that is over.
pub(crate) trait AskToken: fmt::Debug + Send + Sync {
    fn ask(
        &self,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<(Secret, Option<SystemTime>), CredentialsError>>;
}

impl Credentials {
    /// Reads what can be read without running anything, so that a missing file is reported at once.
    ///
    /// The plugin is used where there is nothing else.
    pub(crate) fn new(
        access: &Access,
        plugin: Option<Box<dyn AskToken>>,
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
            // Without a stamp it is read again at the first request.
            Source::File(path) => Some(parse(path, std::fs::read(path), None, clock.now())?),
            Source::Fixed(_) | Source::Plugin(_) => None,
        };
        Ok(Self {
            source,
            clock,
            cached: Mutex::new(first),
            asking: Semaphore::new(1),
        })
    }

    /// The header to send, if any. `reload`: the server refused the last one, so whatever is cached is not good enough.
    pub(crate) async fn authorization(
        &self,
        reload: bool,
        timeout: Duration,
    ) -> Result<Option<HeaderValue>, CredentialsError> {
        match &self.source {
            Source::Fixed(header) => Ok(header.clone()),
            Source::File(path) => self.read_file(path, reload).await.map(Some),
            Source::Plugin(plugin) => self.ask_plugin(&**plugin, reload, timeout).await.map(Some),
        }
    }

    async fn read_file(&self, path: &Path, reload: bool) -> Result<HeaderValue, CredentialsError> {
        let stamp = stamp(path).await;
        let cached = self.cached().clone();
        let now = self.clock.now();
        if let Some(cached) = &cached
            && !reload
            && stamp.is_some()
            && cached.stamp == stamp
            && now.saturating_duration_since(cached.read_at) < REREAD_AFTER
        {
            return Ok(cached.header.clone());
        }
        let error = match parse(path, fs::read(path).await, stamp, now) {
            Ok(fresh) => return Ok(self.cached().insert(fresh).header.clone()),
            Err(error) => error,
        };
        match self.cached().as_mut() {
            // While a token is rotated its file may be away for a moment, and the old one is good until refused.
            Some(old) if !reload && !old.is_refused => Ok(old.header.clone()),
            Some(old) => {
                old.is_refused = true;
                Err(error.after_refusal())
            }
            None => Err(error),
        }
    }

    async fn ask_plugin(
        &self,
        plugin: &dyn AskToken,
        reload: bool,
        timeout: Duration,
    ) -> Result<HeaderValue, CredentialsError> {
        let asked_at = self.clock.now();
        let good = |cached: &Cached| {
            let wall = self.clock.wall() + EXPIRY_MARGIN;
            let lasts = cached.expires_at.is_none_or(|expires_at| wall < expires_at);
            lasts && (!reload || cached.read_at > asked_at)
        };
        if let Some(cached) = self.cached().as_ref().filter(|cached| good(cached)) {
            return Ok(cached.header.clone());
        }
        // The semaphore is never closed; were it, more plugins than one would run at a time.
        let _permit = self.asking.acquire().await.ok();
        if let Some(cached) = self.cached().as_ref().filter(|cached| good(cached)) {
            return Ok(cached.header.clone());
        }
        let (token, expires_at) = plugin.ask(timeout).await?;
        let fresh = Cached {
            header: header(&token, Origin::Inline)?,
            read_at: self.clock.now(),
            stamp: None,
            is_refused: false,
            expires_at,
        };
        Ok(self.cached().insert(fresh).header.clone())
    }

    fn cached(&self) -> MutexGuard<'_, Option<Cached>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
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

fn parse(
    path: &Path,
    content: io::Result<Vec<u8>>,
    stamp: Option<Stamp>,
    now: Instant,
) -> Result<Cached, CredentialsError> {
    let content = content
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
        expires_at: None,
    })
}

fn header(token: &Secret, origin: Origin) -> Result<HeaderValue, CredentialsError> {
    bearer(token).map_err(|source| CredentialsError::InvalidToken { origin, source })
}

/// When the file was written, and how long it is.
type Stamp = (SystemTime, u64);

async fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).await.ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// A file system may show a change without another time or length.
const REREAD_AFTER: Duration = Duration::from_secs(60);
/// A token must outlive the request that carries it.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);
