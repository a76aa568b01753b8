//! `leader_election_master_status` says 1 for as long as somebody keeps the Lease, and 0 from then on, whatever has ended that.

use std::time::Duration;

use lease_proto::{Config, Event, Loss, Patience, SetLimits, plain::Preconditions};

use super::recorder::Metrics;

/// What is told of one Lease.
struct Told(&'static str);

impl Told {
    fn is_leading(&self) -> bool {
        let labels = [("name", self.0), ("namespace", "default")];
        let status = Metrics::of_process().gauge("leader_election_master_status", &labels);
        status.is_some_and(|status| status > 0.5)
    }

    fn losses(&self) -> u64 {
        let labels = [("name", self.0), ("namespace", "default")];
        Metrics::of_process().counter("lease_lost_total", &labels)
    }

    fn config(&self) -> Config {
        Metrics::of_process();
        Config::builder("default", self.0, "me").build().unwrap()
    }
}

#[test]
fn a_release_ends_it_and_is_no_loss() {
    let told = Told("released");
    let mut claim = lease_blocking::Memory::new().client().claim(told.config());
    claim.acquire(Patience::Forever);
    let mut losses = 0;
    while let Some(event) = claim.next_event() {
        if let Event::Acquired(_) = event {
            assert!(told.is_leading());
            claim.release();
        } else if let Event::Lost(loss) = event {
            assert!(loss == Loss::Released && !told.is_leading());
            losses += 1;
        }
    }
    assert_eq!((losses, told.losses()), (1, 0));
}

#[tokio::test]
async fn a_release_ends_it_and_is_no_loss_on_tokio() {
    let told = Told("released-on-tokio");
    let mut claim = lease_tokio::Memory::new().client().claim(told.config());
    claim.acquire(Patience::Forever);
    let mut losses = 0;
    while let Some(event) = claim.next_event().await {
        if let Event::Acquired(_) = event {
            assert!(told.is_leading());
            claim.release();
        } else if let Event::Lost(loss) = event {
            assert!(loss == Loss::Released && !told.is_leading());
            losses += 1;
        }
    }
    assert_eq!((losses, told.losses()), (1, 0));
}

#[test]
fn a_loss_ends_it_and_is_counted() {
    let told = Told("lost");
    let client = lease_blocking::Memory::new().client();
    let mut claim = client.claim(told.config());
    claim.acquire(Patience::Forever);
    loop {
        let event = claim.next_event().unwrap();
        if let Event::Acquired(_) = event {
            assert!(client.delete("lost", &Preconditions::none()).unwrap());
            assert!(told.is_leading());
            claim.verify();
        } else if let Event::Lost(loss) = event {
            break assert_eq!(loss, Loss::Deleted);
        }
    }
    // The claim is still there.
    assert!(!told.is_leading() && !claim.is_held());
    assert_eq!(told.losses(), 1);
}

#[tokio::test]
async fn a_loss_ends_it_and_is_counted_on_tokio() {
    let told = Told("lost-on-tokio");
    let client = lease_tokio::Memory::new().client();
    let mut claim = client.claim(told.config());
    claim.acquire(Patience::Forever);
    loop {
        let event = claim.next_event().await.unwrap();
        if let Event::Acquired(_) = event {
            let none = Preconditions::none();
            assert!(client.delete("lost-on-tokio", &none).await.unwrap());
            assert!(told.is_leading());
            claim.verify();
        } else if let Event::Lost(loss) = event {
            break assert_eq!(loss, Loss::Deleted);
        }
    }
    // The claim is still there.
    assert!(!told.is_leading() && !claim.is_held());
    assert_eq!(told.losses(), 1);
}

#[test]
fn a_claim_that_is_dropped_ends_it() {
    let told = Told("dropped");
    let mut claim = lease_blocking::Memory::new().client().claim(told.config());
    claim.acquire(Patience::Forever);
    while !claim.is_held() {
        claim.next_event();
    }
    assert!(told.is_leading());
    drop(claim);
    assert!(!told.is_leading());
}

#[tokio::test]
async fn a_claim_that_is_dropped_ends_it_on_tokio() {
    let told = Told("dropped-on-tokio");
    let mut claim = lease_tokio::Memory::new().client().claim(told.config());
    claim.acquire(Patience::Forever);
    while !claim.is_held() {
        claim.next_event().await;
    }
    assert!(told.is_leading());
    drop(claim);
    assert!(!told.is_leading());
}

#[test]
fn a_runtime_that_is_shut_down_ends_it() {
    let (alone, among) = (Told("alone"), Told("among"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _kept = runtime.block_on(async {
        let client = lease_tokio::Memory::new().client();
        let set = client.claim_set(SetLimits::default());
        let keepers = (client.keep(alone.config()), set.keep(among.config()));
        keepers.0.held().await.unwrap();
        keepers.1.held().await.unwrap();
        (keepers, set)
    });
    assert!(alone.is_leading() && among.is_leading());
    runtime.shutdown_timeout(Duration::from_secs(10));
    assert!(!alone.is_leading() && !among.is_leading());
}

#[test]
fn one_that_waits_for_it_does_not_end_another_ones() {
    let told = Told("contended");
    let client = lease_blocking::Memory::new().client();
    let holder = client.acquire(told.config()).unwrap();
    let other = Config::builder("default", "contended", "other");
    client.try_acquire(other.build().unwrap()).unwrap_err();
    assert!(holder.is_held() && told.is_leading());
}
