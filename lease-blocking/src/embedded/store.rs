//! The Leases of a directory: one file, replaced as a whole, by one process at a time.

use std::{
    collections::hash_map::RandomState,
    fs::{self, File, OpenOptions},
    hash::BuildHasher,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use lease_proto::server::ApiServer;
use rustix::fs::FlockOperation;

use super::{EmbeddedError, directory};
use crate::Clock;

/// The Leases of a directory.
///
/// `lock` is locked by whoever reads or writes, and says whether there ever were any Leases; `leases.json` holds them;
/// `leases.json.new` is what a writer has not finished, and nobody reads it.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
}

impl Store {
    pub(super) fn open(directory: PathBuf) -> Result<Self, EmbeddedError> {
        directory::make(&directory)?;
        let store = Self { directory };
        if !store.lock_file().exists() && !store.is_empty()? {
            return Err(EmbeddedError::Foreign {
                directory: store.directory,
            });
        }
        // Whatever is wrong with what is there is better said now than at the first request.
        let until = Clock::new().now() + PATIENCE;
        store.exclusively(until, |_| ())?;
        Ok(store)
    }

    /// Does something to the Leases while nobody else does, and keeps the result if it changed them.
    pub(super) fn exclusively<T>(
        &self,
        until: Instant,
        action: impl FnOnce(&mut ApiServer) -> T,
    ) -> Result<T, EmbeddedError> {
        // The kernel frees the lock when the file is closed, so also when this process dies.
        let mut lock = self.lock(until)?;
        let mut server = self.read(&mut lock)?;
        let before = server.resource_version();
        let result = action(&mut server);
        if server.resource_version() != before {
            self.write(&server.snapshot())?;
        }
        Ok(result)
    }

    fn lock(&self, until: Instant) -> Result<File, EmbeddedError> {
        let path = self.lock_file();
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| EmbeddedError::Io {
                doing: "open",
                path: path.clone(),
                source,
            })?;
        let clock = Clock::new();
        loop {
            // Not waited for in the kernel: its holder may be stopped, and a deadline is a deadline.
            match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(lock),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(error) => {
                    return Err(EmbeddedError::Io {
                        doing: "lock",
                        path,
                        source: error.into(),
                    });
                }
            }
            if until <= clock.now() {
                return Err(EmbeddedError::Busy {
                    directory: self.directory.clone(),
                });
            }
            thread::sleep(PAUSE);
        }
    }

    fn read(&self, lock: &mut File) -> Result<ApiServer, EmbeddedError> {
        let file = self.file();
        match fs::read(&file) {
            Ok(snapshot) => ApiServer::builder()
                .restore(&snapshot)
                .map_err(|source| EmbeddedError::Corrupt { file, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let lock_file = self.lock_file();
                let failed = |source| EmbeddedError::Io {
                    doing: "read and write",
                    path: lock_file.clone(),
                    source,
                };
                let mut was_used = Vec::new();
                lock.read_to_end(&mut was_used).map_err(failed)?;
                if !was_used.is_empty() {
                    return Err(EmbeddedError::Missing { file });
                }
                // Uids must not repeat those of a store that was removed.
                let seed = RandomState::new().hash_one(0);
                let server = ApiServer::builder().seed(seed).build();
                self.write(&server.snapshot())?;
                lock.write_all(b"leases.json\n").map_err(failed)?;
                lock.sync_all().map_err(failed)?;
                Ok(server)
            }
            Err(source) => Err(EmbeddedError::Io {
                doing: "read",
                path: file,
                source,
            }),
        }
    }

    /// Puts a new file in place of the old one: at every moment one of the two is there as a whole.
    fn write(&self, snapshot: &[u8]) -> Result<(), EmbeddedError> {
        let file = self.file();
        let aside = self.directory.join("leases.json.new");
        let failed = |source| EmbeddedError::Io {
            doing: "write",
            path: file.clone(),
            source,
        };
        let replace = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(true).mode(0o600);
            let mut new = options.open(&aside)?;
            new.write_all(snapshot)?;
            new.sync_all()?;
            fs::rename(&aside, &file)?;
            // The new name is on disk only when the directory is.
            File::open(&self.directory)?.sync_all()
        };
        replace().map_err(failed)
    }

    fn is_empty(&self) -> Result<bool, EmbeddedError> {
        let mut entries = fs::read_dir(&self.directory).map_err(|source| EmbeddedError::Io {
            doing: "read",
            path: self.directory.clone(),
            source,
        })?;
        // Another process may be making the same store at this moment.
        Ok(entries.all(|entry| {
            entry.is_ok_and(|entry| OURS.contains(&entry.file_name().to_string_lossy().as_ref()))
        }))
    }

    fn lock_file(&self) -> PathBuf {
        Path::new(&self.directory).join("lock")
    }

    fn file(&self) -> PathBuf {
        Path::new(&self.directory).join("leases.json")
    }
}

const OURS: [&str; 3] = ["lock", "leases.json", "leases.json.new"];
/// How long opening waits for others.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two tries to lock.
const PAUSE: Duration = Duration::from_millis(2);
