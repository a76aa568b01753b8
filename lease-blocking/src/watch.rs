//! The stream of changes of one claim: a thread that reads it, and what it has the claim know.

use std::{
    fmt,
    io::{self, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use http::StatusCode;
use lease_proto::{MAX_BODY, Request, RequestId, observe::Observer};

use crate::{Client, Clock, TransportError, abort::Abort, threads::Threads, transport::Chunks};

/// A stream that is asked for, or open. Dropping it ends the thread that reads it.
pub(crate) struct Watch {
    pub(crate) id: RequestId,
    told: mpsc::Receiver<Told>,
    end: Arc<Mutex<End>>,
    abort: Abort,
}

/// What a stream has to say.
#[derive(Debug)]
pub(crate) enum Told {
    /// The answer has begun, or is another one than was hoped for.
    Answer(http::Response<Vec<u8>>),
    Chunk(Vec<u8>),
    /// There is no more to come, for that reason.
    End(Option<TransportError>),
}

/// How to end a read that waits.
#[derive(Default)]
enum End {
    /// There is nothing to end yet.
    #[default]
    None,
    Close(Box<dyn FnOnce() + Send>),
    /// It was ended.
    Over,
}

impl Watch {
    /// Asks for a stream on a thread of its own. `wake` is called whenever there is something to [take](Self::next).
    pub(crate) fn new(
        request: Request,
        client: Client,
        clock: Clock,
        observer: Observer,
        threads: &Threads,
        wake: impl Fn(RequestId) -> bool + Send + 'static,
    ) -> Result<Self, TransportError> {
        let id = request.id;
        let (outbox, told) = mpsc::sync_channel(PIECES);
        let end = Arc::new(Mutex::default());
        let reader = Reader {
            end: Arc::clone(&end),
            tell: Box::new(move |told| outbox.send(told).is_ok() && wake(id)),
        };
        let abort = Abort::default();
        let given_up = abort.clone();
        threads.spawn("lease-watch", move || {
            let read = || observer.in_scope(|| reader.read(request, &client, clock));
            let read = || given_up.within(read);
            let error = match catch_unwind(AssertUnwindSafe(read)) {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error),
                Err(_) => Some(TransportError::Other("the transport panicked".into())),
            };
            (reader.tell)(Told::End(error));
        })?;
        Ok(Self {
            id,
            told,
            end,
            abort,
        })
    }

    /// Returns what it says next, if it has said anything.
    pub(crate) fn next(&self) -> Option<Told> {
        self.told.try_recv().ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let end = std::mem::replace(&mut *lock(&self.end), End::Over);
        if let End::Close(close) = end {
            // Whoever drops it may have other claims to keep.
            let _panicked = catch_unwind(AssertUnwindSafe(close));
        }
        // There may be no answer yet, and nothing to close.
        self.abort.abort();
    }
}

/// The thread's side.
struct Reader {
    end: Arc<Mutex<End>>,
    /// Says something, and returns whether anybody listens.
    tell: Box<dyn Fn(Told) -> bool + Send>,
}

impl Reader {
    fn read(&self, request: Request, client: &Client, clock: Clock) -> Result<(), TransportError> {
        let Request {
            deadline,
            reload_credentials,
            http,
            ..
        } = request;
        let timeout = deadline.saturating_duration_since(clock.now());
        if timeout.is_zero() {
            return Err(client.silence(timeout));
        }
        let answer = client.stream(http, timeout, reload_credentials)?;
        let (head, Chunks { mut body, close }) = answer.into_parts();
        {
            let mut end = lock(&self.end);
            if let End::Over = *end {
                close();
                return Ok(());
            }
            *end = End::Close(close);
        }
        let broken = |error: io::Error| TransportError::Interrupted {
            server: client.address(),
            source: error.into(),
        };
        if head.status != StatusCode::OK {
            let mut whole = Vec::new();
            let limit = MAX_BODY as u64 + 1;
            body.take(limit).read_to_end(&mut whole).map_err(broken)?;
            (self.tell)(Told::Answer(http::Response::from_parts(head, whole)));
            return Ok(());
        }
        let mut goes_on = (self.tell)(Told::Answer(http::Response::from_parts(head, Vec::new())));
        let mut buffer = vec![0; 8 * 1024];
        while goes_on {
            let read = body.read(&mut buffer).map_err(broken)?;
            let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
                break;
            };
            goes_on = (self.tell)(Told::Chunk(chunk.to_vec()));
        }
        Ok(())
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn lock(end: &Mutex<End>) -> std::sync::MutexGuard<'_, End> {
    end.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many pieces wait to be taken before the thread waits too.
const PIECES: usize = 16;
