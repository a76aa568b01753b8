//! See `lease_tests::fuzzing::requests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lease_tests::fuzzing::requests(data));
