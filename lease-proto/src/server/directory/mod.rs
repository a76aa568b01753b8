//! A store in a directory that the processes of a machine share: all about it that needs no file.
//!
//! The drivers open, lock, read and replace files; what is to be in them, what may be in them, and what is to be said
//! where it is something else, is decided here, for both alike.
//!
//! Three files belong to it. [`LOCK`] is locked by whoever reads or writes, and says that there is a store; [`LEASES`]
//! holds the state, and is replaced as a whole by one rename for each change; [`NEW`] is what a writer has not finished,
//! and nobody reads it. The state begins with its format and its `resourceVersion`, which no two states of a store share.

mod contents;
mod error;
mod file_system;
mod follower;
mod found;
mod holder;

use std::{path::PathBuf, time::SystemTime};

use http::{Request, header::DATE};

pub use self::{
    contents::{Opening, enter, judge},
    error::EmbeddedError,
    file_system::check_file_system,
    follower::{Follower, Following},
    found::{Found, Kind},
    holder::holder,
};
use super::{Answer, ApiServer, SnapshotError};

/// The file with the state.
pub const LEASES: &str = "leases.json";

/// The file that is locked.
pub const LOCK: &str = "lock";

/// What stands in the file that is locked once there is a state. Anything that this begins with is an unfinished one.
pub const MARK: &[u8] =
    b"Processes of this machine share the Leases in leases.json through this file. Remove the directory, or nothing.\n";

/// The file in which a state is put together before it takes the place of the old one.
pub const NEW: &str = "leases.json.new";

/// A state without Leases. Uids are made from the seed; a store that is made again must not repeat them.
#[must_use]
pub fn initial(seed: u64) -> Vec<u8> {
    ApiServer::builder().seed(seed).build().snapshot()
}

/// Answers a request over a state, and returns the state after it if it is another one.
///
/// The answer has no `Date`: the directory has no clock but its machine's, which claimants know already. They judge a record
/// by its age only where two clocks say the same, and one clock that is read twice would pass for two.
///
/// # Errors
///
/// If the state cannot be read. Nothing is answered then.
pub fn answer(
    state: &[u8],
    request: &Request<Vec<u8>>,
    wall: SystemTime,
) -> Result<(Answer, Option<Vec<u8>>), SnapshotError> {
    let mut server = ApiServer::builder().restore(state)?;
    let before = server.resource_version();
    let mut answer = server.handle(request, wall);
    if let Answer::Whole(response) = &mut answer {
        response.headers_mut().remove(DATE);
    }
    let is_changed = server.resource_version() != before;
    Ok((answer, is_changed.then(|| server.snapshot())))
}

/// Which directory is used where none is named: one for each user of a machine, whatever the environment of a process.
///
/// `/var/lib/lease` for root, else `/var/tmp/lease-UID`: a login session, a service and a cron job must not use different
/// ones, and a reboot must not make fencing tokens begin anew. `user` is the effective user id.
pub fn default_directory(user: u32) -> PathBuf {
    if user == 0 {
        PathBuf::from("/var/lib/lease")
    } else {
        PathBuf::from(format!("/var/tmp/lease-{user}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_one_directory() {
        assert_eq!(default_directory(7), PathBuf::from("/var/tmp/lease-7"));
        assert_eq!(default_directory(0), PathBuf::from("/var/lib/lease"));
    }

    #[test]
    fn the_machines_clock_does_not_pass_for_another_one() {
        let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/leader";
        let request = Request::get(path).body(Vec::new()).unwrap();
        let (answer, _) = answer(&initial(1), &request, SystemTime::UNIX_EPOCH).unwrap();
        let Answer::Whole(response) = answer else {
            panic!("nobody asked for a stream");
        };
        assert_eq!(response.headers().get(DATE), None);
    }

    #[test]
    fn only_what_changes_the_state_makes_a_new_one() {
        let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
        let state = initial(1);
        let wall = SystemTime::UNIX_EPOCH;
        let list = Request::get(path).body(Vec::new()).unwrap();
        assert!(answer(&state, &list, wall).unwrap().1.is_none());
        let create = Request::post(path)
            .header("content-type", "application/json")
            .body(br#"{"metadata":{"name":"a"}}"#.to_vec())
            .unwrap();
        let changed = answer(&state, &create, wall).unwrap().1.unwrap();
        // The same again is refused, so that nothing is to be kept.
        assert!(answer(&changed, &create, wall).unwrap().1.is_none());
        assert!(answer(b"", &list, wall).is_err());
    }

    #[test]
    fn a_state_begins_with_its_format_and_its_version() {
        // Readers that only want to know whether anything has changed need not read on.
        let state = String::from_utf8(initial(1)).unwrap();
        assert!(
            state.starts_with(r#"{"format":"lease-proto/store/1","resourceVersion":1,"#),
            "{state}"
        );
    }
}
