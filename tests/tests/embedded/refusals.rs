//! What is no place for Leases is refused, with what to do about it, and left as it is.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
};

use lease_proto::server::ApiServer;
use lease_tests::store::Store;
use lease_tokio::EmbeddedError;

use crate::{chain, driver::Driver, place, system};

/// Another user than anybody who runs tests.
const NOBODY: u32 = 65_534;

fn refused<D: Store>(directory: &Path) -> EmbeddedError {
    let Err(error) = D::open(directory) else {
        panic!("{} was opened", directory.display());
    };
    error
}

#[track_caller]
fn says(error: &EmbeddedError, what: &[&str]) {
    let said = chain(error);
    for what in what {
        assert!(said.contains(what), "{said:?} does not say {what:?}");
    }
}

pub(crate) fn a_directory_that_is_open_to_others_is_refused<D: Store>() {
    let (_folder, directory) = place();
    fs::create_dir(&directory).unwrap();
    let refuse = |mode| {
        fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
        let error = refused::<D>(&directory);
        assert!(
            matches!(&error, EmbeddedError::NotPrivate { path, .. } if *path == directory),
            "{error}"
        );
        says(&error, &["chmod 700", &format!("{:03o}", mode & 0o777)]);
    };
    for mode in [0o770, 0o702, 0o1_777] {
        refuse(mode);
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    // What mkdir makes is made private while nothing is in it.
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    let client = D::open(&directory).unwrap();
    let mode = fs::metadata(&directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o7_777, 0o700);
    let file = directory.join("leases.json");
    fs::set_permissions(&file, Permissions::from_mode(0o622)).unwrap();
    let error = client.read("a").unwrap_err();
    assert!(chain(&*error).contains("chmod 600"), "{error}");
    says(&refused::<D>(&directory), &["leases.json", "chmod 600"]);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    for mode in [0o755, 0o710] {
        refuse(mode);
        let error = client.read("a").unwrap_err();
        assert!(chain(&*error).contains("chmod 700"), "{error}");
    }
}

pub(crate) fn a_directory_of_another_user_is_refused<D: Store>() {
    let (_folder, made) = place();
    let directory = if system::is_root() {
        fs::create_dir(&made).unwrap();
        chown(&made, Some(NOBODY), None).unwrap();
        made.as_path()
    } else {
        Path::new("/")
    };
    let error = refused::<D>(directory);
    assert!(matches!(error, EmbeddedError::OtherUser { .. }), "{error}");
    says(&error, &["belongs to user", "of your own"]);
}

pub(crate) fn a_directory_below_another_users_is_refused<D: Store>() {
    // Neither root nor anybody else can make a directory there.
    let error = refused::<D>(Path::new("/proc/leases"));
    says(&error, &["make /proc/leases"]);
}

pub(crate) fn a_directory_with_other_things_is_left_as_it_is<D: Store>() {
    let (_folder, directory) = place();
    for (name, content) in [
        ("letter", "dear"),
        ("lock", "1234\n"),
        ("leases.json", "[]"),
    ] {
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join(name), content).unwrap();
        fs::write(directory.join("more"), "").unwrap();
        let error = refused::<D>(&directory);
        assert!(matches!(error, EmbeddedError::Foreign { .. }), "{error}");
        says(&error, &["not empty", "empty or a new directory"]);
        assert_eq!(fs::read_to_string(directory.join(name)).unwrap(), content);
        fs::remove_dir_all(&directory).unwrap();
    }
}

pub(crate) fn a_file_in_place_of_the_directory_is_refused<D: Store>() {
    let (_folder, directory) = place();
    fs::write(&directory, "text").unwrap();
    let error = refused::<D>(&directory);
    assert!(
        matches!(error, EmbeddedError::NotDirectory { .. }),
        "{error}"
    );
    let below = refused::<D>(&directory.join("below"));
    says(&below, &["make", "below"]);
    assert_eq!(fs::read_to_string(&directory).unwrap(), "text");
}

pub(crate) fn a_link_in_place_of_the_directory_is_refused<D: Store>() {
    let (folder, directory) = place();
    D::open(&directory).unwrap();
    let link = folder.path().join("link");
    symlink(&directory, &link).unwrap();
    let with_slash = folder.path().join("link/");
    let with_dot = folder.path().join("link/.");
    let dangling = folder.path().join("dangling");
    symlink(folder.path().join("nowhere"), &dangling).unwrap();
    for link in [&link, &with_slash, &with_dot, &dangling] {
        let error = refused::<D>(link);
        assert!(matches!(error, EmbeddedError::Symlink { .. }), "{error}");
        says(&error, &["symbolic link", "name what it points to"]);
    }
    says(&refused::<D>(&dangling.join("below")), &["make"]);
    assert!(!folder.path().join("nowhere").exists());
}

pub(crate) fn a_link_above_the_directory_is_followed<D: Store>() {
    let (folder, directory) = place();
    fs::create_dir(folder.path().join("real")).unwrap();
    symlink(folder.path().join("real"), &directory).unwrap();
    D::open(&directory.join("below")).unwrap();
    assert!(folder.path().join("real/below/leases.json").exists());
}

pub(crate) fn anything_but_a_file_in_place_of_a_file_is_refused<D: Store>() {
    let (folder, directory) = place();
    for name in ["lock", "leases.json"] {
        D::open(&directory).unwrap();
        let (file, kept) = (directory.join(name), folder.path().join("kept"));
        fs::rename(&file, &kept).unwrap();
        symlink(&kept, &file).unwrap();
        let error = refused::<D>(&directory);
        assert!(
            matches!(&error, EmbeddedError::Symlink { path } if *path == file),
            "{error}"
        );
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        let error = refused::<D>(&directory);
        assert!(
            matches!(&error, EmbeddedError::NotFile { path } if *path == file),
            "{error}"
        );
        fs::remove_dir(&file).unwrap();
        // Opening a pipe would wait for somebody at its other end.
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &file,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let error = refused::<D>(&directory);
        assert!(matches!(error, EmbeddedError::NotFile { .. }), "{error}");
        fs::remove_dir_all(&directory).unwrap();
    }
}

pub(crate) fn a_damaged_file_is_left_as_it_is_and_said_to_be<D: Store>() {
    let (_folder, directory) = place();
    let client = D::open(&directory).unwrap();
    let file = directory.join("leases.json");
    let whole = fs::read(&file).unwrap();
    let cut = &whole[..whole.len() / 2];
    let zeros = vec![0; whole.len()];
    let twice = [&whole[..], &whole[..]].concat();
    for (broken, what) in [
        (cut, "its end is missing"),
        (b"", "its end is missing"),
        (&zeros, "is damaged"),
        (&twice, "is damaged"),
        (b"{\"format\":\"other\"}", "is damaged"),
    ] {
        fs::write(&file, broken).unwrap();
        let error = refused::<D>(&directory);
        assert!(
            matches!(
                error,
                EmbeddedError::Corrupt { .. } | EmbeddedError::Truncated { .. }
            ),
            "{error}"
        );
        says(&error, &["leases.json", what, "remove its directory"]);
        let said = chain(&*client.read("a").unwrap_err());
        assert!(said.contains(what), "{said}");
        assert_eq!(fs::read(&file).unwrap(), broken);
    }
    fs::write(&file, &whole).unwrap();
    assert!(client.read("a").unwrap().is_none());
}

pub(crate) fn a_file_of_a_newer_format_is_left_as_it_is<D: Store>() {
    let (_folder, directory) = place();
    D::open(&directory).unwrap();
    let file = directory.join("leases.json");
    let newer = fs::read_to_string(&file)
        .unwrap()
        .replace("store/1", "store/2");
    fs::write(&file, &newer).unwrap();
    let error = refused::<D>(&directory);
    assert!(
        matches!(error, EmbeddedError::NewerFormat { .. }),
        "{error}"
    );
    says(&error, &["lease-proto/store/2", "update this program"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), newer);
}

pub(crate) fn a_file_that_is_gone_is_not_made_anew<D: Store>() {
    let (_folder, directory) = place();
    let client = D::open(&directory).unwrap();
    fs::remove_file(directory.join("leases.json")).unwrap();
    let error = refused::<D>(&directory);
    assert!(matches!(error, EmbeddedError::Missing { .. }), "{error}");
    says(&error, &["leases.json is gone", "remove its directory"]);
    assert!(client.read("a").is_err());
    // Nor is it by those who remember that it was there, when all of the directory is empty.
    fs::remove_file(directory.join("lock")).unwrap();
    assert!(client.read("a").is_err());
    fs::remove_dir_all(&directory).unwrap();
    let said = chain(&*client.read("a").unwrap_err());
    assert!(said.contains("leases.json is gone"), "{said}");
    assert!(!directory.exists());
}

pub(crate) fn a_store_that_was_removed_and_made_again_is_gone_on_with<D: Driver + Store>() {
    let (_folder, directory) = place();
    let (old, lease) = (
        D::open(&directory).unwrap(),
        lease_proto::wire::Lease::new("default", "a"),
    );
    let first = old.make(&lease).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    let new = D::open(&directory).unwrap();
    assert!(old.read("a").unwrap().is_none());
    let second = old.make(&lease).unwrap();
    assert_eq!(new.read("a").unwrap().as_ref(), Some(&second));
    // It is not taken for the one that was there before.
    assert_ne!(first.metadata.uid, second.metadata.uid);
}

pub(crate) fn a_working_directory_that_changes_does_not_move_the_store<D: Store>() {
    // The working directory is all of this process', so that another one has to do it.
    let (folder, _) = place();
    let status = system::writer::<D>(Path::new("leases"))
        .args(["--writes", "3", "--wander"])
        .current_dir(folder.path())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let state = fs::read(folder.path().join("leases/leases.json")).unwrap();
    let server = ApiServer::builder().restore(&state).unwrap();
    assert_eq!(server.resource_version(), 4);
}
