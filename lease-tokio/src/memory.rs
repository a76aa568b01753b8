//! No cluster: an API server for Leases in memory, for tests, which misbehaves when it is told to.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lease_proto::server::{Answer, ApiServer, Fault, Faults, Reply};

use crate::{BoxFuture, Client, Clock, Transport, TransportError};

/// An API server for Leases in memory, to test programs against without a cluster.
///
/// It answers as a real one does, at once, and any namespace exists. All its clients, and its clones, share it. What is to
/// go wrong is told with [`push`](Self::push); where no answer comes, the connection breaks at once.
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
#[derive(Clone, Debug)]
pub struct Memory(Arc<Mutex<Faults>>);

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
        Self(Arc::new(Mutex::new(Faults::new(server))))
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
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn carry(
        &self,
        request: &http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let wall = Clock::new().wall();
        match self.with(|faults| faults.handle(request, wall)) {
            Reply::Answer(Answer::Whole(response)) => Ok(response),
            Reply::Answer(Answer::Watch(_, id)) => {
                self.with(|faults| faults.server_mut().close_watch(id));
                Err(TransportError::Other(
                    "watching is not possible in memory".into(),
                ))
            }
            Reply::NoAnswer => Err(TransportError::Other(
                "the connection broke, as it was told to".into(),
            )),
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
            let outcome = self.carry(&request);
            // Answers of a real server never come at once, and a future can be dropped before they do.
            tokio::task::yield_now().await;
            outcome
        })
    }
}

impl Client {
    /// Uses Leases in memory that nobody else can see: for tests. [`Memory`] is for several clients, and for faults.
    pub fn in_memory() -> Self {
        Memory::new().client()
    }
}
