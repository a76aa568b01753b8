//! An API server in memory, and a transport to it that fails as it is told to.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use http::{Method, StatusCode};
use lease_proto::{
    access::TransportError,
    server::{Answer, ApiServer},
    wire::Lease,
};

/// What is done to a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// It never reaches the server, and no answer comes until well after the time for it is over.
    Hang,
    /// The transport panics.
    Panic,
    /// It never reaches the server, and that is told at once.
    Fail,
    /// The server carries it out, and the answer is lost.
    LoseAnswer,
    /// The server answers at once, and its answer is on the way for so long.
    Late(Duration),
    /// The server answers with this code instead.
    Answer(u16),
}

/// A server that several clients share, with a record of what was asked.
#[derive(Clone, Debug)]
pub(crate) struct Fabric(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    server: ApiServer,
    /// For the next requests of this method, if one is named; the last one stays if it is to.
    faults: VecDeque<(Option<Method>, Fault)>,
    always: Option<Fault>,
    asked: Vec<Method>,
}

impl Fabric {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            server: ApiServer::new(),
            faults: VecDeque::new(),
            always: None,
            asked: Vec::new(),
        })))
    }

    /// Does this to the next request with `method`.
    pub(crate) fn once(&self, method: Method, fault: Fault) {
        self.state().faults.push_back((Some(method), fault));
    }

    /// Does this to every request from now on.
    pub(crate) fn always(&self, fault: Option<Fault>) {
        self.state().always = fault;
    }

    pub(crate) fn asked(&self) -> Vec<Method> {
        self.state().asked.clone()
    }

    pub(crate) fn count(&self, method: &Method) -> usize {
        let asked = self.asked();
        asked.iter().filter(|asked| *asked == method).count()
    }

    pub(crate) fn record(&self) -> Option<Lease> {
        let lease = self.state().server.lease("default", "leader")?;
        Some(serde_json::from_value(lease).expect("the server keeps Leases"))
    }

    pub(crate) fn holder(&self) -> Option<String> {
        self.record()?.spec.holder().map(str::to_owned)
    }

    /// What a third party asks, past all faults.
    pub(crate) fn third_party(&self, method: Method, body: &str) {
        let request = http::Request::builder()
            .method(method)
            .uri("/apis/coordination.k8s.io/v1/namespaces/default/leases/leader")
            .header("content-type", "application/merge-patch+json")
            .body(body.as_bytes().to_vec())
            .expect("it is well formed");
        let Answer::Whole(answer) = self.state().server.handle(&request, SystemTime::now()) else {
            panic!("nothing is watched");
        };
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// Carries one request, and says how long its outcome is on the way.
    pub(crate) fn carry(
        &self,
        request: &http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> (Duration, Result<http::Response<Vec<u8>>, TransportError>) {
        let mut state = self.state();
        state.asked.push(request.method().clone());
        let concerns = |(method, _): &(Option<Method>, Fault)| {
            method
                .as_ref()
                .is_none_or(|method| method == request.method())
        };
        let fault = match state.faults.iter().position(concerns) {
            Some(at) => state.faults.remove(at).map(|(_, fault)| fault),
            None => state.always,
        };
        let lost = || TransportError::Other("as the test wants it".into());
        let at_once = Duration::ZERO;
        match fault {
            Some(Fault::Hang) => (timeout + Duration::from_millis(500), Err(lost())),
            Some(Fault::Fail) => (at_once, Err(lost())),
            Some(Fault::Panic) => {
                drop(state);
                panic!("as the test wants it");
            }
            Some(Fault::Answer(code)) => {
                let status = format!(
                    r#"{{"kind":"Status","code":{code},"message":"as the test wants it"}}"#
                );
                let mut answer = http::Response::new(status.into_bytes());
                *answer.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
                (at_once, Ok(answer))
            }
            Some(Fault::LoseAnswer | Fault::Late(_)) | None => {
                let Answer::Whole(answer) = state.server.handle(request, SystemTime::now()) else {
                    panic!("nothing is watched");
                };
                match fault {
                    Some(Fault::LoseAnswer) => (at_once, Err(lost())),
                    Some(Fault::Late(after)) => (after, Ok(answer)),
                    _ => (at_once, Ok(answer)),
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl lease_blocking::Transport for Fabric {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<http::Response<Vec<u8>>, TransportError> {
        let (after, outcome) = self.carry(&request, timeout);
        thread::sleep(after);
        outcome
    }
}

impl lease_tokio::Transport for Fabric {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        timeout: Duration,
    ) -> lease_tokio::BoxFuture<'_, Result<http::Response<Vec<u8>>, TransportError>> {
        Box::pin(async move {
            // So that there is a point at which a future can be dropped after the request has been sent.
            let (after, outcome) = self.carry(&request, timeout);
            tokio::task::yield_now().await;
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            outcome
        })
    }
}
