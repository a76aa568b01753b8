//! What a look at a guard costs in a hot loop, with both drivers.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::{hint::black_box, time::Instant};

use divan::Bencher;
use lease_proto::Config;

fn main() {
    divan::main();
}

#[divan::bench]
fn blocking_check(bencher: Bencher<'_, '_>) {
    let guard = blocking_guard();
    bencher.bench_local(|| black_box(&guard).check().is_ok());
    assert!(guard.is_held());
}

#[divan::bench]
fn tokio_check(bencher: Bencher<'_, '_>) {
    let runtime = runtime();
    let guard = tokio_guard(&runtime);
    bencher.bench_local(|| black_box(&guard).check().is_ok());
    assert!(guard.is_held());
    runtime.block_on(guard.release());
}

/// Many threads that look at one guard must not wait for each other.
#[divan::bench(threads = [2, 4])]
fn blocking_check_shared(bencher: Bencher<'_, '_>) {
    let guard = blocking_guard();
    bencher.bench(|| black_box(&guard).check().is_ok());
}

#[divan::bench(threads = [2, 4])]
fn tokio_check_shared(bencher: Bencher<'_, '_>) {
    let runtime = runtime();
    let guard = tokio_guard(&runtime);
    bencher.bench(|| black_box(&guard).check().is_ok());
    runtime.block_on(guard.release());
}

/// The clock that counts suspend: the most of what a look costs.
#[divan::bench]
fn clock() -> Instant {
    lease_blocking::Clock::new().now()
}

/// For comparison: a clock that stands still during suspend.
#[divan::bench]
fn instant() -> Instant {
    Instant::now()
}

fn config() -> Config {
    Config::builder("default", "bench", "me").build().unwrap()
}

fn blocking_guard() -> lease_blocking::Guard {
    let client = lease_blocking::Client::in_memory();
    client.acquire(config()).unwrap()
}

/// One that renews in the background, as a service's would.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

fn tokio_guard(runtime: &tokio::runtime::Runtime) -> lease_tokio::Guard {
    runtime.block_on(async {
        let client = lease_tokio::Client::in_memory();
        client.acquire(config()).await.unwrap()
    })
}
