//! Which directory the Leases are in, and whether it is this user's alone.

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::EmbeddedError;

/// Returns the directory that is used where none is named, for all processes of this user on this machine.
///
/// `$XDG_RUNTIME_DIR/lease` if that is set, for root `/run/lease`, else `lease-UID` among the temporary files.
pub fn default_directory() -> PathBuf {
    let user = rustix::process::geteuid();
    if let Some(runtime) = env::var_os("XDG_RUNTIME_DIR").filter(|runtime| !runtime.is_empty()) {
        return PathBuf::from(runtime).join("lease");
    }
    if user.is_root() {
        return PathBuf::from("/run/lease");
    }
    env::temp_dir().join(format!("lease-{}", user.as_raw()))
}

/// Makes the directory unless it exists, and sees that nobody else can put anything into it.
pub(super) fn make(directory: &Path) -> Result<(), EmbeddedError> {
    let failed = |doing, source| EmbeddedError::Io {
        doing,
        path: directory.to_owned(),
        source,
    };
    if let Some(parent) = directory
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        fs::create_dir_all(parent).map_err(|error| failed("make the directory above", error))?;
    }
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("make", error));
        }
        _ => {}
    }
    // Of the directory itself, not of what a link points to: among temporary files anybody can make a link.
    let found = fs::symlink_metadata(directory).map_err(|error| failed("look at", error))?;
    if !found.is_dir() {
        return Err(failed("use", io::Error::from(io::ErrorKind::NotADirectory)));
    }
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    let others_may_write = found.mode() & 0o022 != 0;
    if is_ours && !others_may_write {
        Ok(())
    } else {
        Err(EmbeddedError::NotPrivate {
            directory: directory.to_owned(),
        })
    }
}
