//! See `lease_tests::fuzzing::kubeconfig`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lease_tests::fuzzing::kubeconfig(data));
