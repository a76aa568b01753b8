//! One request: who asks, what is to go wrong, and the answer.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use lease_tokio::{Chunks, Client, TransportError};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::{
    body::Answer,
    dice::Dice,
    faults::{Fate, Faults, Kind},
    listen::{chain, closes, say},
    tokens::Tokens,
};

/// Whatever answers requests.
pub(crate) struct Service {
    pub(crate) backend: Client,
    pub(crate) tokens: Tokens,
    pub(crate) faults: Option<Faults>,
    pub(crate) dice: Mutex<Dice>,
    pub(crate) is_verbose: bool,
    /// Whether the server is about to end.
    pub(crate) closing: watch::Receiver<bool>,
}

/// No answer is given: the connection breaks.
#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is broken, as --faults asked for")
    }
}

impl std::error::Error for Broken {}

impl Service {
    /// Answers a request.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Answer>, Broken> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let begun = self.is_verbose.then(now);
        let outcome = self.befall(request).await;
        if let Some(begun) = begun {
            let took = now().saturating_duration_since(begun).as_millis();
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            match &outcome {
                Ok(answer) => say(format_args!(
                    "{method} {path} {} {took}ms",
                    answer.status().as_u16()
                )),
                Err(Broken) => say(format_args!("{method} {path} dropped {took}ms")),
            }
        }
        outcome
    }

    async fn befall(&self, request: Request<Incoming>) -> Result<Response<Answer>, Broken> {
        let fate = self.fate(request.method(), request.uri());
        if !fate.delay.is_zero() {
            tokio::time::sleep(fate.delay).await;
        }
        match fate.kind {
            Kind::Fine => Ok(self.carry_out(request).await),
            Kind::Error(code) => Ok(status(code, "as --faults asked for; nothing was done")),
            Kind::LoseRequest => Err(Broken),
            Kind::LoseAnswer => {
                drop(self.carry_out(request).await);
                Err(Broken)
            }
        }
    }

    fn fate(&self, method: &Method, uri: &Uri) -> Fate {
        let fine = Fate {
            delay: Duration::ZERO,
            kind: Kind::Fine,
        };
        // Only what concerns Leases: whoever waits for the server to be ready is answered.
        let concerned = uri.path().contains("/leases");
        let faults = self.faults.as_ref().filter(|_| concerned);
        faults.map_or(fine, |faults| {
            let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
            faults.choose(method, &mut dice)
        })
    }

    async fn carry_out(&self, request: Request<Incoming>) -> Response<Answer> {
        let (mut head, body) = request.into_parts();
        let is_public = matches!(head.uri.path(), "/healthz" | "/livez" | "/readyz");
        if !is_public && !self.tokens.let_in(&head.headers) {
            return status(StatusCode::UNAUTHORIZED, "Unauthorized");
        }
        // Who asks has been seen to: behind it anybody may do anything.
        head.headers.remove(header::AUTHORIZATION);
        let body = match Limited::new(body, MAX_REQUEST).collect().await {
            Ok(body) => body.to_bytes().to_vec(),
            Err(error) if error.is::<LengthLimitError>() => {
                let message = format!("the request is longer than {MAX_REQUEST} bytes");
                return status(StatusCode::PAYLOAD_TOO_LARGE, &message);
            }
            Err(error) => return status(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let request = Request::from_parts(head, body);
        let is_watch = request.uri().query().is_some_and(is_watch);
        if is_watch {
            match self.backend.stream(request, PATIENCE, false).await {
                Ok(answer) => answer.map(|chunks| self.pieces(chunks)),
                Err(error) => failure(&error),
            }
        } else {
            match self.backend.send(request, PATIENCE, false).await {
                Ok(answer) => answer.map(Answer::from),
                Err(error) => failure(&error),
            }
        }
    }

    /// Passes a stream on, until it ends, or nobody listens, or the server is to end.
    fn pieces(&self, mut chunks: Box<dyn Chunks>) -> Answer {
        let (outbox, pieces) = mpsc::channel(4);
        let mut closing = self.closing.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = outbox.closed() => return,
                    () = closes(&mut closing) => return,
                    chunk = chunks.next() => {
                        let Some(Ok(chunk)) = chunk else { return };
                        if outbox.send(Bytes::from(chunk)).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Answer::Pieces(pieces)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

/// Whether a query asks for a watch, as kube-apiserver reads it.
fn is_watch(query: &str) -> bool {
    let mut parameters = query
        .split('&')
        .map(|it| it.split_once('=').unwrap_or((it, "")));
    parameters.any(|(name, value)| name == "watch" && !matches!(value, "false" | "0"))
}

fn failure(error: &TransportError) -> Response<Answer> {
    let message = chain(error);
    say(format_args!("{message}"));
    status(StatusCode::INTERNAL_SERVER_ERROR, &message)
}

/// What is answered instead, as kube-apiserver would.
fn status(code: StatusCode, message: &str) -> Response<Answer> {
    let reason = match code.as_u16() {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        413 => "RequestEntityTooLarge",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "Unknown",
    };
    let body = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code.as_u16(),
    });
    let mut answer = Response::new(Answer::from(body.to_string().into_bytes()));
    *answer.status_mut() = code;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    if code == StatusCode::TOO_MANY_REQUESTS {
        let second = HeaderValue::from_static("1");
        answer.headers_mut().insert(header::RETRY_AFTER, second);
    }
    answer
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// How long a request may take, in the first place to get its turn at a directory.
const PATIENCE: Duration = Duration::from_secs(30);
/// As much as kube-apiserver reads.
const MAX_REQUEST: usize = 3 * 1_024 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_told_from_a_list() {
        for (query, watches) in [
            ("watch=true", true),
            ("watch=1&timeoutSeconds=5", true),
            ("fieldSelector=metadata.name%3Da&watch", true),
            ("watch=false", false),
            ("watch=0", false),
            ("limit=500", false),
            ("allowWatchBookmarks=true", false),
        ] {
            assert_eq!(is_watch(query), watches, "{query}");
        }
    }
}
