//! The two drivers as the scenarios see them.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use lease_proto::{
    AcquireError, Config, Event, Grant, Identity, Loss, Lost, Parting, Released, SetLimits,
    VerifyError,
};
use tokio::runtime::{Builder, Runtime};

use crate::fabric::Fabric;

/// A client of one of the drivers.
pub(crate) trait Driver: Clone {
    type Guard: Guard;
    type Keeper: Keeper;

    fn over(fabric: &Fabric) -> Self;
    fn with_token_file(url: &str, token: &Path) -> Self;
    fn acquire(&self, config: Config) -> Result<Self::Guard, AcquireError>;
    fn try_acquire(&self, config: Config) -> Result<Self::Guard, AcquireError>;
    fn acquire_timeout(
        &self,
        config: Config,
        timeout: Duration,
    ) -> Result<Self::Guard, AcquireError>;
    fn keep(&self, config: Config) -> Self::Keeper;
}

pub(crate) trait Guard: Send + Sync + 'static {
    fn is_held(&self) -> bool;
    fn remaining(&self) -> Duration;
    fn check(&self) -> Result<(), Lost>;
    fn token(&self) -> u128;
    fn identity(&self) -> String;
    fn wait_lost(&self, timeout: Duration) -> Option<Loss>;
    fn verify(&self) -> Result<(), VerifyError>;
    fn release(self) -> Option<Released>;
    fn release_with(self, parting: Parting) -> Option<Released>;
    fn hand_over(self, successor: Identity, patience: Duration) -> Option<Released>;
}

pub(crate) trait Keeper {
    fn next_event(&self) -> Option<Event>;
    fn grant(&self) -> Option<Grant>;
    fn stop(&self);
    fn stop_with(&self, parting: Parting);
    fn has_ended(&self) -> bool;
    fn release(self) -> Option<Released>;
    fn hand_over(self, successor: Identity, patience: Duration) -> Option<Released>;
}

impl Driver for lease_blocking::Client {
    type Guard = lease_blocking::Guard;
    type Keeper = lease_blocking::Keeper;

    fn over(fabric: &Fabric) -> Self {
        Self::with_transport(Arc::new(fabric.clone()), "default")
    }

    fn with_token_file(url: &str, token: &Path) -> Self {
        Self::builder(url)
            .token_file(token)
            .build()
            .expect("it is well formed")
    }

    fn acquire(&self, config: Config) -> Result<Self::Guard, AcquireError> {
        self.acquire(config)
    }

    fn try_acquire(&self, config: Config) -> Result<Self::Guard, AcquireError> {
        self.try_acquire(config)
    }

    fn acquire_timeout(
        &self,
        config: Config,
        timeout: Duration,
    ) -> Result<Self::Guard, AcquireError> {
        self.acquire_timeout(config, timeout)
    }

    fn keep(&self, config: Config) -> Self::Keeper {
        self.keep(config).expect("there are threads")
    }
}

impl Driver for lease_tokio::Client {
    type Guard = lease_tokio::Guard;
    type Keeper = lease_tokio::Keeper;

    fn over(fabric: &Fabric) -> Self {
        Self::with_transport(Arc::new(fabric.clone()), "default")
    }

    fn with_token_file(url: &str, token: &Path) -> Self {
        Self::builder(url)
            .token_file(token)
            .build()
            .expect("it is well formed")
    }

    fn acquire(&self, config: Config) -> Result<Self::Guard, AcquireError> {
        runtime().block_on(self.acquire(config))
    }

    fn try_acquire(&self, config: Config) -> Result<Self::Guard, AcquireError> {
        runtime().block_on(self.try_acquire(config))
    }

    fn acquire_timeout(
        &self,
        config: Config,
        timeout: Duration,
    ) -> Result<Self::Guard, AcquireError> {
        runtime().block_on(self.acquire_timeout(config, timeout))
    }

    fn keep(&self, config: Config) -> Self::Keeper {
        let _context = runtime().enter();
        self.keep(config)
    }
}

/// Many claims in one task, of which a scenario has but one or two.
#[derive(Clone)]
pub(crate) struct TokioSet(Arc<lease_tokio::ClaimSet>);

impl TokioSet {
    fn of(client: &lease_tokio::Client) -> Self {
        let _context = runtime().enter();
        Self(Arc::new(client.claim_set(SetLimits::default())))
    }
}

impl Driver for TokioSet {
    type Guard = lease_tokio::Guard;
    type Keeper = lease_tokio::Keeper;

    fn over(fabric: &Fabric) -> Self {
        Self::of(&lease_tokio::Client::over(fabric))
    }

    fn with_token_file(url: &str, token: &Path) -> Self {
        Self::of(&lease_tokio::Client::with_token_file(url, token))
    }

    fn acquire(&self, config: Config) -> Result<Self::Guard, AcquireError> {
        runtime().block_on(self.0.acquire(config))
    }

    fn try_acquire(&self, config: Config) -> Result<Self::Guard, AcquireError> {
        runtime().block_on(self.0.try_acquire(config))
    }

    fn acquire_timeout(
        &self,
        config: Config,
        timeout: Duration,
    ) -> Result<Self::Guard, AcquireError> {
        runtime().block_on(self.0.acquire_timeout(config, timeout))
    }

    fn keep(&self, config: Config) -> Self::Keeper {
        self.0.keep(config)
    }
}

/// Many claims on one thread, of which a scenario has but one or two.
#[derive(Clone)]
pub(crate) struct BlockingSet(Arc<lease_blocking::ClaimSet>);

impl BlockingSet {
    fn of(client: &lease_blocking::Client) -> Self {
        let set = client.claim_set(SetLimits::default());
        Self(Arc::new(set.expect("there are threads")))
    }
}

impl Driver for BlockingSet {
    type Guard = lease_blocking::Guard;
    type Keeper = lease_blocking::Keeper;

    fn over(fabric: &Fabric) -> Self {
        Self::of(&lease_blocking::Client::over(fabric))
    }

    fn with_token_file(url: &str, token: &Path) -> Self {
        Self::of(&lease_blocking::Client::with_token_file(url, token))
    }

    fn acquire(&self, config: Config) -> Result<Self::Guard, AcquireError> {
        self.0.acquire(config)
    }

    fn try_acquire(&self, config: Config) -> Result<Self::Guard, AcquireError> {
        self.0.try_acquire(config)
    }

    fn acquire_timeout(
        &self,
        config: Config,
        timeout: Duration,
    ) -> Result<Self::Guard, AcquireError> {
        self.0.acquire_timeout(config, timeout)
    }

    fn keep(&self, config: Config) -> Self::Keeper {
        self.0.keep(config)
    }
}

/// The same methods twice: one waits, the other is awaited.
macro_rules! twins {
    ($($driver:ident: |$future:ident| $wait:expr;)*) => {$(
        impl Guard for $driver::Guard {
            fn is_held(&self) -> bool {
                self.is_held()
            }

            fn remaining(&self) -> Duration {
                self.remaining()
            }

            fn check(&self) -> Result<(), Lost> {
                self.check()
            }

            fn token(&self) -> u128 {
                self.token().expect("the server's versions are numbers").get()
            }

            fn identity(&self) -> String {
                self.identity().to_string()
            }

            fn wait_lost(&self, timeout: Duration) -> Option<Loss> {
                let $future = self.wait_lost(timeout);
                $wait
            }

            fn verify(&self) -> Result<(), VerifyError> {
                let $future = self.verify();
                $wait
            }

            fn release(self) -> Option<Released> {
                let $future = self.release();
                $wait
            }

            fn release_with(self, parting: Parting) -> Option<Released> {
                let $future = self.release_with(parting);
                $wait
            }

            fn hand_over(self, successor: Identity, patience: Duration) -> Option<Released> {
                let $future = self.hand_over(successor, patience);
                $wait
            }
        }

        impl Keeper for $driver::Keeper {
            fn next_event(&self) -> Option<Event> {
                let $future = self.next_event();
                $wait
            }

            fn grant(&self) -> Option<Grant> {
                self.grant()
            }

            fn stop(&self) {
                self.stop();
            }

            fn stop_with(&self, parting: Parting) {
                self.stop_with(parting);
            }

            fn has_ended(&self) -> bool {
                self.has_ended()
            }

            fn release(self) -> Option<Released> {
                let $future = self.release();
                $wait
            }

            fn hand_over(self, successor: Identity, patience: Duration) -> Option<Released> {
                let $future = self.hand_over(successor, patience);
                $wait
            }
        }
    )*};
}

twins! {
    lease_blocking: |outcome| outcome;
    lease_tokio: |future| runtime().block_on(future);
}

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime")
    })
}
