//! Directories of Leases as the tests see them, over either driver, and a writer that never pauses.

use std::{error, io::Write, path::Path, sync::OnceLock};

use lease_proto::wire::Lease;
use lease_tokio::EmbeddedError;
use tokio::runtime::{Builder, Runtime};

/// What goes wrong in a program that is told what to do.
pub type Error = Box<dyn error::Error + Send + Sync>;

/// A client over a directory, of one of the drivers.
pub trait Store: Sized {
    /// What the driver is called on the command line of `store-writer`.
    const NAME: &'static str;

    /// Opens a directory.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    fn open(directory: &Path) -> Result<Self, EmbeddedError>;

    /// Reads a Lease.
    ///
    /// # Errors
    ///
    /// No answer came.
    fn read(&self, name: &str) -> Result<Option<Lease>, Error>;

    /// Makes a Lease.
    ///
    /// # Errors
    ///
    /// No answer came, or there is one.
    fn make(&self, lease: &Lease) -> Result<Lease, Error>;

    /// Replaces a Lease.
    ///
    /// # Errors
    ///
    /// No answer came, or it has changed since.
    fn replace(&self, lease: &Lease) -> Result<Lease, Error>;
}

impl Store for lease_blocking::Client {
    const NAME: &'static str = "blocking";

    fn open(directory: &Path) -> Result<Self, EmbeddedError> {
        Self::embedded(directory)
    }

    fn read(&self, name: &str) -> Result<Option<Lease>, Error> {
        Ok(self.get(name)?)
    }

    fn make(&self, lease: &Lease) -> Result<Lease, Error> {
        Ok(self.create(lease)?)
    }

    fn replace(&self, lease: &Lease) -> Result<Lease, Error> {
        Ok(self.update(lease)?)
    }
}

impl Store for lease_tokio::Client {
    const NAME: &'static str = "tokio";

    fn open(directory: &Path) -> Result<Self, EmbeddedError> {
        runtime().block_on(Self::embedded(directory))
    }

    fn read(&self, name: &str) -> Result<Option<Lease>, Error> {
        Ok(runtime().block_on(self.get(name))?)
    }

    fn make(&self, lease: &Lease) -> Result<Lease, Error> {
        Ok(runtime().block_on(self.create(lease))?)
    }

    fn replace(&self, lease: &Lease) -> Result<Lease, Error> {
        Ok(runtime().block_on(self.update(lease))?)
    }
}

/// Which of the drivers.
#[expect(clippy::exhaustive_enums, reason = "there are two")]
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Driver {
    /// `lease-blocking`.
    Blocking,
    /// `lease-tokio`.
    Tokio,
}

/// How a writer writes.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Manner {
    /// Acquires, renews and releases, with a record that grows and shrinks. Nobody else may write to the Lease.
    Claim,
    /// Adds one to the count, again where somebody else was faster.
    Count,
    /// As the first, with a record that only grows.
    Grow,
}

/// Writes to one Lease of a directory without pause, so many times, and prints the count and the `resourceVersion` of each
/// write that was answered. The count stands in the record, and goes on where it was. Calls `opened` when the directory is.
///
/// # Errors
///
/// The directory cannot be opened, or a request failed.
pub fn write(
    driver: Driver,
    directory: &Path,
    name: &str,
    manner: Manner,
    writes: u64,
    opened: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    match driver {
        Driver::Blocking => {
            let client = <lease_blocking::Client as Store>::open(directory)?;
            opened()?;
            go_on(&client, name, manner, writes)
        }
        Driver::Tokio => {
            let client = <lease_tokio::Client as Store>::open(directory)?;
            opened()?;
            go_on(&client, name, manner, writes)
        }
    }
}

/// How many writes a record has seen; none if there is no record.
///
/// # Panics
///
/// Panics if it says nothing of that.
pub fn count(lease: Option<&Lease>) -> u64 {
    let annotations = lease.map(|lease| lease.metadata.annotations());
    annotations.map_or(0, |all| {
        let count = all.get(COUNT).and_then(|count| count.parse().ok());
        count.expect("whoever writes it counts")
    })
}

/// The version of a record that was read; none if there is no record.
///
/// # Panics
///
/// Panics if it has none.
pub fn version(lease: Option<&Lease>) -> u64 {
    lease.map_or(0, |lease| {
        let version = lease.metadata.resource_version.as_ref();
        let version = version.and_then(|version| version.to_string().parse().ok());
        version.expect("the server gives every record a version")
    })
}

fn go_on(store: &impl Store, name: &str, manner: Manner, writes: u64) -> Result<(), Error> {
    let mut latest = store.read(name)?;
    for _ in 0..writes {
        let written = loop {
            let next = next(latest.as_ref(), name, manner);
            let result = match &latest {
                Some(_) => store.replace(&next),
                None => store.make(&next),
            };
            match (result, manner) {
                (Ok(written), _) => break written,
                (Err(error), Manner::Claim | Manner::Grow) => return Err(error),
                (Err(error), Manner::Count) => {
                    let read = store.read(name)?;
                    if version(read.as_ref()) == version(latest.as_ref()) {
                        return Err(error);
                    }
                    latest = read;
                }
            }
        };
        let line = format!("{} {}\n", count(Some(&written)), version(Some(&written)));
        // In one piece: who reads it sees the whole line or nothing of it.
        std::io::stdout().lock().write_all(line.as_bytes())?;
        latest = Some(written);
    }
    Ok(())
}

/// The record after the next write.
fn next(latest: Option<&Lease>, name: &str, manner: Manner) -> Lease {
    let count = count(latest) + 1;
    let mut lease = latest
        .cloned()
        .unwrap_or_else(|| Lease::new("default", name));
    lease.metadata.set_annotation(COUNT, count.to_string());
    let size = match manner {
        Manner::Claim => count * 37 % 4_000,
        Manner::Count => 0,
        Manner::Grow => count * 1_000,
    };
    let padding = ".".repeat(usize::try_from(size).unwrap_or(usize::MAX));
    lease
        .metadata
        .set_annotation("lease-tests/padding", padding);
    // Acquired, renewed twice, released.
    let holder = if count.is_multiple_of(4) { "" } else { name };
    lease.spec.holder_identity = Some(holder.to_owned());
    lease.spec.lease_duration_seconds = Some(15);
    lease
}

/// Where the tokio driver runs.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("the system has threads to give")
    })
}

/// The annotation with the number of the write.
const COUNT: &str = "lease-tests/count";
