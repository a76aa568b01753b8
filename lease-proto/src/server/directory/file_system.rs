//! File systems on which locks and renames are not what they are on a disk of the machine's own.

use std::path::Path;

use super::EmbeddedError;

/// Says whether a store may be on a file system of this type, which is what Linux' `statfs` says.
///
/// # Errors
///
/// It may not where other machines, or a program of a user, serve the files.
pub fn check_file_system(path: &Path, magic: u32) -> Result<(), EmbeddedError> {
    match REMOTE.iter().find(|(known, _)| *known == magic) {
        Some((_, name)) => Err(EmbeddedError::NetworkFileSystem {
            directory: path.to_owned(),
            file_system: name,
        }),
        None => Ok(()),
    }
}

/// What `linux/magic.h` and the file systems outside of the kernel's tree say of themselves, for those that GNU `stat` knows
/// to be remote.
const REMOTE: [(u32, &str); 24] = [
    (0x0000_517b, "SMB"),
    (0x0000_564c, "NCP"),
    (0x0000_6969, "NFS"),
    (0x00c3_6400, "Ceph"),
    (0x0102_1997, "9p"),
    (0x0116_1970, "GFS2"),
    (0x0131_11a8, "IBRIX"),
    (0x0bd0_0bd0, "Lustre"),
    (0x1983_0326, "BeeGFS"),
    (0x2003_0528, "OrangeFS"),
    (0x4750_4653, "GPFS"),
    (0x5346_414f, "AFS"),
    (0x6163_6673, "ACFS"),
    // Some of these are local; none can be told from those that are not.
    (0x6573_5546, "FUSE"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x7461_636f, "OCFS2"),
    (0x786f_4256, "VirtualBox"),
    (0x7c7c_6673, "Parallels"),
    (0xaad7_aaea, "PanFS"),
    (0xbacb_acbc, "VMware"),
    (0xbeef_dead, "SNFS"),
    (0xfe53_4d42, "SMB"),
    (0xff53_4d42, "CIFS"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_other_machines_serve_is_refused() {
        let path = Path::new("/d");
        for (magic, name) in [
            (0x6969, "NFS"),
            (0x6573_5546, "FUSE"),
            (0xff53_4d42, "CIFS"),
        ] {
            let error = check_file_system(path, magic).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        // ext4, XFS, btrfs, tmpfs, overlayfs, ZFS, F2FS.
        for local in [
            0xef53,
            0x5846_5342,
            0x9123_683e,
            0x0102_1994,
            0x794c_7630,
            0x2fc1_2fc1,
            0xf2f5_2010,
        ] {
            assert!(check_file_system(path, local).is_ok());
        }
    }
}
