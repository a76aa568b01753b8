//! See `lease_tests::fuzzing::times`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lease_tests::fuzzing::times(data));
