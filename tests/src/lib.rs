//! The harness that the tests of all crates share.
