//! What the system does to a store: umask, permissions, read-only and full file systems.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Output, Stdio},
};

use lease_proto::server::ApiServer;
use lease_tests::store::Store;

use crate::place;

/// The writer over one of the drivers.
pub(crate) fn writer<D: Store>(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_store-writer"));
    command.args(["--driver", D::NAME, "--directory"]);
    command.arg(directory).stdin(Stdio::null());
    command
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn whatever_the_umask_nobody_else_may_read<D: Store>() {
    for umask in ["000", "022", "077", "277", "777"] {
        let (folder, directory) = place();
        let directory = directory.join("above").join("below");
        let script = format!("umask {umask}; exec \"$@\"");
        let output = as_anybody::<D>(folder.path(), &directory, &script);
        assert!(output.status.success(), "{umask}: {output:?}");
        let mut leases = directory.clone();
        while leases != folder.path() {
            assert_eq!(mode(&leases), 0o700, "{umask}: {}", leases.display());
            assert!(leases.pop());
        }
        for file in fs::read_dir(&directory).unwrap() {
            let file = file.unwrap().path();
            assert_eq!(mode(&file), 0o600, "{umask}: {}", file.display());
        }
        // So does whoever died before it could give itself what the umask had taken away.
        fs::set_permissions(directory.join("lock"), Permissions::from_mode(0o000)).unwrap();
        let output = as_anybody::<D>(folder.path(), &directory, &script);
        assert!(output.status.success(), "{umask}: {output:?}");
        assert_eq!(mode(&directory.join("lock")), 0o600);
    }
}

pub(crate) fn a_directory_that_may_not_be_written_to_is_said_to_be<D: Store>() {
    let (folder, directory) = place();
    let output = as_anybody::<D>(folder.path(), &directory, "exec \"$@\"");
    assert!(output.status.success(), "{output:?}");
    let state = fs::read(directory.join("leases.json")).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o500)).unwrap();
    let output = as_anybody::<D>(folder.path(), &directory, "exec \"$@\"");
    says(&output, "no permission to open");
    says(&output, "name a directory that this user may write to");
    assert_eq!(fs::read(directory.join("leases.json")).unwrap(), state);
    fs::remove_file(directory.join("lock")).unwrap();
    fs::remove_file(directory.join("leases.json")).unwrap();
    let output = as_anybody::<D>(folder.path(), &directory, "exec \"$@\"");
    says(&output, "no permission to open");
    fs::set_permissions(&directory, Permissions::from_mode(0o000)).unwrap();
    let output = as_anybody::<D>(folder.path(), &directory, "exec \"$@\"");
    says(&output, "no permission to open");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o500)).unwrap();
    let output = as_anybody::<D>(folder.path(), &folder.path().join("new"), "exec \"$@\"");
    says(&output, "no permission to make");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
}

pub(crate) fn a_read_only_file_system_is_said_to_be<D: Store>() {
    let (folder, directory) = place();
    D::open(&directory).unwrap();
    let state = fs::read(directory.join("leases.json")).unwrap();
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    for directory in [&directory, &folder.path().join("new")] {
        let Some(output) = in_a_namespace::<D>(folder.path(), directory, script) else {
            return;
        };
        says(&output, "on a file system that is not read-only");
        says(&output, "Read-only file system");
    }
    assert_eq!(fs::read(directory.join("leases.json")).unwrap(), state);
}

pub(crate) fn a_full_disk_leaves_the_leases_as_they_were<D: Store>() {
    let (folder, directory) = place();
    fs::create_dir(&directory).unwrap();
    // It writes until the disk is full; then what is there is looked at, and after that a smaller record finds room.
    let script = "mount -t tmpfs -o size=64k,mode=700 none \"$0/leases\" && ! \"$@\" --manner grow --writes 1000 \
                  && cp \"$0/leases/leases.json\" \"$0/full\" && ls \"$0/leases\" >\"$0/names\" \
                  && exec \"$@\" --manner claim --writes 20 >\"$0/later\"";
    let Some(output) = in_a_namespace::<D>(folder.path(), &directory, script) else {
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("no space is left to write") && said.contains("free some space"),
        "{said}"
    );
    let answered = String::from_utf8(output.stdout).unwrap();
    let last = answered.lines().last().expect("there was room for some");
    let state = fs::read(folder.path().join("full")).unwrap();
    let server = ApiServer::builder().restore(&state).unwrap();
    let version = server.resource_version().to_string();
    assert!(last.ends_with(&format!(" {version}")), "{last}: {version}");
    // What could not be finished takes no room.
    let names = fs::read_to_string(folder.path().join("names")).unwrap();
    assert_eq!(names, "leases.json\nlock\n");
    let later = fs::read_to_string(folder.path().join("later")).unwrap();
    assert_eq!(later.lines().count(), 20);
}

/// Runs the writer by way of a script, as a user whom permissions bind: the one who runs the tests, but for root.
fn as_anybody<D: Store>(folder: &Path, directory: &Path, script: &str) -> Output {
    let writer = writer::<D>(directory);
    // Where root has built it, nobody else may be able to look.
    let program = folder.join("store-writer");
    if !program.exists() {
        // By another process: a test beside this one that starts a program would hand it the open file, which then is busy.
        let copied = Command::new("cp")
            .arg(writer.get_program())
            .arg(&program)
            .status();
        assert!(copied.unwrap().success());
    }
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(&program);
    command.args(writer.get_args()).args(["--writes", "3"]);
    if is_root() {
        let (user, group) = (65_534, 65_534);
        chown(folder, Some(user), Some(group)).unwrap();
        command.uid(user).gid(group);
    }
    command.current_dir(folder).output().unwrap()
}

/// Runs the writer by way of a script that may mount; nothing where that is not possible.
fn in_a_namespace<D: Store>(folder: &Path, directory: &Path, script: &str) -> Option<Output> {
    let unshared = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount"]);
        command
    };
    let is_possible = unshared().arg("true").status();
    if !is_possible.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: there are no user namespaces here, so that nothing can be mounted");
        return None;
    }
    let writer = writer::<D>(directory);
    let mut command = unshared();
    command.args(["sh", "-c", script]).arg(folder);
    command.arg(writer.get_program()).args(writer.get_args());
    Some(command.output().unwrap())
}

#[track_caller]
fn says(output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains(what),
        "{said:?} does not say {what:?}"
    );
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}
