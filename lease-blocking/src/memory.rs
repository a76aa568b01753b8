//! No cluster: an API server for Leases in memory, for tests, which misbehaves when it is told to.

use std::{
    collections::VecDeque,
    io::{self, Read},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use lease_proto::server::{Answer, ApiServer, Fault, Faults, Reply, WatchId, WatchOutput};

use crate::{Chunks, Client, Clock, Transport, TransportError};

/// An API server for Leases in memory, to test programs against without a cluster.
///
/// It answers as a real one does, at once, and any namespace exists. All its clients, and its clones, share it. What is to
/// go wrong is told with [`push`](Self::push); where no answer comes, the connection breaks at once, unless the fault
/// [hangs](Fault::hang).
///
/// ```
/// use std::time::Duration;
///
/// use lease_blocking::{Memory, proto::{Config, Loss, server::Fault}};
///
/// let server = Memory::new();
/// let config = |name| Config::builder("default", "leader", name).build();
/// // The answer to the write that acquires it is lost: the record tells what came of it.
/// server.push(Fault::lose_answer().on(http::Method::POST));
/// let guard = server.client().acquire(config("first")?)?;
/// assert!(server.client().try_acquire(config("second")?).is_err());
/// server.with(|faults| {
///     let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
///     let delete = http::Request::delete(format!("{leases}/leader")).body(Vec::new());
///     faults.server_mut().handle(&delete.unwrap(), std::time::SystemTime::now());
/// });
/// assert_eq!(guard.wait_lost(Duration::from_secs(60)), Some(Loss::Deleted));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Time passes as it does elsewhere, so tests choose short durations:
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use lease_blocking::{Memory, proto::{Config, Loss, server::Fault}};
///
/// let server = Memory::new();
/// let config = Config::builder("default", "leader", "me")
///     .whole_second_observers(false)
///     .lease_duration(Duration::from_millis(1_500))
///     .build()?;
/// let renew_deadline = config.renew_deadline();
/// let guard = server.client().acquire(config)?;
/// // One answer takes a while.
/// server.push(Fault::altered().delay_answer(Duration::from_millis(100)));
/// assert_eq!(guard.wait_lost(Duration::from_secs(1)), None);
///
/// // The server is cut off.
/// server.push(Fault::hang().times(u32::MAX));
/// assert_eq!(guard.wait_lost(2 * renew_deadline), Some(Loss::Expired));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    faults: Mutex<Faults>,
    /// Told when something may have changed.
    changed: Condvar,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// Makes a server without Leases, that lets anybody do anything.
    pub fn new() -> Self {
        Self::over(ApiServer::new())
    }

    /// Takes a server that was made elsewhere: with Leases in it, users, rules.
    ///
    /// Its clients send no credentials.
    pub fn over(server: ApiServer) -> Self {
        Self(Arc::new(Shared {
            faults: Mutex::new(Faults::new(server)),
            changed: Condvar::new(),
        }))
    }

    /// Makes a client; its namespace is `default`.
    pub fn client(&self) -> Client {
        Client::with_transport(Arc::new(self.clone()), "default")
    }

    /// Has something go wrong: see [`Fault`].
    pub fn push(&self, fault: Fault) {
        self.with(|faults| {
            faults.push(fault);
        });
    }

    /// Does something to the server while nobody else does.
    ///
    /// # Panics
    ///
    /// Only if `action` does, and the server goes on as it then is.
    pub fn with<T>(&self, action: impl FnOnce(&mut Faults) -> T) -> T {
        let result = action(&mut self.lock());
        self.0.changed.notify_all();
        result
    }

    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries one request, and waits as long as its fault says, but not longer than `timeout`.
    fn carry(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Answer, TransportError> {
        let until = Clock::new().now().checked_add(timeout);
        let late = || TransportError::Timeout {
            server: "the API server".to_owned(),
            after: timeout,
        };
        let fault = self.lock().befall(&request);
        let (before, after, hangs) = fault.as_ref().map_or_else(Default::default, |fault| {
            (fault.request_delay(), fault.answer_delay(), fault.hangs())
        });
        if before > timeout {
            let server = self.clone();
            // It arrives, whether or not anybody waits for it any more.
            let arrives = move || {
                thread::sleep(before);
                let wall = Clock::new().wall();
                server.with(|faults| {
                    let reply = faults.carry_out(fault, &request, wall);
                    if let Reply::Answer(Answer::Watch(_, id)) = reply {
                        faults.server_mut().close_watch(id);
                    }
                });
            };
            let thread = thread::Builder::new().name("lease-memory".to_owned());
            let spawned = thread.spawn(arrives);
            spawned.map_err(|error| TransportError::Other(error.into()))?;
            sleep_until(until);
            return Err(late());
        }
        thread::sleep(before);
        let wall = Clock::new().wall();
        let reply = self.with(|faults| faults.carry_out(fault, &request, wall));
        let left = left(until);
        thread::sleep(left.min(after));
        match reply {
            Reply::Answer(answer) if after <= left => Ok(answer),
            Reply::Answer(answer) => {
                if let Answer::Watch(_, id) = answer {
                    self.lock().server_mut().close_watch(id);
                }
                Err(late())
            }
            Reply::NoAnswer if hangs => {
                sleep_until(until);
                Err(late())
            }
            Reply::NoAnswer => Err(TransportError::Other(
                "the connection broke, as it was told to".into(),
            )),
        }
    }
}

/// How much is left of a request's time.
fn left(until: Option<Instant>) -> Duration {
    until.map_or(Duration::MAX, |until| {
        until.saturating_duration_since(Clock::new().now())
    })
}

fn sleep_until(until: Option<Instant>) {
    thread::sleep(left(until));
}

/// What a watch says, as it says it.
struct Pieces {
    server: Memory,
    watch: WatchId,
    is_closed: Arc<AtomicBool>,
    unread: VecDeque<u8>,
}

impl Pieces {
    /// Waits for the next piece; none once it has ended.
    fn wait(&mut self) -> Option<Vec<u8>> {
        let mut faults = self.server.lock();
        loop {
            if self.is_closed.load(Ordering::Acquire) {
                return None;
            }
            let wall = Clock::new().wall();
            let until = match faults.server_mut().poll_watch(self.watch, wall) {
                WatchOutput::Chunk(chunk) => return Some(chunk),
                WatchOutput::End => return None,
                WatchOutput::Wait { until } => until,
            };
            let pause = until.and_then(|until| until.duration_since(wall).ok());
            let pause = pause.unwrap_or(TICK).min(TICK);
            let waited = self.server.0.changed.wait_timeout(faults, pause);
            faults = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() {
            let piece = self.wait();
            self.unread.extend(piece.unwrap_or_default());
        }
        self.unread.read(buffer)
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.server.lock().server_mut().close_watch(self.watch);
    }
}

impl Transport for Memory {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        match self.carry(request, timeout)? {
            Answer::Whole(response) => Ok(response),
            Answer::Watch(_, id) => {
                self.lock().server_mut().close_watch(id);
                Err(TransportError::NoStreams)
            }
        }
    }

    fn stream(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Chunks>, TransportError> {
        let (response, watch) = match self.carry(request, timeout)? {
            Answer::Whole(response) => {
                return Ok(response.map(|body| Chunks::new(io::Cursor::new(body), || {})));
            }
            Answer::Watch(response, watch) => (response, watch),
        };
        let is_closed = Arc::new(AtomicBool::new(false));
        let pieces = Pieces {
            server: self.clone(),
            watch,
            is_closed: Arc::clone(&is_closed),
            unread: VecDeque::new(),
        };
        let shared = Arc::clone(&self.0);
        let close = move || {
            is_closed.store(true, Ordering::Release);
            // Not between a look at that and the wait that follows.
            drop(shared.faults.lock());
            shared.changed.notify_all();
        };
        Ok(response.map(|()| Chunks::new(pieces, close)))
    }
}

/// The longest that is waited without a look at the clock.
const TICK: Duration = Duration::from_secs(1);

impl Client {
    /// Uses Leases in memory that nobody else can see: for tests. [`Memory`] is for several clients, and for faults.
    pub fn in_memory() -> Self {
        Memory::new().client()
    }
}
