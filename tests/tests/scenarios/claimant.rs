//! A claimant as the scenarios see it, whatever drives it.

use std::{sync::OnceLock, time::Duration};

use http::{Request, Response};
use lease_proto::{
    AcquireError, Config, Event, GaveUp, Loss, Patience, Released, access::TransportError,
};
use tokio::runtime::{Builder, Runtime};

/// For how long a claimant tries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tries {
    Once,
    For(Duration),
}

/// Somebody who can claim Leases.
pub(crate) trait Claimant: Send + Sync {
    /// Acquires a Lease, and renews it from then on.
    fn hold(&self, config: Config, tries: Tries) -> Result<Box<dyn Held>, AcquireError>;

    /// Acquires a Lease, and is not heard of any more, like a process that is killed.
    fn vanish(&self, config: Config) -> Result<(), AcquireError>;
}

/// A claimant that has its API server within itself.
pub(crate) trait Store: Claimant {
    /// Asks that API server something.
    fn ask(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError>;
}

/// A Lease that is held; dropped, it is released.
pub(crate) trait Held: Send {
    fn identity(&self) -> String;
    fn token(&self) -> u128;
    fn is_held(&self) -> bool;
    /// Waits for the loss.
    fn lost(&self, within: Duration) -> Option<Loss>;
    /// Releases it; `None` if it was lost before.
    fn release(self: Box<Self>) -> Option<Released>;
}

/// The same for both drivers: one waits, the other is awaited.
macro_rules! drivers {
    ($($driver:ident: |$future:ident| $wait:expr;)*) => {$(
        impl Claimant for $driver::Client {
            fn hold(&self, config: Config, tries: Tries) -> Result<Box<dyn Held>, AcquireError> {
                let guard = match tries {
                    Tries::Once => {
                        let $future = self.try_acquire(config);
                        $wait
                    }
                    Tries::For(time) => {
                        let $future = self.acquire_timeout(config, time);
                        $wait
                    }
                };
                Ok(Box::new(guard?))
            }

            fn vanish(&self, config: Config) -> Result<(), AcquireError> {
                let mut claim = self.claim(config);
                claim.acquire(Patience::Until($driver::Clock::new().now() + SOON));
                loop {
                    let $future = claim.next_event();
                    match $wait {
                        Some(Event::Acquired(_)) => return Ok(()),
                        Some(Event::GaveUp(why)) => return Err(AcquireError::new(why, None)),
                        Some(_) => {}
                        None => return Err(AcquireError::GaveUp(GaveUp::Stopped)),
                    }
                }
            }
        }

        impl Store for $driver::Client {
            fn ask(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
                let $future = self.send(request, SOON, false);
                $wait
            }
        }

        impl Held for $driver::Guard {
            fn identity(&self) -> String {
                self.identity().to_string()
            }

            fn token(&self) -> u128 {
                self.token().expect("the server's versions are numbers").get()
            }

            fn is_held(&self) -> bool {
                self.is_held()
            }

            fn lost(&self, within: Duration) -> Option<Loss> {
                let $future = self.wait_lost(within);
                $wait
            }

            fn release(self: Box<Self>) -> Option<Released> {
                let $future = (*self).release();
                $wait
            }
        }
    )*};
}

drivers! {
    lease_blocking: |outcome| outcome;
    lease_tokio: |future| runtime().block_on(future);
}

/// Long enough for a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The runtime of all that needs one.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().unwrap()
    })
}
