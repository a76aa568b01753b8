//! Whether a file is the one that was read: what it looked like then, and how long that is believed.

use std::fs::Metadata;
use std::time::{Duration, Instant, SystemTime};

/// When a file was written, and how long it is.
///
/// ```
/// use std::{fs, time::Instant};
///
/// use lease_proto::access::{FileStamp, TokenFile};
///
/// let file = TokenFile::new("Cargo.toml");
/// let stamp = FileStamp::of(&fs::metadata(file.path())?);
/// assert!(file.known(stamp, Instant::now()).is_none(), "it has not been read yet");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileStamp {
    pub(super) modified: SystemTime,
    pub(super) length: u64,
}

impl FileStamp {
    /// Takes what the system says of a file; `None` where it does not say when the file was written.
    pub fn of(metadata: &Metadata) -> Option<Self> {
        Some(Self {
            modified: metadata.modified().ok()?,
            length: metadata.len(),
        })
    }
}

/// Tells whether what was read at an instant is to be read again, though the file looks as it did.
pub(super) fn is_old(read_at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(read_at) >= REREAD_AFTER
}

/// A file system may show a change without another time or length.
const REREAD_AFTER: Duration = Duration::from_secs(60);
