//! `lease watch`: a line for each change, as it happens.

use std::{
    io::{self, Read, Write},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use lease_blocking::{
    Client, Clock, Error,
    proto::{
        LeaseName, Namespace,
        access::TransportError,
        candidate_for,
        plain::{self, ApiError, WatchEvent, WatchLines},
        wire::{Lease, ResourceVersion},
    },
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    args::{Cluster, Lines},
    changes::{Known, News, now},
    connect,
    exit_code::Exit,
    failure::Failure,
    status,
};

/// Which leases are watched.
#[derive(Clone, Copy)]
pub(crate) enum Scope<'a> {
    One(&'a LeaseName),
    /// All, and those too in which waiters announce themselves, if that is true.
    All(bool),
}

impl Scope<'_> {
    fn name(&self) -> Option<&LeaseName> {
        match self {
            Self::One(name) => Some(name),
            Self::All(_) => None,
        }
    }

    fn has(&self, lease: &Lease) -> bool {
        match self {
            Self::One(name) => lease.metadata.name == name.as_str(),
            Self::All(candidates) => *candidates || candidate_for(lease).is_none(),
        }
    }
}

/// Watches one lease, or all that there are in the namespace or in all.
pub(crate) fn watch(
    scope: Scope<'_>,
    all_namespaces: bool,
    lines: Lines,
    cluster: &Cluster,
) -> Result<Exit, Failure> {
    let client = connect::reader(cluster)?;
    let namespace =
        Namespace::new(client.namespace()).map_err(|error| Failure::chain(Exit::Usage, &error))?;
    let mut watcher = Watcher {
        namespace: (!all_namespaces).then_some(namespace),
        scope,
        client: &client,
        known: Known::default(),
        from: None,
        lines,
        clock: Clock::new(),
        has_begun: false,
    };
    loop {
        let end = watcher.follow();
        if !watcher.has_begun
            && let Err(End::Failed(failure)) = end
        {
            // What has never worked is not tried for ever.
            return Err(failure);
        }
        match end {
            Ok(()) => {}
            Err(End::NobodyReads) => return Ok(Exit::Done),
            Err(End::Output(failure)) => return Err(failure),
            Err(End::NoStreams(why)) => {
                super::say(format_args!(
                    "{why}: looking every {} s instead",
                    LOOK.as_secs()
                ));
                return watcher.look();
            }
            Err(End::Failed(failure)) => {
                super::say(format_args!("{failure}: trying again"));
                if pause(LOOK).is_err() {
                    return Ok(Exit::Done);
                }
            }
        }
    }
}

/// Waits, unless nobody reads any more.
fn pause(time: Duration) -> Result<(), End> {
    let until = Instant::now() + time;
    loop {
        is_read()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(TICK));
    }
}

/// Returns an error if whoever has read what is printed is gone, as `head -n 1` is: the next change may be long in coming.
fn is_read() -> Result<(), End> {
    let stdout = io::stdout();
    // What is not asked for is told: that there is nobody at the other end.
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut polled, Some(&at_once)) {
        Ok(1..) if polled.iter().any(|it| it.revents().intersects(GONE)) => Err(End::NobodyReads),
        Ok(_) | Err(_) => Ok(()),
    }
}

struct Watcher<'a> {
    client: &'a Client,
    namespace: Option<Namespace>,
    scope: Scope<'a>,
    known: Known,
    /// The version up to which all has been told.
    from: Option<ResourceVersion>,
    lines: Lines,
    clock: Clock,
    /// Whether there was ever an answer.
    has_begun: bool,
}

/// Why a stream is no more.
enum End {
    NobodyReads,
    /// Standard output cannot be written to.
    Output(Failure),
    /// There is no watching, for that reason.
    NoStreams(String),
    Failed(Failure),
}

impl Watcher<'_> {
    /// Opens a stream, and tells what it says until it ends.
    fn follow(&mut self) -> Result<(), End> {
        if self.from.is_none() {
            // A watch that begins with what there is tells of nothing that was deleted, and not where that ends.
            let leases = self.read().map_err(End::Failed)?;
            let news = self.known.replace(leases, now());
            self.tell(news)?;
        }
        let request = plain::watch(
            self.namespace.as_ref(),
            self.scope.name(),
            self.from.as_ref(),
            LENGTH,
        );
        let response = match self.client.stream(request, ANSWER, self.has_begun) {
            Ok(response) => response,
            Err(TransportError::NoStreams) => {
                return Err(End::NoStreams("there is no watching here".to_owned()));
            }
            Err(error) => return Err(End::Failed(Failure::chain(Exit::Failed, &error))),
        };
        let (head, chunks) = response.into_parts();
        let (mut body, close) = chunks.into_parts();
        if head.status != http::StatusCode::OK {
            let mut said = Vec::new();
            let _as_far_as_it_goes = body.by_ref().take(LONGEST).read_to_end(&mut said);
            close();
            let response = http::Response::from_parts(head, said);
            return self.refused(plain::watch_refused(self.namespace.as_ref(), &response));
        }
        self.has_begun = true;
        let deadline = self.clock.now() + LENGTH + GRACE;
        let (outbox, pieces) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut piece = vec![0; 16 * 1_024];
            loop {
                match body.read(&mut piece) {
                    Ok(length @ 1..) => {
                        let piece = piece.get(..length).unwrap_or_default().to_vec();
                        if outbox.send(piece).is_err() {
                            return;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => return,
                }
            }
        });
        let end = self.hear(&pieces, deadline);
        close();
        drop(pieces);
        let _over = reader.join();
        end
    }

    /// Tells what comes, and who expires meanwhile.
    fn hear(&mut self, pieces: &mpsc::Receiver<Vec<u8>>, deadline: Instant) -> Result<(), End> {
        let mut lines = WatchLines::default();
        loop {
            let left = deadline.saturating_duration_since(self.clock.now());
            if left.is_zero() {
                // It should have ended by itself: nobody is there any more.
                return Ok(());
            }
            let pause = self.known.next_expiry(now()).unwrap_or(LENGTH).max(SOON);
            match pieces.recv_timeout(pause.min(left).min(TICK)) {
                Ok(piece) => lines.push(&piece),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            let mut news = Vec::new();
            let mut end = None;
            while let Some(event) = lines.next_event(self.namespace.as_ref()) {
                match event {
                    Ok(event) => news.extend(self.take(event)),
                    Err(error) => {
                        end = Some(self.refused(error));
                        break;
                    }
                }
            }
            news.extend(self.known.expire(now()));
            self.tell(news)?;
            is_read()?;
            if let Some(end) = end {
                return end;
            }
        }
    }

    fn take(&mut self, event: WatchEvent) -> Option<News> {
        let (lease, is_gone) = match event {
            WatchEvent::Added(lease) | WatchEvent::Modified(lease) => (*lease, false),
            WatchEvent::Deleted(lease) => (*lease, true),
            WatchEvent::Bookmark(version) => {
                self.advance(Some(&version));
                return None;
            }
            _ => return None,
        };
        self.advance(lease.metadata.resource_version.as_ref());
        if !self.scope.has(&lease) {
            return None;
        }
        if is_gone {
            self.known.forget(lease, now())
        } else {
            self.known.note(lease, now())
        }
    }

    /// Those that a watch begins with come in no order.
    fn advance(&mut self, version: Option<&ResourceVersion>) {
        let number = |version: &ResourceVersion| version.number();
        let told = self.from.as_ref().and_then(number);
        if version.and_then(number) > told {
            self.from = version.cloned();
        }
    }

    /// Says whether to go on after an error.
    fn refused(&mut self, error: ApiError) -> Result<(), End> {
        match &error {
            ApiError::Expired(_) if self.from.is_some() => {
                self.from = None;
                Ok(())
            }
            ApiError::Forbidden(_) if !self.has_begun => {
                // Whoever may not even list them is told what is missing.
                self.has_begun = true;
                Err(End::NoStreams(error.to_string()))
            }
            _ => Err(End::Failed(Failure::of_client(&Error::Api(error)))),
        }
    }

    /// Reads from time to time, where there is no watching.
    fn look(&mut self) -> Result<Exit, Failure> {
        loop {
            let news = match self.read() {
                Ok(leases) => self.known.replace(leases, now()),
                Err(failure) if matches!(failure.exit, Exit::NotPermitted | Exit::NotFound) => {
                    return Err(failure);
                }
                Err(failure) => {
                    super::say(format_args!("{failure}: trying again"));
                    Vec::new()
                }
            };
            let expired = self.known.expire(now());
            match self.tell(news.into_iter().chain(expired).collect()) {
                Err(End::Output(failure)) => return Err(failure),
                Err(_) => return Ok(Exit::Done),
                Ok(()) => {}
            }
            if pause(LOOK).is_err() {
                return Ok(Exit::Done);
            }
        }
    }

    fn read(&self) -> Result<Vec<Lease>, Failure> {
        if let (Some(name), Some(_)) = (self.scope.name(), &self.namespace) {
            return Ok(status::read(self.client, name)?.into_iter().collect());
        }
        let leases = match &self.namespace {
            Some(_) => self.client.list(),
            None => self.client.list_everywhere(),
        };
        let mut leases = leases.map_err(|error| Failure::of_client(&error))?;
        leases.retain(|lease| self.scope.has(lease));
        Ok(leases)
    }

    fn tell(&self, news: Vec<News>) -> Result<(), End> {
        let mut stdout = io::stdout().lock();
        for news in news {
            let line = match self.lines {
                Lines::Text => news.line(self.namespace.is_none()),
                Lines::Json => news.object().to_string(),
            };
            // One write for a line, so that whoever reads never has half of one.
            let written = stdout.write_all(format!("{line}\n").as_bytes());
            match written.and_then(|()| stdout.flush()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Err(End::NobodyReads);
                }
                Err(error) => {
                    let said = format_args!("cannot write to standard output: {error}");
                    return Err(End::Output(Failure::new(Exit::Failed, said)));
                }
            }
        }
        Ok(())
    }
}

/// For how long the server is asked to go on.
const LENGTH: Duration = Duration::from_secs(300);
/// How much later than that it may end.
const GRACE: Duration = Duration::from_secs(10);
/// How long its first answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// How long is waited between two looks, and between two attempts.
const LOOK: Duration = Duration::from_secs(2);
/// How often it is looked whether anybody reads, and at the clock: timers stop while the machine is suspended.
const TICK: Duration = Duration::from_secs(1);
/// The shortest wait.
const SOON: Duration = Duration::from_millis(10);
/// What says that there is nobody at the other end of standard output.
const GONE: PollFlags = PollFlags::ERR.union(PollFlags::HUP);
/// How much of a refusal is read.
const LONGEST: u64 = 64 * 1_024;
