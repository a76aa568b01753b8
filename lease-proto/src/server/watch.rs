//! Watches: streams of what happens, one JSON object a line.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    ApiServer, Outcome, go_time::Stamp, object::Stored, read, route::Query, selector::Filter,
    status::Failure, table::Form,
};

/// How often a stream with nothing else to say tells its version.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// How long before its end a stream tells its version once more.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// How long a stream lasts at least if nobody says.
const MIN_TIMEOUT: u64 = 1_800;

/// Names a watch of one server.
///
/// ```
/// use std::time::SystemTime;
///
/// use lease_proto::server::{Answer, ApiServer, WatchId};
///
/// fn open(server: &mut ApiServer, path: &str) -> Option<WatchId> {
///     let request = http::Request::get(path).body(Vec::new()).ok()?;
///     match server.handle(&request, SystemTime::UNIX_EPOCH) {
///         Answer::Watch(_, id) => Some(id),
///         Answer::Whole(_) => None,
///     }
/// }
/// let mut server = ApiServer::new();
/// let id = open(&mut server, "/apis/coordination.k8s.io/v1/leases?watch=true");
/// assert!(server.watches().eq(id));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WatchId(pub(super) u64);

/// What a watch has to say.
///
/// ```
/// use std::time::SystemTime;
///
/// use lease_proto::server::{ApiServer, WatchId, WatchOutput};
///
/// /// Sends what there is to send, and returns when to come again; `None` once the stream is over.
/// fn pump(server: &mut ApiServer, id: WatchId, wall: SystemTime, out: &mut Vec<u8>) -> Option<SystemTime> {
///     loop {
///         match server.poll_watch(id, wall) {
///             WatchOutput::Chunk(bytes) => out.extend(bytes),
///             WatchOutput::Wait { until } => return until,
///             WatchOutput::End => return None,
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a host must serve every one")]
pub enum WatchOutput {
    /// Bytes of the body: whole lines.
    Chunk(Vec<u8>),
    /// The body is complete. The watch is no more.
    End,
    /// Nothing before something is written, or before this time.
    Wait {
        /// When the server's clock has got there the watch has something to say, whatever happens.
        until: Option<SystemTime>,
    },
}

/// A stream.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    filter: Filter,
    form: Form,
    /// What was there when the stream began.
    initial: VecDeque<Arc<Stored>>,
    /// The version up to which events have been told.
    position: u64,
    has_columns: bool,
    bookmark_at: Option<SystemTime>,
    ends_at: SystemTime,
}

impl ApiServer {
    /// Opens a watch.
    pub(super) fn watch(
        &self,
        namespace: Option<&str>,
        query: &Query<'_>,
        form: Form,
        now: Stamp,
    ) -> Result<Outcome, Failure> {
        let filter = read::filter(namespace, query)?;
        let version = self.wanted_version(query)?;
        let timeout = match query.get("timeoutSeconds") {
            Some(text) => text.parse().map_err(|_| {
                Failure::bad_request(format!(
                    "strconv.ParseInt: parsing {text:?}: invalid syntax"
                ))
            })?,
            None => 0,
        };
        // Spread, so that not all streams end at once.
        let usual = MIN_TIMEOUT + self.next_watch.wrapping_mul(7_919) % MIN_TIMEOUT;
        let timeout = if timeout == 0 { usual } else { timeout };
        let started = now.wall();
        let mut watch = Watch {
            initial: match version {
                Some(_) => VecDeque::new(),
                None => self.store.list(&filter).into_iter().cloned().collect(),
            },
            filter,
            form,
            position: version.unwrap_or_else(|| self.store.version()),
            has_columns: false,
            bookmark_at: None,
            ends_at: started
                .checked_add(Duration::from_secs(timeout))
                .unwrap_or(started),
        };
        if query.is_set("allowWatchBookmarks") {
            watch.bookmark_at = watch.next_bookmark(started);
        }
        Ok(Outcome::Watch(Box::new(watch)))
    }

    /// What a watch has to say when the server's clock says `wall`: to be asked after every write, and at
    /// the time that a [`WatchOutput::Wait`] names, until it says [`WatchOutput::Wait`] or
    /// [`WatchOutput::End`]. A watch that is over, or was never opened, says [`WatchOutput::End`].
    pub fn poll_watch(&mut self, id: WatchId, wall: SystemTime) -> WatchOutput {
        let Some(watch) = self.watches.get_mut(&id) else {
            return WatchOutput::End;
        };
        let now = Stamp::new(wall);
        let mut chunk = Vec::new();
        while let Some(object) = watch.initial.pop_front() {
            watch.line(&mut chunk, "ADDED", &object, now);
        }
        let Some(events) = self.store.since(watch.position) else {
            self.watches.remove(&id);
            chunk.extend_from_slice(br#"{"type":"ERROR","object":"#);
            chunk.extend_from_slice(&Failure::expired("watch").object());
            chunk.extend_from_slice(b"}\n");
            return WatchOutput::Chunk(chunk);
        };
        for event in events {
            watch.position = event.version();
            let is_in = !event.is_deletion && watch.filter.matches(&event.object.lease);
            let before = event.previous.as_ref();
            let was_in = before.is_some_and(|it| watch.filter.matches(&it.lease));
            let kind = match (was_in, is_in) {
                (false, false) => continue,
                (false, true) => "ADDED",
                (true, false) => "DELETED",
                (true, true) => "MODIFIED",
            };
            watch.line(&mut chunk, kind, &event.object, now);
        }
        // A stream that began ahead of the store stays there.
        watch.position = watch.position.max(self.store.version());
        if watch.bookmark_at.is_some_and(|it| it <= wall) {
            watch.bookmark(&mut chunk);
            watch.bookmark_at = watch.next_bookmark(wall);
        }
        if !chunk.is_empty() {
            return WatchOutput::Chunk(chunk);
        }
        if watch.ends_at <= wall {
            self.watches.remove(&id);
            return WatchOutput::End;
        }
        let until = watch
            .bookmark_at
            .map_or(watch.ends_at, |it| it.min(watch.ends_at));
        WatchOutput::Wait { until: Some(until) }
    }

    /// Has a watch that began at an earlier version told of what has become of its objects since.
    pub(super) fn retell(&mut self, id: WatchId) {
        if let Some(watch) = self.watches.get(&id) {
            self.store.retell(&watch.filter);
        }
    }

    /// Becomes what a later server is, for who watches; returns false where that one is no later one.
    pub(super) fn catch_up(&mut self, later: &Self) -> bool {
        let is_later = later.store.version() >= self.store.version();
        if is_later {
            let told = self.watches.values().map(|watch| watch.position).min();
            let told = told.unwrap_or_else(|| self.store.version());
            self.store.catch_up(&later.store, told);
        }
        is_later
    }

    /// Ends a watch, as when the client hangs up.
    pub fn close_watch(&mut self, id: WatchId) {
        self.watches.remove(&id);
    }

    /// The watches that are open.
    pub fn watches(&self) -> impl Iterator<Item = WatchId> {
        self.watches.keys().copied()
    }
}

impl Watch {
    /// Appends an event.
    fn line(&mut self, chunk: &mut Vec<u8>, kind: &str, object: &Stored, now: Stamp) {
        chunk.extend_from_slice(format!(r#"{{"type":"{kind}","object":"#).as_bytes());
        match self.form {
            Form::Object => object.write(chunk),
            Form::Table => {
                chunk.extend_from_slice(&self.form.event(object, !self.has_columns, now));
                self.has_columns = true;
            }
        }
        chunk.extend_from_slice(b"}\n");
    }

    /// Appends the version that has been reached.
    fn bookmark(&self, chunk: &mut Vec<u8>) {
        let line = format!(
            r#"{{"type":"BOOKMARK","object":{{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{{"resourceVersion":"{}","creationTimestamp":null}},"spec":{{}}}}}}"#,
            self.position
        );
        chunk.extend_from_slice(line.as_bytes());
        chunk.push(b'\n');
    }

    /// When the version is to be told next: every minute, and a little before the end.
    fn next_bookmark(&self, wall: SystemTime) -> Option<SystemTime> {
        let usual = wall.checked_add(BOOKMARK_INTERVAL)?;
        let last = self.ends_at.checked_sub(LAST_BOOKMARK)?;
        Some(usual.min(last)).filter(|it| *it > wall)
    }
}
