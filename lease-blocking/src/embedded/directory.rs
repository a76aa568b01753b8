//! Which directory the Leases are in, and the files in it.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Read, Write},
    os::{
        fd::OwnedFd,
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, PermissionsExt},
        },
    },
    path::{Path, PathBuf},
};

use lease_proto::server::directory::{self, EmbeddedError, Found, Kind, LEASES, LOCK, NEW};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps},
    io::{Errno, retry_on_intr},
};

/// Returns the directory that is used where none is named, for all processes of this user on this machine.
///
/// It is `/var/lib/lease` for root, else `/var/tmp/lease-UID`, whatever the environment says: a login session, a service and a
/// cron job share it. Containers, and services that systemd gives temporary files of their own (`PrivateTmp=`), do not: name a
/// directory that they share. Whoever removes it while a Lease is held frees that Lease, and fencing tokens begin anew.
pub fn default_directory() -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    directory::default_directory(user)
}

/// A directory that is open, and this user's alone.
///
/// Everything in it is reached from there, so that nobody can put another in its place meanwhile.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    handle: OwnedFd,
    user: u32,
}

impl Directory {
    /// Makes the directory unless it exists, and those above it, for this user alone.
    pub(super) fn make(path: &Path) -> Result<(), EmbeddedError> {
        let create = || DirBuilder::new().mode(0o700).create(path);
        let mut created = create();
        if let (Err(error), Some(parent)) = (&created, path.parent())
            && error.kind() == io::ErrorKind::NotFound
        {
            Self::make(parent)?;
            created = create();
        }
        match created {
            Ok(()) => {}
            // A file system that is read-only says so before it says that there is one.
            Err(_) if fs::symlink_metadata(path).is_ok() => return Ok(()),
            Err(error) => return Err(EmbeddedError::io("make", path, error)),
        }
        // What the umask takes away from its owner is given back.
        let made = fs::symlink_metadata(path)
            .map_err(|error| EmbeddedError::io("look at", path, error))?;
        if made.permissions().mode() & 0o777 != 0o700 {
            fs::set_permissions(path, Permissions::from_mode(0o700))
                .map_err(|error| EmbeddedError::io("set the mode of", path, error))?;
        }
        Ok(())
    }

    /// Opens the directory, and sees that it is this user's alone.
    pub(super) fn open(path: &Path) -> Result<Self, EmbeddedError> {
        let directory = Self::reach(path)?;
        directory.check()?;
        Ok(directory)
    }

    /// Opens the directory for the first time: an empty one that others may look into, as `mkdir` makes them, is shut.
    pub(super) fn enter(path: &Path) -> Result<Self, EmbeddedError> {
        let directory = Self::reach(path)?;
        directory.check_file_system()?;
        let found = directory.found()?;
        let checked = found.check_directory(path, directory.user);
        if matches!(checked, Err(EmbeddedError::NotPrivate { .. })) {
            let names = directory.names()?;
            // Nobody is advised to shut what another program uses.
            directory.check_ours(&names)?;
            if names.is_empty() && found.may_be_shut() {
                rustix::fs::fchmod(&directory.handle, Mode::RWXU)
                    .map_err(directory.failed("set the mode of"))?;
            }
        }
        directory.check()?;
        Ok(directory)
    }

    fn reach(path: &Path) -> Result<Self, EmbeddedError> {
        let user = rustix::process::geteuid().as_raw();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => {
                return Err(EmbeddedError::Missing {
                    file: path.join(LEASES),
                });
            }
            Err(error) => {
                // What it is says more than that it cannot be opened.
                if let Ok(stat) = rustix::fs::lstat(path) {
                    found(&stat).check_directory(path, user)?;
                }
                return Err(EmbeddedError::io("open", path, error.into()));
            }
        };
        Ok(Self {
            path: path.to_owned(),
            handle,
            user,
        })
    }

    fn found(&self) -> Result<Found, EmbeddedError> {
        let stat = rustix::fs::fstat(&self.handle).map_err(self.failed("look at"))?;
        Ok(found(&stat))
    }

    /// Returns an error if what is in it is another program's, as far as it can be read.
    fn check_ours(&self, names: &[OsString]) -> Result<(), EmbeddedError> {
        directory::enter(&self.path, names)?;
        let lock = self.file(LOCK, OFlags::RDONLY);
        let mark = lock.and_then(|lock| self.read_mark(&lock));
        let state = self.state().unwrap_or_default();
        let mark = mark.unwrap_or_default();
        match directory::judge(&self.path, names, &mark, state.as_deref()) {
            Err(foreign @ EmbeddedError::Foreign { .. }) => Err(foreign),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn check(&self) -> Result<(), EmbeddedError> {
        self.found()?.check_directory(&self.path, self.user)?;
        self.check_file_system()
    }

    /// The names of all that is in it.
    pub(super) fn names(&self) -> Result<Vec<OsString>, EmbeddedError> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle).map_err(self.failed("list"))? {
            let entry = entry.map_err(self.failed("list"))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    /// Opens the file that is to be locked; makes it if need be.
    pub(super) fn lock_file(&self) -> Result<File, EmbeddedError> {
        let flags = OFlags::RDWR | OFlags::CREATE;
        let file = match self.file(LOCK, flags) {
            // Whoever made it died before it could give itself what the umask took away.
            Err(EmbeddedError::ReadOnly { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied && self.is_shut(LOCK) =>
            {
                rustix::fs::chmodat(&self.handle, LOCK, PRIVATE, AtFlags::empty())
                    .map_err(self.failed_at("set the mode of", LOCK))?;
                self.file(LOCK, flags)?
            }
            file => file?,
        };
        self.make_private(&file, LOCK)?;
        Ok(file)
    }

    /// Whether the directory is still to be found by its path, and this file in it as the one to be locked.
    pub(super) fn is_locked_by(&self, lock: &File) -> Result<bool, EmbeddedError> {
        let is_same = |one: Stat, other: Result<Stat, Errno>| {
            other.is_ok_and(|other| (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
        };
        let here = rustix::fs::fstat(&self.handle).map_err(self.failed("look at"))?;
        let ours = rustix::fs::fstat(lock).map_err(self.failed_at("look at", LOCK))?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(is_same(here, rustix::fs::lstat(&self.path))
            && is_same(ours, rustix::fs::statat(&self.handle, LOCK, flags)))
    }

    /// The process that has the file locked, where the system tells.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub(super) fn lock_holder(&self) -> Option<u32> {
        let stat = rustix::fs::statat(&self.handle, LOCK, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let locks = fs::read_to_string("/proc/locks").ok()?;
        let device = stat.st_dev;
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        directory::holder(&locks, major, minor, stat.st_ino)
    }

    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    pub(super) fn lock_holder(&self) -> Option<u32> {
        None
    }

    /// Reads the state; nothing if there is none.
    pub(super) fn state(&self) -> Result<Option<Vec<u8>>, EmbeddedError> {
        let mut file = match self.file(LEASES, OFlags::RDONLY) {
            Ok(file) => file,
            Err(EmbeddedError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut state = Vec::new();
        file.read_to_end(&mut state)
            .map_err(|error| EmbeddedError::io("read", self.path.join(LEASES), error))?;
        Ok(Some(state))
    }

    /// Puts a new state in place of the old one: at every moment one of the two is there as a whole.
    pub(super) fn replace(&self, state: &[u8], lock: &File) -> Result<(), EmbeddedError> {
        let done = self.prepare(state).and_then(|()| {
            // Somebody who removes the lock lets others in: what they have written since is not to be lost.
            if !self.is_locked_by(lock)? {
                return Err(EmbeddedError::Missing {
                    file: self.path.join(LOCK),
                });
            }
            rustix::fs::renameat(&self.handle, NEW, &self.handle, LEASES)
                .map_err(self.failed_at("replace", LEASES))
        });
        if done.is_err() {
            // Where the disk is full, its space is needed.
            let _removed = rustix::fs::unlinkat(&self.handle, NEW, AtFlags::empty());
            return done;
        }
        // The new name is on the disk only when the directory is.
        self.sync()?;
        // Programs that clean up among temporary files go by age.
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        let _touched = rustix::fs::futimens(lock, &times);
        Ok(())
    }

    /// Writes the mark that there is a store.
    pub(super) fn mark(&self, mut lock: &File) -> Result<(), EmbeddedError> {
        let write = |lock: &mut &File| {
            lock.set_len(0)?;
            rustix::fs::seek(&**lock, rustix::fs::SeekFrom::Start(0))?;
            lock.write_all(directory::MARK)?;
            lock.sync_all()
        };
        write(&mut lock)
            .map_err(|error| EmbeddedError::io("write", self.path.join(LOCK), error))?;
        self.sync()
    }

    /// What stands in the file that is locked.
    pub(super) fn read_mark(&self, lock: &File) -> Result<Vec<u8>, EmbeddedError> {
        // A mark is short; whatever is longer is none.
        let (mut mark, limit) = (Vec::new(), directory::MARK.len() as u64 + 1);
        lock.take(limit)
            .read_to_end(&mut mark)
            .map_err(|error| EmbeddedError::io("read", self.path.join(LOCK), error))?;
        Ok(mark)
    }

    /// Writes a state aside, to the disk.
    fn prepare(&self, state: &[u8]) -> Result<(), EmbeddedError> {
        // What somebody left unfinished may have whatever mode.
        match rustix::fs::unlinkat(&self.handle, NEW, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(self.failed_at("remove", NEW)(error)),
        }
        let mut new = self.file(NEW, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
        self.make_private(&new, NEW)?;
        new.write_all(state)
            .and_then(|()| new.sync_all())
            .map_err(|error| EmbeddedError::io("write", self.path.join(NEW), error))
    }

    fn sync(&self) -> Result<(), EmbeddedError> {
        retry_on_intr(|| rustix::fs::fsync(&self.handle)).map_err(self.failed("write to disk"))
    }

    /// Opens a file, and sees that it is one, and that nobody else can write to it.
    fn file(&self, name: &str, flags: OFlags) -> Result<File, EmbeddedError> {
        let path = self.path.join(name);
        // Nothing is waited for: in its place there may be a pipe.
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let (file, stat) = match rustix::fs::openat(&self.handle, name, flags, PRIVATE) {
            Ok(file) => {
                let stat = rustix::fs::fstat(&file).map_err(self.failed_at("look at", name))?;
                (file, stat)
            }
            Err(error) => {
                let stat = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW);
                if let Ok(stat) = stat {
                    found(&stat).check_file(&path, self.user)?;
                }
                return Err(self.failed_at("open", name)(error));
            }
        };
        found(&stat).check_file(&path, self.user)?;
        Ok(file.into())
    }

    /// Has only this user read and write a file, whatever the umask says.
    fn make_private(&self, file: &File, name: &str) -> Result<(), EmbeddedError> {
        let stat = rustix::fs::fstat(file).map_err(self.failed_at("look at", name))?;
        if Mode::from_raw_mode(stat.st_mode) != PRIVATE {
            rustix::fs::fchmod(file, PRIVATE).map_err(self.failed_at("set the mode of", name))?;
        }
        Ok(())
    }

    /// Whether not even its owner may read and write a file.
    fn is_shut(&self, name: &str) -> bool {
        rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| !Mode::from_raw_mode(stat.st_mode).contains(PRIVATE))
    }

    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn check_file_system(&self) -> Result<(), EmbeddedError> {
        let stat = rustix::fs::fstatfs(&self.handle).map_err(self.failed("look at"))?;
        directory::check_file_system(&self.path, stat.f_type as u32)
    }

    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    fn check_file_system(&self) -> Result<(), EmbeddedError> {
        Ok(())
    }

    fn failed(&self, doing: &'static str) -> impl Fn(Errno) -> EmbeddedError {
        move |error| EmbeddedError::io(doing, &self.path, error.into())
    }

    fn failed_at(&self, doing: &'static str, name: &str) -> impl Fn(Errno) -> EmbeddedError {
        move |error| EmbeddedError::io(doing, self.path.join(name), error.into())
    }
}

fn found(stat: &Stat) -> Found {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Symlink,
        FileType::BlockDevice
        | FileType::CharacterDevice
        | FileType::Fifo
        | FileType::Socket
        | FileType::Unknown => Kind::Other,
    };
    Found {
        kind,
        owner: stat.st_uid,
        mode: Mode::from_raw_mode(stat.st_mode).bits(),
    }
}

/// The mode of all files.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_replaced_once_the_lock_keeps_nobody_out() {
        let folder = tempfile::tempdir().expect("there is room for a directory");
        let path = folder.path().join("leases");
        Directory::make(&path).expect("it does not exist");
        let directory = Directory::open(&path).expect("it is ours");
        let lock = directory.lock_file().expect("it can be made");
        directory.replace(b"old", &lock).expect("there is room");
        fs::remove_file(path.join(LOCK)).expect("it is there");
        for _ in 0..2 {
            let error = directory.replace(b"new", &lock);
            assert!(matches!(error, Err(EmbeddedError::Missing { .. })));
            let state = directory.state().expect("it can be read");
            assert_eq!(state.as_deref(), Some(&b"old"[..]));
            // Made again, it is another one.
            directory.lock_file().expect("it can be made");
        }
    }
}
