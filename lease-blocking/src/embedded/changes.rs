//! Being told by the system that something was put into a directory.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};

/// Tells when something was renamed into a directory.
#[derive(Debug)]
pub(super) struct Changes(OwnedFd);

impl Changes {
    /// Begins to listen; nothing where the system has no more of these to give, or none for this directory.
    pub(super) fn of(directory: &Path) -> Option<Self> {
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        let inotify = inotify::init(flags).ok()?;
        let events = WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        let flags = WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
        inotify::add_watch(&inotify, directory, events | flags).ok()?;
        Some(Self(inotify))
    }

    /// Takes what has been told by now, without waiting. Returns whether there may be more to come: not so once the directory
    /// is gone.
    pub(super) fn take(&self) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut events = inotify::Reader::new(&self.0, &mut buffer);
        let gone = ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF;
        let mut goes_on = true;
        loop {
            match events.next() {
                Ok(event) => goes_on &= !event.events().intersects(gone),
                Err(Errno::WOULDBLOCK) => return Ok(goes_on),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Changes {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_renamed_into_a_directory_is_told_of_until_that_is_gone() {
        let folder = tempfile::tempdir().expect("there is room for a directory");
        let path = folder.path().join("leases");
        assert!(Changes::of(&path).is_none(), "there is nothing");
        fs::create_dir(&path).expect("there is room");
        let changes = Changes::of(&path).expect("it is a directory");
        let is_told = || {
            let mut waited = [rustix::event::PollFd::new(
                &changes,
                rustix::event::PollFlags::IN,
            )];
            let now = rustix::event::Timespec::default();
            rustix::event::poll(&mut waited, Some(&now)).expect("it can be waited for") > 0
        };
        fs::write(path.join("new"), "").expect("there is room");
        assert!(!is_told(), "nobody reads what is not finished");
        fs::rename(path.join("new"), path.join("old")).expect("it is there");
        assert!(is_told());
        assert!(changes.take().expect("it can be read") && !is_told());
        fs::remove_dir_all(&path).expect("it is there");
        assert!(!changes.take().expect("it can be read"));
    }
}
