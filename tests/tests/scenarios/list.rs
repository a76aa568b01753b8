//! The list of scenarios.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use http::{Method, Request};
use lease_proto::{AcquireError, Config, ConfigBuilder, Failure, Loss, Released, wire::Lease};

use crate::{
    World,
    claimant::{Held, SOON, Tries},
    worlds::User,
};

/// What is played.
pub(crate) struct Scenario {
    name: &'static str,
    play: fn(&Case),
    needs_users: bool,
}

/// Makes the list; those behind `with users` need a server that tells users apart.
macro_rules! scenarios {
    ($($name:ident)* ; with users: $($with_users:ident)*) => {
        pub(crate) const ALL: &[Scenario] = &[
            $(Scenario { name: stringify!($name), play: $name, needs_users: false },)*
            $(Scenario { name: stringify!($with_users), play: $with_users, needs_users: true },)*
        ];
    };
}

scenarios! {
    a_lease_is_acquired_renewed_and_released
    a_second_claimant_waits_and_takes_over_on_release
    trying_says_who_holds_it
    whoever_vanished_is_succeeded_after_its_time_and_no_sooner
    a_deletion_is_a_loss
    a_take_over_by_force_is_a_loss
    an_annotation_costs_nothing_and_stays
    two_of_the_same_identity_exclude_each_other
    a_release_leaves_a_successors_record_alone
    what_is_dropped_is_free
    ; with users:
    a_missing_role_is_named
}

fn a_lease_is_acquired_renewed_and_released(case: &Case) {
    let held = case.hold(User::A, "me");
    let first = case.record();
    assert!(held.identity().starts_with("me_"), "{}", held.identity());
    assert_eq!(first.spec.holder(), Some(held.identity().as_str()));
    assert_eq!(first.spec.lease_duration_seconds, Some(5));
    assert_eq!(first.spec.lease_transitions, Some(0));
    assert!(first.spec.acquire_time.is_some() && first.spec.renew_time.is_some());
    assert!(held.token() <= version(&first));
    let second = case.await_renewal(&first);
    let third = case.await_renewal(&second);
    assert!(held.is_held());
    assert_eq!(third.spec.holder(), first.spec.holder());
    assert_eq!(third.spec.acquire_time, first.spec.acquire_time);
    assert_eq!(third.spec.lease_transitions, Some(0));
    assert!(version(&third) > version(&second) && version(&second) > version(&first));
    assert_eq!(held.release(), Some(Released::Cleared));
    let last = case.record();
    assert_eq!(last.metadata.uid, first.metadata.uid);
    assert_eq!(last.spec.holder_identity.as_deref(), Some(""));
    assert_eq!(last.spec.lease_duration_seconds, Some(1));
    assert_eq!(last.spec.lease_transitions, Some(0));
    assert!(last.spec.acquire_time.is_some() && last.spec.renew_time.is_some());
}

fn a_second_claimant_waits_and_takes_over_on_release(case: &Case) {
    let first = case.hold(User::A, "first");
    let token = first.token();
    let second = case.wait(User::B, "second");
    // Whoever looked at the clock alone would take it now.
    let early = second.recv_timeout(DURATION + Duration::from_secs(1));
    assert!(early.is_err(), "the Lease was taken from its holder");
    assert!(first.is_held());
    assert_eq!(first.release(), Some(Released::Cleared));
    let second = second.recv_timeout(SOON).unwrap();
    let record = case.record();
    assert_eq!(record.spec.holder(), Some(second.identity().as_str()));
    assert_eq!(record.spec.lease_transitions, Some(1));
    assert!(second.token() > token);
}

fn trying_says_who_holds_it(case: &Case) {
    let holder = case.hold(User::A, "holder");
    let error = case.fails(User::B, case.config("other"));
    assert!(
        matches!(&error, AcquireError::Held(waiting) if waiting.holder == Some(holder.identity())),
        "{error:?}"
    );
    assert!(error.to_string().contains(&holder.identity()), "{error}");
    assert!(holder.is_held());
}

fn whoever_vanished_is_succeeded_after_its_time_and_no_sooner(case: &Case) {
    let config = case.config("first").build().unwrap();
    case.world.claimant(User::A).vanish(config).unwrap();
    let vanished = Instant::now();
    let left = case.record();
    let second = case.wait(User::B, "second").recv_timeout(SOON).unwrap();
    assert!(vanished.elapsed() >= DURATION, "{:?}", vanished.elapsed());
    let record = case.record();
    assert_eq!(record.spec.holder(), Some(second.identity().as_str()));
    assert_eq!(record.spec.lease_transitions, Some(1));
    assert_eq!(record.metadata.uid, left.metadata.uid);
}

fn a_deletion_is_a_loss(case: &Case) {
    let held = case.hold(User::A, "me");
    case.does(Method::DELETE, "");
    assert_eq!(held.lost(SOON), Some(Loss::Deleted));
    assert!(!held.is_held());
    assert_eq!(held.release(), None);
    assert!(case.find().is_none(), "the deleted record came back");
}

fn a_take_over_by_force_is_a_loss(case: &Case) {
    let held = case.hold(User::A, "me");
    case.does(Method::PATCH, TAKE);
    let by = "other".to_owned();
    assert_eq!(held.lost(SOON), Some(Loss::TakenOver { by }));
    assert!(!held.is_held());
    drop(held);
    assert_eq!(case.record().spec.holder(), Some("other"));
}

fn an_annotation_costs_nothing_and_stays(case: &Case) {
    let held = case.hold(User::A, "me");
    let first = case.record();
    case.does(
        Method::PATCH,
        r#"{"metadata":{"annotations":{"noted":"yes"}}}"#,
    );
    assert_eq!(held.lost(DURATION + Duration::from_secs(1)), None);
    assert!(held.is_held());
    let record = case.await_renewal(&first);
    assert_eq!(record.metadata.annotations()["noted"], "yes");
    assert_eq!(record.spec.acquire_time, first.spec.acquire_time);
    assert_eq!(held.release(), Some(Released::Cleared));
    assert_eq!(case.record().metadata.annotations()["noted"], "yes");
}

fn two_of_the_same_identity_exclude_each_other(case: &Case) {
    let config = || case.config("twin").unique_identity(false);
    let first = case.hold_as(User::A, config());
    assert_eq!(first.identity(), "twin");
    // With the same credentials too, as of a Deployment that was scaled to two.
    let error = case.fails(User::A, config());
    assert!(
        matches!(&error, AcquireError::Held(waiting) if waiting.holder.as_deref() == Some("twin")),
        "{error:?}"
    );
    let second = case.wait_as(User::A, config());
    let early = second.recv_timeout(DURATION + Duration::from_secs(1));
    assert!(early.is_err(), "two held the Lease at once");
    assert!(first.is_held());
    assert_eq!(first.release(), Some(Released::Cleared));
    let second = second.recv_timeout(SOON).unwrap();
    assert!(second.is_held());
    assert_eq!(case.record().spec.lease_transitions, Some(1));
}

fn a_release_leaves_a_successors_record_alone(case: &Case) {
    let held = case.hold(User::A, "me");
    case.does(Method::PATCH, TAKE);
    let successors = case.record();
    // Before a renewal tells it, mostly.
    let released = held.release();
    assert!(
        matches!(released, None | Some(Released::NotOurs)),
        "{released:?}"
    );
    let record = case.record();
    assert_eq!(record.spec.holder(), Some("other"));
    assert_eq!(
        record.metadata.resource_version,
        successors.metadata.resource_version
    );
}

fn what_is_dropped_is_free(case: &Case) {
    drop(case.hold(User::A, "me"));
    let is_free = || case.record().spec.holder().is_none();
    case.await_that(is_free, "the release");
}

fn a_missing_role_is_named(case: &Case) {
    let error = case.fails(User::Nobody, case.config("nobody"));
    assert!(
        matches!(error, AcquireError::Failed(Failure::Refused(_))),
        "{error:?}"
    );
    assert!(error.to_string().contains("403"), "{error}");
    let advice = error.advice().unwrap();
    for part in [
        "kind: Role",
        "coordination.k8s.io",
        "verbs: [\"get\", \"watch\", \"update\"]",
        &case.world.namespace,
    ] {
        assert!(advice.contains(part), "{part} is missing in: {advice}");
    }
}

/// A scenario in a world, on a Lease of its own.
pub(crate) struct Case {
    world: Arc<World>,
    scenario: &'static Scenario,
    lease: String,
}

impl Case {
    /// `None` where the world has not what the scenario needs.
    pub(crate) fn new(world: &Arc<World>, scenario: &'static Scenario) -> Option<Self> {
        let is_possible = world.has_users || !scenario.needs_users;
        is_possible.then(|| Self {
            world: Arc::clone(world),
            scenario,
            lease: format!("{}-{}", world.name, scenario.name).replace([':', '_'], "-"),
        })
    }

    pub(crate) fn name(&self) -> String {
        format!("{}::{}", self.world.name, self.scenario.name)
    }

    pub(crate) fn play(&self) {
        (self.scenario.play)(self);
    }

    fn config(&self, identity: &str) -> ConfigBuilder {
        Config::builder(&self.world.namespace, &self.lease, identity)
            .whole_second_observers(false)
            .lease_duration(DURATION)
            // Whoever is starved for most of the duration still holds it.
            .renew_deadline(DURATION)
            .renew_interval(Duration::from_secs(1))
            .request_timeout(Duration::from_secs(2))
    }

    fn hold(&self, user: User, identity: &str) -> Box<dyn Held> {
        self.hold_as(user, self.config(identity))
    }

    fn hold_as(&self, user: User, config: ConfigBuilder) -> Box<dyn Held> {
        let claimant = self.world.claimant(user);
        let held = claimant.hold(config.build().unwrap(), Tries::For(SOON));
        held.unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Waits for the Lease, and says when it is held.
    fn wait(&self, user: User, identity: &str) -> mpsc::Receiver<Box<dyn Held>> {
        self.wait_as(user, self.config(identity))
    }

    fn wait_as(&self, user: User, config: ConfigBuilder) -> mpsc::Receiver<Box<dyn Held>> {
        let (claimant, config) = (self.world.claimant(user), config.build().unwrap());
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let held = claimant.hold(config, Tries::For(SOON));
            let held = held.unwrap_or_else(|error| panic!("{error:?}"));
            let _the_scenario_has_failed = sender.send(held);
        });
        receiver
    }

    /// Tries once, in vain.
    fn fails(&self, user: User, config: ConfigBuilder) -> AcquireError {
        let claimant = self.world.claimant(user);
        let held = claimant.hold(config.build().unwrap(), Tries::Once);
        held.err().expect("it cannot be acquired")
    }

    /// Somebody else does something with the record.
    fn does(&self, method: Method, patch: &str) {
        let request = Request::builder()
            .method(method)
            .uri(self.path())
            .header("content-type", "application/merge-patch+json")
            .body(patch.as_bytes().to_vec());
        let answer = self.world.admin(request.unwrap());
        assert!(answer.status().is_success(), "{answer:?}");
    }

    fn record(&self) -> Lease {
        self.find().expect("there is a record")
    }

    fn find(&self) -> Option<Lease> {
        let answer = self
            .world
            .admin(Request::get(self.path()).body(Vec::new()).unwrap());
        match answer.status().as_u16() {
            200 => Some(serde_json::from_slice(answer.body()).unwrap()),
            404 => None,
            _ => panic!("{answer:?}"),
        }
    }

    fn await_renewal(&self, before: &Lease) -> Lease {
        let renewed = || self.record().spec.renew_time != before.spec.renew_time;
        self.await_that(renewed, "a renewal");
        self.record()
    }

    fn await_that(&self, holds: impl Fn() -> bool, what: &str) {
        let until = Instant::now() + SOON;
        while !holds() {
            assert!(Instant::now() < until, "waited in vain for {what}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn path(&self) -> String {
        let (namespace, lease) = (&self.world.namespace, &self.lease);
        format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{lease}")
    }
}

fn version(lease: &Lease) -> u128 {
    let version = lease.metadata.resource_version.as_ref().unwrap();
    version.number().unwrap()
}

const DURATION: Duration = Duration::from_secs(5);
const TAKE: &str =
    r#"{"spec":{"holderIdentity":"other","renewTime":"2026-11-20T19:31:57.250000Z"}}"#;
