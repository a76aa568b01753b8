//! No cluster: an API server for Leases in memory, for tests, which misbehaves when it is told to.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lease_proto::server::{Answer, ApiServer, Fault, Faults, Reply, WatchId, WatchOutput};
use tokio::sync::Notify;

use crate::{BoxFuture, Chunks, Client, Clock, Transport, TransportError};

/// An API server for Leases in memory, to test programs against without a cluster.
///
/// It answers as a real one does, at once, and any namespace exists. All its clients, and its clones, share it. What is to
/// go wrong is told with [`push`](Self::push); where no answer comes, the connection breaks at once, unless the fault
/// [hangs](Fault::hang).
///
/// ```
/// use std::time::Duration;
///
/// use lease_tokio::{Memory, proto::{Config, Loss, server::Fault}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Memory::new();
/// let config = |name| Config::builder("default", "leader", name).build();
/// // The answer to the write that acquires it is lost: the record tells what came of it.
/// server.push(Fault::lose_answer().on(http::Method::POST));
/// let guard = server.client().acquire(config("first")?).await?;
/// assert!(server.client().try_acquire(config("second")?).await.is_err());
/// server.with(|faults| {
///     let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
///     let delete = http::Request::delete(format!("{leases}/leader")).body(Vec::new());
///     faults.server_mut().handle(&delete.unwrap(), std::time::SystemTime::now());
/// });
/// assert_eq!(guard.wait_lost(Duration::from_secs(60)).await, Some(Loss::Deleted));
/// # Ok(())
/// # }
/// ```
///
/// Its clients [live by the time of tokio](Client::clock). Where a test has paused that, hours pass in milliseconds, whenever
/// all tasks wait. (Sleep rather than [advance](https://docs.rs/tokio/latest/tokio/time/fn.advance.html): that leaps, as if the
/// machine had been suspended, and what is held is lost.)
///
/// ```
/// use std::time::Duration;
///
/// use lease_tokio::{Memory, proto::{Config, Loss, server::Fault}};
///
/// // In a test: #[tokio::test(start_paused = true)]
/// #[tokio::main(flavor = "current_thread", start_paused = true)]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let server = Memory::new();
///     let config = Config::builder("default", "leader", "me").build()?;
///     let renew_deadline = config.renew_deadline();
///     let guard = server.client().acquire(config).await?;
///     // One answer takes long, and another never comes.
///     server.push(Fault::altered().delay_answer(Duration::from_secs(2)));
///     server.push(Fault::hang().after(10));
///     tokio::time::sleep(Duration::from_secs(3_600)).await;
///     assert!(guard.is_held());
///
///     // The server is cut off.
///     server.push(Fault::hang().times(u32::MAX));
///     let cut = tokio::time::Instant::now();
///     assert_eq!(guard.lost().await, Loss::Expired);
///     assert!(cut.elapsed() <= renew_deadline);
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    faults: Mutex<Faults>,
    /// Told when something may have changed.
    changed: Notify,
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
            changed: Notify::new(),
        }))
    }

    /// Makes a client; its namespace is `default`. It is to be asked, and so are its claims, from within the runtime.
    pub fn client(&self) -> Client {
        Client::with_transport(Arc::new(self.clone()), "default").with_clock(Clock::of_tokio())
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
        let result = self.quietly(action);
        self.0.changed.notify_waiters();
        result
    }

    /// Does something that changes nothing that anybody else is told of.
    fn quietly<T>(&self, action: impl FnOnce(&mut Faults) -> T) -> T {
        let faults = self.0.faults.lock();
        action(&mut faults.unwrap_or_else(PoisonError::into_inner))
    }

    /// Carries one request, and waits as long as its fault says.
    async fn carry(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Pieces>, TransportError> {
        let fault = self.quietly(|faults| faults.befall(&request));
        let (before, after, hangs) = fault.as_ref().map_or_else(Default::default, |fault| {
            (fault.request_delay(), fault.answer_delay(), fault.hangs())
        });
        let answer = if before.is_zero() {
            self.carry_out(fault, &request)
        } else {
            let server = self.clone();
            // It arrives, whether or not anybody waits for it any more.
            let arrival = tokio::spawn(async move {
                tokio::time::sleep(before).await;
                server.carry_out(fault, &request)
            });
            let outcome = arrival.await;
            outcome.map_err(|error| TransportError::Other(error.into()))?
        };
        if !after.is_zero() {
            tokio::time::sleep(after).await;
        }
        match answer {
            Some(answer) => Ok(answer),
            // Whoever has had enough drops the future.
            None if hangs => std::future::pending().await,
            None => Err(TransportError::Other(
                "the connection broke, as it was told to".into(),
            )),
        }
    }

    fn carry_out(
        &self,
        fault: Option<Fault>,
        request: &http::Request<Vec<u8>>,
    ) -> Option<http::Response<Pieces>> {
        let wall = Clock::of_tokio().wall();
        let (head, whole, watch) = match self.with(|faults| faults.carry_out(fault, request, wall))
        {
            Reply::Answer(Answer::Whole(response)) => {
                let (head, body) = response.into_parts();
                (head, Some(body), None)
            }
            Reply::Answer(Answer::Watch(response, id)) => (response.into_parts().0, None, Some(id)),
            Reply::NoAnswer => return None,
        };
        let server = self.clone();
        let pieces = Pieces {
            whole,
            watch,
            server,
        };
        Some(http::Response::from_parts(head, pieces))
    }
}

/// A body that comes in pieces: those that were there from the beginning, and those of a watch.
struct Pieces {
    whole: Option<Vec<u8>>,
    watch: Option<WatchId>,
    server: Memory,
}

impl Pieces {
    async fn piece(&mut self) -> Option<Vec<u8>> {
        if self.whole.is_some() {
            return self.whole.take();
        }
        let (id, shared) = (self.watch?, Arc::clone(&self.server.0));
        loop {
            let mut changed = pin!(shared.changed.notified());
            // From here on nothing is missed.
            changed.as_mut().enable();
            let wall = Clock::of_tokio().wall();
            let output = |faults: &mut Faults| faults.server_mut().poll_watch(id, wall);
            match self.server.quietly(output) {
                WatchOutput::Chunk(chunk) => return Some(chunk),
                WatchOutput::End => return None,
                WatchOutput::Wait { until } => {
                    let pause = until.and_then(|until| until.duration_since(wall).ok());
                    let pause = pause.unwrap_or(TICK).min(TICK);
                    let _either = tokio::time::timeout(pause, changed).await;
                }
            }
        }
    }
}

impl Chunks for Pieces {
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Vec<u8>, TransportError>>> {
        Box::pin(async { self.piece().await.map(Ok) })
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if let Some(id) = self.watch {
            self.server
                .quietly(|faults| faults.server_mut().close_watch(id));
        }
    }
}

impl Transport for Memory {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        _timeout: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Vec<u8>>, TransportError>> {
        Box::pin(async move {
            let outcome = self.carry(request).await;
            // Answers of a real server never come at once, and a future can be dropped before they do.
            tokio::task::yield_now().await;
            let (head, mut pieces) = outcome?.into_parts();
            let whole = pieces.whole.take().ok_or(TransportError::NoStreams)?;
            Ok(http::Response::from_parts(head, whole))
        })
    }

    fn stream(
        &self,
        request: http::Request<Vec<u8>>,
        _timeout: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Box<dyn Chunks>>, TransportError>> {
        Box::pin(async move {
            let answer = self.carry(request).await?;
            tokio::task::yield_now().await;
            Ok(answer.map(|pieces| Box::new(pieces) as Box<dyn Chunks>))
        })
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
