//! One fault: what goes wrong, with which requests, how often and how late.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, Request, Response, header};

use super::JSON;

/// One fault: what happens, to which requests, how often.
///
/// Unless said otherwise it befalls the next request, whatever that is, once, and the request has no
/// effect on the server. How long things take is for the host to see to: see [`Faults::befall`](super::Faults::befall).
///
/// ```
/// use std::time::Duration;
///
/// use lease_proto::server::{ApiServer, Fault, Faults};
///
/// let mut server = Faults::new(ApiServer::new());
/// server.push(Fault::conflict().on(http::Method::PUT).after(2));
/// server.push(Fault::altered().delay_answer(Duration::from_secs(3)));
/// assert_eq!(server.pending(), 2);
/// ```
#[derive(Clone)]
pub struct Fault {
    pub(super) kind: Kind,
    pub(super) is_applied: bool,
    method: Option<Method>,
    predicate: Option<Predicate>,
    spared: u32,
    pub(super) times: u32,
    headers: Vec<(HeaderName, Option<HeaderValue>)>,
    request_delay: Duration,
    answer_delay: Duration,
}

/// Chooses requests.
type Predicate = Arc<dyn Fn(&Request<Vec<u8>>) -> bool + Send + Sync>;

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// The right answer, with other headers.
    Altered,
    AlreadyExists,
    Conflict,
    Expired,
    Forbidden,
    Hang,
    InternalError,
    NoAnswer,
    NotFound,
    Other(Box<Response<Vec<u8>>>),
    Timeout,
    TooManyRequests,
    Unauthorized,
    Unavailable,
}

impl Fault {
    /// 409, `AlreadyExists`.
    #[must_use]
    pub fn already_exists() -> Self {
        Self::new(Kind::AlreadyExists)
    }

    /// 409, `Conflict`: the object has been modified.
    #[must_use]
    pub fn conflict() -> Self {
        Self::new(Kind::Conflict)
    }

    /// 410, `Expired`.
    #[must_use]
    pub fn expired() -> Self {
        Self::new(Kind::Expired)
    }

    /// 403.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(Kind::Forbidden)
    }

    /// 200 with this body, which need not be what it says it is.
    #[must_use]
    pub fn garbage(body: impl Into<Vec<u8>>) -> Self {
        let mut response = Response::new(body.into());
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        Self::answer(response)
    }

    /// No answer, and nothing that tells so, until the time for the request is over. The request never arrived, unless
    /// [`applied`](Self::applied).
    #[must_use]
    pub fn hang() -> Self {
        Self::new(Kind::Hang)
    }

    /// 500, `InternalError`.
    #[must_use]
    pub fn internal_error() -> Self {
        Self::new(Kind::InternalError)
    }

    /// No answer, although the request was carried out.
    #[must_use]
    pub fn lose_answer() -> Self {
        Self::new(Kind::NoAnswer).applied()
    }

    /// No answer: the request never arrived.
    #[must_use]
    pub fn lose_request() -> Self {
        Self::new(Kind::NoAnswer)
    }

    /// 404 for the object.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Kind::NotFound)
    }

    /// 504 as of a stalled etcd: as `text/plain`, unless the request has a `timeout` of its own.
    #[must_use]
    pub fn timeout() -> Self {
        Self::new(Kind::Timeout)
    }

    /// 429 as of an overloaded server: `text/plain`, with a `Retry-After` of one second.
    #[must_use]
    pub fn too_many_requests() -> Self {
        Self::new(Kind::TooManyRequests)
    }

    /// 401.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(Kind::Unauthorized)
    }

    /// 503, `ServiceUnavailable`.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(Kind::Unavailable)
    }

    /// This answer.
    #[must_use]
    pub fn answer(response: Response<Vec<u8>>) -> Self {
        Self::new(Kind::Other(Box::new(response)))
    }

    /// The right answer, but for what [`header`](Self::header) and [`without_header`](Self::without_header) change.
    #[must_use]
    pub fn altered() -> Self {
        Self::new(Kind::Altered)
    }

    /// Lets the request take so long on its way. It arrives then, even if nobody waits for its answer any more. Defaults
    /// to zero.
    ///
    /// ```
    /// # use {lease_proto::server::Fault, std::time::Duration};
    /// // An old renewal that overtakes nothing and surprises everybody.
    /// let fault = Fault::altered().delay_request(Duration::from_secs(12));
    /// assert_eq!(fault.request_delay(), Duration::from_secs(12));
    /// ```
    #[must_use]
    pub fn delay_request(mut self, by: Duration) -> Self {
        self.request_delay = by;
        self
    }

    /// Lets the answer, or the end of the connection where there is none, take so long on its way. Defaults to zero.
    #[must_use]
    pub fn delay_answer(mut self, by: Duration) -> Self {
        self.answer_delay = by;
        self
    }

    /// Carries the request out before it is answered wrongly.
    #[must_use]
    pub fn applied(mut self) -> Self {
        self.is_applied = true;
        self
    }

    /// Only requests with this method.
    #[must_use]
    pub fn on(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Only requests that fulfil a condition.
    #[must_use]
    pub fn when(
        mut self,
        predicate: impl Fn(&Request<Vec<u8>>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.predicate = Some(Arc::new(predicate));
        self
    }

    /// Spares this many of the requests that fit. Defaults to 0.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.spared = requests;
        self
    }

    /// Befalls this many requests, at least one. Defaults to 1.
    #[must_use]
    pub fn times(mut self, requests: u32) -> Self {
        self.times = requests.max(1);
        self
    }

    /// Sets a header of the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, Some(value)));
        self
    }

    /// Leaves a header out of the answer.
    #[must_use]
    pub fn without_header(mut self, name: HeaderName) -> Self {
        self.headers.push((name, None));
        self
    }

    /// How long the request is on its way.
    #[must_use]
    pub fn request_delay(&self) -> Duration {
        self.request_delay
    }

    /// How long the answer is on its way.
    #[must_use]
    pub fn answer_delay(&self) -> Duration {
        self.answer_delay
    }

    /// Whether the connection stays open without an answer.
    #[must_use]
    pub fn hangs(&self) -> bool {
        matches!(self.kind, Kind::Hang)
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            is_applied: false,
            method: None,
            predicate: None,
            spared: 0,
            times: 1,
            headers: Vec::new(),
            request_delay: Duration::ZERO,
            answer_delay: Duration::ZERO,
        }
    }

    /// Whether a request is hit; counts those that are spared.
    pub(super) fn befalls(&mut self, request: &Request<Vec<u8>>) -> bool {
        let fits = self.method.as_ref().is_none_or(|it| it == request.method())
            && self.predicate.as_ref().is_none_or(|it| it(request));
        if fits && self.spared > 0 {
            self.spared -= 1;
            return false;
        }
        fits
    }

    pub(super) fn alter<T>(&self, response: &mut Response<T>) {
        for (name, value) in &self.headers {
            match value {
                Some(value) => response.headers_mut().insert(name, value.clone()),
                None => response.headers_mut().remove(name),
            };
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("kind", &self.kind)
            .field("is_applied", &self.is_applied)
            .field("method", &self.method)
            .field("spared", &self.spared)
            .field("times", &self.times)
            .field("headers", &self.headers)
            .field("request_delay", &self.request_delay)
            .field("answer_delay", &self.answer_delay)
            .finish_non_exhaustive()
    }
}
