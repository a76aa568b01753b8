//! What a directory holds: a store, nothing yet, or something else.

use std::{ffi::OsString, path::Path};

use super::{EmbeddedError, LEASES, LOCK, MARK, NEW};
use crate::server::snapshot;

/// What is left to do for a directory to be a store.
///
/// ```
/// use std::path::Path;
///
/// use lease_proto::server::directory::{Opening, judge};
///
/// // Nothing in it but the file that was just locked, which is empty.
/// let opening = judge(Path::new("/var/lib/lease"), &["lock".into()], b"", None)?;
/// assert_eq!(opening, Opening::New);
/// # Ok::<(), lease_proto::server::directory::EmbeddedError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must do each")]
pub enum Opening {
    /// To write a first state, and then the mark.
    New,
    /// To write the mark: whoever began the store, or whoever cleaned up, got no further.
    Unmarked,
    /// Nothing.
    Ready,
}

/// Says whether the lock may be made in a directory with these files.
///
/// # Errors
///
/// It may not where there are other things and no store.
pub fn enter(directory: &Path, names: &[OsString]) -> Result<(), EmbeddedError> {
    let has_ours = names.iter().any(|name| name == LOCK || name == LEASES);
    if has_ours || are_ours(names) {
        Ok(())
    } else {
        Err(EmbeddedError::Foreign {
            directory: directory.to_owned(),
        })
    }
}

/// Says what a locked directory is: with these files, this in the locked one, and this state if there is one.
///
/// # Errors
///
/// It is no store and cannot become one, or its state is gone or cannot be read.
pub fn judge(
    directory: &Path,
    names: &[OsString],
    mark: &[u8],
    state: Option<&[u8]>,
) -> Result<Opening, EmbeddedError> {
    let is_marked = mark == MARK;
    let foreign = || EmbeddedError::Foreign {
        directory: directory.to_owned(),
    };
    let file = directory.join(LEASES);
    let Some(state) = state else {
        // A mark is written after the first state, so that it cannot stand alone.
        if is_marked {
            return Err(EmbeddedError::Missing { file });
        }
        let is_unfinished = MARK.starts_with(mark);
        return if is_unfinished && are_ours(names) {
            Ok(Opening::New)
        } else {
            Err(foreign())
        };
    };
    match snapshot::read(state) {
        Ok(_) if is_marked => Ok(Opening::Ready),
        Ok(_) => Ok(Opening::Unmarked),
        Err(error) if is_marked || snapshot::claims_to_be_one(state) => {
            Err(EmbeddedError::unreadable(file, error))
        }
        // Another program's, which is not to be advised away.
        Err(_) => Err(foreign()),
    }
}

fn are_ours(names: &[OsString]) -> bool {
    let ours = [LOCK, LEASES, NEW];
    names
        .iter()
        .all(|name| ours.iter().any(|ours| name == ours))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::directory::initial;

    const AT: &str = "/d";

    fn judged(names: &[&str], mark: &[u8], state: Option<&[u8]>) -> Result<Opening, EmbeddedError> {
        let names: Vec<OsString> = names.iter().map(OsString::from).collect();
        judge(Path::new(AT), &names, mark, state)
    }

    #[test]
    fn whatever_a_crash_leaves_of_a_new_store_is_gone_on_with() {
        let state = initial(1);
        for names in [&[LOCK][..], &[LOCK, NEW]] {
            assert_eq!(judged(names, b"", None).unwrap(), Opening::New);
        }
        let names = [LOCK, LEASES];
        for end in 0..MARK.len() {
            let begun = judged(&names, &MARK[..end], Some(&state)).unwrap();
            assert_eq!(begun, Opening::Unmarked);
        }
        assert_eq!(judged(&names, MARK, Some(&state)).unwrap(), Opening::Ready);
    }

    #[test]
    fn a_state_that_is_gone_is_not_begun_anew() {
        let error = judged(&[LOCK], MARK, None).unwrap_err();
        assert!(matches!(error, EmbeddedError::Missing { .. }), "{error}");
    }

    #[test]
    fn another_programs_directory_is_left_alone() {
        type Case = (
            &'static [&'static str],
            &'static [u8],
            Option<&'static [u8]>,
        );
        let cases: [Case; 5] = [
            (&[LOCK, "letter"], b"", None),
            (&[LOCK], b"1234\n", None),
            (&[LOCK, LEASES], b"", Some(b"[]")),
            (&[LOCK, LEASES], b"", Some(b"")),
            (&[LOCK, LEASES], b"1234\n", Some(b"{\"format\":\"x\"}")),
        ];
        for (names, mark, state) in cases {
            let error = judged(names, mark, state).unwrap_err();
            assert!(matches!(error, EmbeddedError::Foreign { .. }), "{error}");
        }
        let names = |names: &[&str]| names.iter().map(OsString::from).collect::<Vec<_>>();
        assert!(enter(Path::new(AT), &names(&["letter"])).is_err());
        assert!(enter(Path::new(AT), &names(&["letter", LOCK])).is_ok());
        assert!(enter(Path::new(AT), &names(&[NEW])).is_ok());
        assert!(enter(Path::new(AT), &[]).is_ok());
    }

    #[test]
    fn a_store_beside_other_things_is_one() {
        let names = [LOCK, LEASES, "notes"];
        let opening = judged(&names, MARK, Some(&initial(1))).unwrap();
        assert_eq!(opening, Opening::Ready);
    }

    #[test]
    fn every_beginning_of_a_state_is_a_truncated_one() {
        let state = initial(1);
        // The last byte is the end of the line, and can be done without.
        for end in 0..state.len() - 1 {
            let error = judged(&[LOCK, LEASES], MARK, Some(&state[..end])).unwrap_err();
            assert!(
                matches!(error, EmbeddedError::Truncated { .. }),
                "{end}: {error}"
            );
        }
    }

    #[test]
    fn a_state_of_a_later_format_is_told_from_a_damaged_one() {
        let newer = br#"{"format":"lease-proto/store/2","else":1}"#;
        let error = judged(&[LOCK, LEASES], MARK, Some(newer)).unwrap_err();
        assert!(
            matches!(&error, EmbeddedError::NewerFormat { format, .. } if format.ends_with("/2")),
            "{error}"
        );
        for damaged in [&b"{\"format\":99}"[..], b"\0\0\0\0", b"{}"] {
            let error = judged(&[LOCK, LEASES], MARK, Some(damaged)).unwrap_err();
            assert!(matches!(error, EmbeddedError::Corrupt { .. }), "{error}");
        }
    }
}
