//! The stream of changes of one claim, as the task that drives the claim sees it.

use std::{
    future::{pending, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::Poll,
    time::Instant,
};

use http::StatusCode;
use lease_proto::{MAX_BODY, Request, RequestId, observe::Observer};

use crate::{
    Client, Clock, TransportError,
    observe::within,
    transport::{BoxFuture, Chunks},
};

/// A stream that is asked for, or open.
pub(crate) struct Watch {
    pub(crate) id: RequestId,
    state: State,
}

enum State {
    Opening(BoxFuture<'static, Result<Beginning, TransportError>>),
    Open(Box<dyn Chunks>),
}

/// The answer, without its body if that comes in pieces.
type Beginning = (http::Response<Vec<u8>>, Option<Box<dyn Chunks>>);

/// What a stream has to say.
pub(crate) enum Told {
    /// The answer has begun, or is another one than was hoped for.
    Answer(http::Response<Vec<u8>>),
    Chunk(Vec<u8>),
    /// There is no more to come, for that reason.
    End(Option<TransportError>),
}

impl Watch {
    /// Asks for a stream as soon as this is polled.
    pub(crate) fn new(request: Request, client: Client, clock: Clock, observer: &Observer) -> Self {
        let Request {
            id,
            deadline,
            reload_credentials,
            http,
            ..
        } = request;
        let opening = async move {
            let timeout = deadline.saturating_duration_since(clock.now());
            let opening = open(&client, http, deadline, reload_credentials, clock);
            let opened = tokio::time::timeout(timeout, opening).await;
            opened.unwrap_or_else(|_| Err(client.silence(timeout)))
        };
        Self {
            id,
            state: State::Opening(Box::pin(within(observer, opening))),
        }
    }

    /// Waits for what it says next. May be dropped at any moment.
    async fn next(&mut self) -> Told {
        match &mut self.state {
            State::Opening(opening) => match unless_it_panics(opening.as_mut()).await {
                Ok(Ok((answer, Some(chunks)))) => {
                    self.state = State::Open(chunks);
                    Told::Answer(answer)
                }
                Ok(Ok((answer, None))) => Told::Answer(answer),
                Ok(Err(error)) | Err(error) => Told::End(Some(error)),
            },
            // What makes the future may panic as well.
            State::Open(chunks) => {
                match unless_it_panics(pin!(async { chunks.next().await })).await {
                    Ok(Some(Ok(chunk))) => Told::Chunk(chunk),
                    Ok(Some(Err(error))) | Err(error) => Told::End(Some(error)),
                    Ok(None) => Told::End(None),
                }
            }
        }
    }
}

/// Waits for what a stream says next; without one for ever. One that is over is taken away.
pub(crate) async fn told(watch: &mut Option<Watch>) -> (RequestId, Told) {
    let Some(stream) = watch else {
        return pending().await;
    };
    let told = stream.next().await;
    let id = stream.id;
    let goes_on = matches!(stream.state, State::Open(_)) && !matches!(told, Told::End(_));
    if !goes_on {
        *watch = None;
    }
    (id, told)
}

async fn open(
    client: &Client,
    request: http::Request<Vec<u8>>,
    deadline: Instant,
    reload_credentials: bool,
    clock: Clock,
) -> Result<Beginning, TransportError> {
    let timeout = deadline.saturating_duration_since(clock.now());
    let answer = client.stream(request, timeout, reload_credentials).await?;
    let (head, mut chunks) = answer.into_parts();
    let mut body = Vec::new();
    if head.status == StatusCode::OK {
        return Ok((http::Response::from_parts(head, body), Some(chunks)));
    }
    while let Some(chunk) = chunks.next().await {
        body.extend(chunk?);
        if body.len() > MAX_BODY {
            break;
        }
    }
    Ok((http::Response::from_parts(head, body), None))
}

/// What a transport from elsewhere does must not end the keeper.
pub(crate) async fn unless_it_panics<T>(
    mut future: Pin<&mut (dyn Future<Output = T> + Send + '_)>,
) -> Result<T, TransportError> {
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(TransportError::Other("the transport panicked".into()))),
        }
    })
    .await
}
