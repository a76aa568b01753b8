//! A token in a file, which somebody replaces now and then.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use http::HeaderValue;

use super::file_stamp::{FileStamp, is_old};
use super::{CredentialsError, Origin, Secret, bearer};

/// A bearer token in a file, which is read again when it changes, when the server refuses what was in it, and once a minute.
///
/// Whoever drives the requests does the reading: before each it looks at the file, takes what is [`known`](Self::known), and
/// otherwise reads the file and [takes](Self::take) what comes of that. `Debug` shows the path alone.
///
/// ```
/// use std::{fs, io, time::Instant};
///
/// use lease_proto::access::{CredentialsError, FileStamp, TokenFile};
///
/// /// Returns the header for the next request.
/// fn header(file: &mut TokenFile, is_refused: bool) -> Result<http::HeaderValue, CredentialsError> {
///     let stamp = fs::metadata(file.path()).ok().and_then(|it| FileStamp::of(&it));
///     match file.known(stamp, Instant::now()) {
///         Some(header) if !is_refused => Ok(header),
///         _ => file.take(fs::read(file.path()), stamp, is_refused, Instant::now()),
///     }
/// }
/// let mut file = TokenFile::new("/nowhere/token");
/// assert!(header(&mut file, false).is_err());
/// ```
pub struct TokenFile {
    path: PathBuf,
    last: Option<Last>,
    spare: Option<Secret>,
}

/// What was read.
struct Last {
    header: HeaderValue,
    at: Instant,
    stamp: Option<FileStamp>,
    is_refused: bool,
}

impl TokenFile {
    /// Starts with nothing read.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            last: None,
            spare: None,
        }
    }

    /// Has this sent where the file gives nothing, as kubectl does with a `token` beside a `tokenFile`. Defaults to nothing.
    #[must_use]
    pub fn spare(mut self, token: Option<Secret>) -> Self {
        self.spare = token;
        self
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the header of what was read last, unless the file is to be read: it looks otherwise than it did, is away, or
    /// that was a minute ago.
    pub fn known(&self, stamp: Option<FileStamp>, now: Instant) -> Option<HeaderValue> {
        let last = self.last.as_ref()?;
        let is_same = stamp.is_some() && last.stamp == stamp;
        (is_same && !is_old(last.at, now)).then(|| last.header.clone())
    }

    /// Takes what the file held, and what it looked like before it was read, and returns the header to send.
    ///
    /// `is_refused`: the server did not know what was sent last. Otherwise that stands in where the file cannot be read: while
    /// a token is replaced its file may be away for a moment.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or holds no token, and there is nothing that the server has not refused, nor a
    /// [spare](Self::spare) that can be sent.
    pub fn take(
        &mut self,
        content: io::Result<Vec<u8>>,
        stamp: Option<FileStamp>,
        is_refused: bool,
        now: Instant,
    ) -> Result<HeaderValue, CredentialsError> {
        let error = match self.parse(content) {
            Ok(header) => {
                self.last = Some(Last {
                    header: header.clone(),
                    at: now,
                    stamp,
                    is_refused: false,
                });
                return Ok(header);
            }
            Err(error) => error,
        };
        let had_one = match &mut self.last {
            Some(old) if !is_refused && !old.is_refused => return Ok(old.header.clone()),
            Some(old) => {
                old.is_refused = true;
                true
            }
            None => false,
        };
        match &self.spare {
            Some(token) => bearer(token).map_err(|source| CredentialsError::InvalidToken {
                origin: Origin::Inline,
                source,
            }),
            None if had_one => Err(error.after_refusal()),
            None => Err(error),
        }
    }

    fn parse(&self, content: io::Result<Vec<u8>>) -> Result<HeaderValue, CredentialsError> {
        let content = content.map(Secret::new);
        let content = content.map_err(|source| CredentialsError::Unreadable {
            what: "token",
            path: self.path.clone(),
            source,
        })?;
        bearer(&content.trimmed()).map_err(|source| CredentialsError::InvalidToken {
            origin: Origin::File(self.path.clone()),
            source,
        })
    }
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token in {}", self.path.display())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "some instant to start from")]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn away() -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn stamp(length: u64) -> Option<FileStamp> {
        let modified = SystemTime::UNIX_EPOCH;
        Some(FileStamp { modified, length })
    }

    #[test]
    fn what_was_read_is_known_for_a_minute_while_the_file_looks_the_same() {
        let (now, stamp, other) = (Instant::now(), stamp(3), stamp(4));
        let mut file = TokenFile::new("token");
        assert_eq!(file.known(stamp, now), None);
        let header = file.take(Ok(b"one\n".to_vec()), stamp, false, now).unwrap();
        assert_eq!(header, "Bearer one");
        let later = now + Duration::from_secs(59);
        assert_eq!(file.known(stamp, later), Some(header));
        assert_eq!(file.known(other, later), None);
        assert_eq!(file.known(None, later), None);
        assert_eq!(file.known(stamp, now + Duration::from_secs(60)), None);
        // Where the system does not say when it was written, nothing is known.
        file.take(Ok(b"two".to_vec()), None, false, now).unwrap();
        assert_eq!(file.known(None, now), None);
    }

    #[test]
    fn what_was_read_stands_in_for_a_file_that_is_away_until_it_is_refused() {
        let (now, stamp) = (Instant::now(), stamp(3));
        let mut file = TokenFile::new("token");
        let error = file.take(away(), None, false, now).unwrap_err();
        assert!(error.to_string().contains("token"), "{error}");
        file.take(Ok(b"one".to_vec()), stamp, false, now).unwrap();
        assert_eq!(file.take(away(), None, false, now).unwrap(), "Bearer one");
        // Neither is a file that is being written any better.
        assert_eq!(
            file.take(Ok(Vec::new()), stamp, false, now).unwrap(),
            "Bearer one"
        );
        file.take(away(), None, true, now).unwrap_err();
        // Once refused it stays so.
        file.take(away(), None, false, now).unwrap_err();
        assert_eq!(
            file.take(Ok(b"two".to_vec()), stamp, false, now).unwrap(),
            "Bearer two"
        );
        assert_eq!(file.take(away(), None, false, now).unwrap(), "Bearer two");
    }

    #[test]
    fn the_spare_is_sent_where_the_file_gives_nothing_that_is_not_refused() {
        let (now, stamp) = (Instant::now(), stamp(3));
        let mut file = TokenFile::new("token").spare(Some(Secret::from("spare")));
        for nothing in [away(), Ok(Vec::new()), Ok(b" \n".to_vec())] {
            assert_eq!(
                file.take(nothing, stamp, false, now).unwrap(),
                "Bearer spare"
            );
            assert_eq!(file.known(stamp, now), None, "the file goes before it");
        }
        // What the server says to it the server may say again.
        assert_eq!(file.take(away(), None, true, now).unwrap(), "Bearer spare");
        file.take(Ok(b"one".to_vec()), stamp, false, now).unwrap();
        assert_eq!(file.take(away(), None, false, now).unwrap(), "Bearer one");
        assert_eq!(file.take(away(), None, true, now).unwrap(), "Bearer spare");
        let mut broken = TokenFile::new("token").spare(Some(Secret::from("can\nary")));
        let error = broken.take(away(), None, false, now).unwrap_err();
        assert!(!format!("{error} {broken:?}").contains("ary"), "{error}");
    }
}
