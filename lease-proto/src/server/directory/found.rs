//! Whether a directory or a file is this user's alone.

use std::path::Path;

use super::EmbeddedError;

/// What something on a disk is, and whose.
///
/// ```
/// use std::path::Path;
///
/// use lease_proto::server::directory::{Found, Kind};
///
/// let found = Found { kind: Kind::Directory, owner: 1000, mode: 0o755 };
/// let user = 1000;
/// assert!(found.check_directory(Path::new("/var/tmp/lease-1000"), user).is_err());
/// assert!(found.may_be_shut(), "others may look in, and no more");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "drivers fill it in")]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub owner: u32,
    /// Who may do what with it; bits above the nine of `chmod` do not count.
    pub mode: u32,
}

/// What something on a disk is.
///
/// ```
/// use lease_proto::server::directory::Kind;
///
/// fn kind(of: &std::fs::FileType) -> Kind {
///     match () {
///         () if of.is_symlink() => Kind::Symlink,
///         () if of.is_dir() => Kind::Directory,
///         () if of.is_file() => Kind::File,
///         () => Kind::Other,
///     }
/// }
/// assert_eq!(kind(&std::fs::metadata("Cargo.toml")?.file_type()), Kind::File);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "there are others, and they are one case"
)]
pub enum Kind {
    /// A directory.
    Directory,
    /// An ordinary file.
    File,
    /// A pipe, a device, a socket.
    Other,
    /// A symbolic link.
    Symlink,
}

impl Found {
    /// Says whether a store may be in it.
    ///
    /// # Errors
    ///
    /// It is no directory, or not this user's alone.
    pub fn check_directory(&self, path: &Path, user: u32) -> Result<(), EmbeddedError> {
        match self.kind {
            Kind::Directory => {
                self.check_owner(path, user)?;
                self.check_mode(path, 0o077, 0o700)
            }
            Kind::Symlink => Err(EmbeddedError::Symlink {
                path: path.to_owned(),
            }),
            Kind::File | Kind::Other => Err(EmbeddedError::NotDirectory {
                path: path.to_owned(),
            }),
        }
    }

    /// Says whether it may be a file of a store.
    ///
    /// # Errors
    ///
    /// It is no file, or others could change it.
    pub fn check_file(&self, path: &Path, user: u32) -> Result<(), EmbeddedError> {
        match self.kind {
            Kind::File => {
                self.check_owner(path, user)?;
                self.check_mode(path, 0o022, 0o600)
            }
            Kind::Symlink => Err(EmbeddedError::Symlink {
                path: path.to_owned(),
            }),
            Kind::Directory | Kind::Other => Err(EmbeddedError::NotFile {
                path: path.to_owned(),
            }),
        }
    }

    fn check_owner(&self, path: &Path, user: u32) -> Result<(), EmbeddedError> {
        if self.owner != user {
            return Err(EmbeddedError::OtherUser {
                path: path.to_owned(),
                owner: self.owner,
                user,
            });
        }
        Ok(())
    }

    fn check_mode(&self, path: &Path, forbidden: u32, wanted: u32) -> Result<(), EmbeddedError> {
        if self.mode & forbidden == 0 {
            return Ok(());
        }
        Err(EmbeddedError::NotPrivate {
            path: path.to_owned(),
            mode: self.mode & 0o777,
            wanted,
        })
    }

    /// Tells whether others may look into it and no more, as into what `mkdir` makes: while nothing is in it, it may be shut.
    #[must_use]
    pub fn may_be_shut(&self) -> bool {
        self.mode & 0o077 != 0 && self.mode & 0o022 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_its_owners_alone_and_nobody_else_may_write_to_a_file() {
        let check = |kind, owner, mode| {
            let found = Found { kind, owner, mode };
            let path = Path::new("/d");
            (found.check_directory(path, 7), found.check_file(path, 7))
        };
        for mode in [0o40_700, 0o2_700, 0o500] {
            assert!(check(Kind::Directory, 7, mode).0.is_ok());
            assert!(check(Kind::File, 7, mode).1.is_ok());
        }
        assert!(check(Kind::File, 7, 0o644).1.is_ok());
        for mode in [0o755, 0o710, 0o704] {
            let directory = check(Kind::Directory, 7, mode).0;
            assert!(matches!(directory, Err(EmbeddedError::NotPrivate { .. })));
        }
        for mode in [0o770, 0o702, 0o1_777] {
            let (directory, file) = (
                check(Kind::Directory, 7, mode).0,
                check(Kind::File, 7, mode).1,
            );
            for result in [directory, file] {
                assert!(matches!(result, Err(EmbeddedError::NotPrivate { .. })));
            }
        }
        for other in [0, 8] {
            let result = check(Kind::Directory, other, 0o700).0;
            assert!(matches!(result, Err(EmbeddedError::OtherUser { .. })));
        }
        let link = check(Kind::Symlink, 7, 0o777);
        assert!(matches!(link.0, Err(EmbeddedError::Symlink { .. })));
        assert!(matches!(link.1, Err(EmbeddedError::Symlink { .. })));
        let file = check(Kind::File, 7, 0o600).0;
        assert!(matches!(file, Err(EmbeddedError::NotDirectory { .. })));
        let directory = check(Kind::Directory, 7, 0o700).1;
        assert!(matches!(directory, Err(EmbeddedError::NotFile { .. })));
    }

    #[test]
    fn what_mkdir_makes_may_be_shut_and_what_others_may_write_to_may_not() {
        let may_be_shut = |mode| {
            let (kind, owner) = (Kind::Directory, 7);
            Found { kind, owner, mode }.may_be_shut()
        };
        for mode in [0o755, 0o750, 0o711, 0o2_755] {
            assert!(may_be_shut(mode), "{mode:o}");
        }
        for mode in [0o700, 0o770, 0o1_777] {
            assert!(!may_be_shut(mode), "{mode:o}");
        }
    }
}
