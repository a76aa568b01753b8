//! Leases in a directory that processes share: each scenario once for each driver, and writers that are killed at it.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "test code")]
#![expect(
    clippy::print_stderr,
    reason = "what was skipped, and how to repeat what failed"
)]

#[path = "../drivers/driver.rs"]
#[expect(dead_code, reason = "the tests of the drivers use the rest")]
mod driver;
mod exclusion;
#[path = "../drivers/fabric.rs"]
#[expect(dead_code, reason = "the drivers are only named over it")]
mod fabric;
#[cfg(target_os = "linux")]
mod fuse;
mod killing;
mod refusals;
mod requests;
mod system;

use std::{error::Error, path::PathBuf, time::Duration};

use lease_proto::Config;
use tempfile::TempDir;

/// Long enough for a loaded machine.
const SOON: Duration = Duration::from_secs(60);

/// Puts every scenario into a module for each driver.
macro_rules! scenarios {
    ($($module:ident: $($name:ident)*;)*) => {
        mod blocking {
            $(mod $module {
                $(#[test] fn $name() { crate::$module::$name::<lease_blocking::Client>(); })*
            })*
        }

        mod tokio {
            $(mod $module {
                $(#[test] fn $name() { crate::$module::$name::<lease_tokio::Client>(); })*
            })*
        }
    };
}

scenarios! {
    exclusion:
        the_second_waits_and_takes_over_on_release
        a_waiter_is_told_of_a_release_at_once
        a_lease_outlives_the_client_that_took_it
        no_count_of_several_processes_is_lost
        several_claims_of_one_client_keep_each_other_out;
    refusals:
        a_directory_that_is_open_to_others_is_refused
        a_directory_of_another_user_is_refused
        a_directory_with_other_things_is_left_as_it_is
        a_directory_below_another_users_is_refused
        a_file_in_place_of_the_directory_is_refused
        a_link_in_place_of_the_directory_is_refused
        a_link_above_the_directory_is_followed
        anything_but_a_file_in_place_of_a_file_is_refused
        a_damaged_file_is_left_as_it_is_and_said_to_be
        a_file_of_a_newer_format_is_left_as_it_is
        a_file_that_is_gone_is_not_made_anew
        a_store_that_was_removed_and_made_again_is_gone_on_with
        a_working_directory_that_changes_does_not_move_the_store;
    requests:
        a_directory_that_stays_locked_costs_an_answer_in_time
        a_request_whose_time_is_over_is_not_begun
        a_lock_that_was_removed_is_waited_for_in_vain
        waiting_takes_one_thread_however_often_it_fails
        what_was_left_unfinished_is_in_nobodys_way;
    system:
        whatever_the_umask_nobody_else_may_read
        a_read_only_file_system_is_said_to_be
        a_directory_that_may_not_be_written_to_is_said_to_be
        a_full_disk_leaves_the_leases_as_they_were;
}

#[test]
fn what_both_drivers_do_with_files_is_the_same() {
    let source = |driver: &str, file: &str| {
        let path = format!("../{driver}/src/embedded/{file}");
        std::fs::read_to_string(path).unwrap()
    };
    for file in ["changes.rs", "directory.rs", "lock.rs", "store.rs"] {
        let (one, other) = (source("lease-blocking", file), source("lease-tokio", file));
        assert!(one == other, "{file} has been changed in one of them only");
    }
}

/// A directory that does not exist yet, in one that does.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("leases");
    (folder, directory)
}

fn config(identity: &str, lease: &str) -> Config {
    let config = Config::builder("default", lease, identity).whole_second_observers(false);
    config
        .lease_duration(Duration::from_secs(15))
        .build()
        .unwrap()
}

/// What an error says, and why.
fn chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        said = format!("{said}: {error}");
        source = error.source();
    }
    said
}
