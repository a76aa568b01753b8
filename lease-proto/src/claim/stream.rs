//! The stream of changes to the record: its pieces, how far it has told, and when to open it again.

use std::time::{Duration, Instant};

use super::{
    news::{History, News},
    retry::Random,
};
use crate::call::{MAX_BODY, RequestId};

/// For how long the server is asked to go on, spread so that those who began together do not end together.
const SHORTEST: Duration = Duration::from_secs(240);
const LONGEST: Duration = Duration::from_secs(360);
/// What counts as a retry period of streams at the most: Leases of hours are not waited for in the dark meanwhile.
const RETRY: Duration = Duration::from_secs(2);
/// After how many retry periods a refusal is doubted.
const REFUSED: u32 = 150;
/// How many refusals in a row are doubted at once, once a stream was granted.
const DOUBTS: u8 = 3;
/// How many retry periods a stream must have lasted to be none of those that end at once.
const LASTING: u32 = 10;
/// After how many failures in a row the application is told.
const TELLING: u32 = 3;

/// The stream, if there is one, and what is known of those before it.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Watching {
    stream: Option<Box<Stream>>,
    shared: Shared,
    /// Not to be opened before this instant.
    not_before: Option<Instant>,
    /// How many refusals are taken for those of a server that has only just been started: none before one was granted.
    doubts: u8,
    /// How many have failed or ended at once, in a row.
    failures: u32,
    /// Whether the server has forgotten the version from which to go on, so that the next one begins with what there is.
    anew: bool,
    /// Whether the credentials were read again for the last attempt.
    pub(crate) reloaded: bool,
    /// Whether the application knows that there is none, or none that lasts.
    pub(crate) told: bool,
    /// What those before it and it have told. Most claims never wait, and are told nothing.
    history: Option<Box<History>>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Stream {
    id: RequestId,
    /// For how long the server was asked to go on.
    length: Duration,
    /// When it was opened, once it is.
    opened: Option<Instant>,
    /// When its first answer must have come, and from then on when it must have ended.
    deadline: Instant,
    /// The beginning of a line.
    line: Vec<u8>,
}

/// Whether a stream that several claims share takes the place of one of its own.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
enum Shared {
    #[default]
    No,
    /// It does, and the record has yet to be read once.
    Behind,
    Yes,
    /// It does, and has not told of something that has happened.
    Doubted,
}

impl Watching {
    /// Returns whether the stream is open, or asked for.
    pub(crate) fn is_begun(&self) -> bool {
        self.is_shared() || self.stream.is_some()
    }

    /// Returns whether a shared stream takes the place of one of its own.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared != Shared::No
    }

    /// Has a shared stream take the place of one of its own, whose name it returns.
    pub(crate) fn share(&mut self, is_behind: bool) -> Option<RequestId> {
        let own = self.close();
        (self.anew, self.reloaded, self.told) = (false, false, false);
        self.shared = if is_behind {
            Shared::Behind
        } else {
            Shared::Yes
        };
        own
    }

    /// Takes note that the record was read, and so is known as far as was told before.
    pub(crate) fn catch_up(&mut self) {
        if self.shared == Shared::Behind {
            self.shared = Shared::Yes;
        }
    }

    /// Takes note that the shared stream has ended, having told all up to a version. Returns whether there was one.
    pub(crate) fn unshare(&mut self, told: Option<u128>) -> bool {
        if self.shared == Shared::Yes
            && let Some(told) = told
        {
            self.history().advance(told);
        }
        std::mem::take(&mut self.shared) != Shared::No
    }

    /// Takes note that a shared stream cannot be relied on. Returns whether there is one.
    pub(crate) fn doubt(&mut self) -> bool {
        if self.is_shared() {
            self.shared = Shared::Doubted;
        }
        self.is_shared()
    }

    /// Returns whether the shared stream cannot be relied on.
    pub(crate) fn take_doubt(&mut self) -> bool {
        let is_doubted = self.shared == Shared::Doubted;
        if is_doubted {
            self.shared = Shared::Behind;
        }
        is_doubted
    }

    /// Returns whether the stream is open, so that every change will be told.
    pub(crate) fn is_open(&self) -> bool {
        let stream = self.stream.as_ref();
        self.is_shared() || stream.is_some_and(|stream| stream.opened.is_some())
    }

    pub(crate) fn is(&self, id: RequestId) -> bool {
        self.id() == Some(id)
    }

    /// Returns the name of the stream.
    pub(crate) fn id(&self) -> Option<RequestId> {
        self.stream.as_ref().map(|stream| stream.id)
    }

    /// Returns when the stream is to be opened, or to be given up.
    pub(crate) fn next(&self) -> Option<Instant> {
        match &self.stream {
            Some(stream) => Some(stream.deadline),
            None if self.is_shared() => None,
            None => self.not_before,
        }
    }

    /// Returns the version from which a stream must begin to leave nothing out, where `seen` is the last that was seen.
    pub(crate) fn from(&self, seen: Option<u128>) -> Option<u128> {
        let told = self.history.as_ref().and_then(|it| it.position());
        told.max(seen).filter(|_| !self.anew)
    }

    /// Draws for how long the server is asked to go on.
    pub(crate) fn length(random: &mut Random) -> Duration {
        Duration::from_secs(random.between(SHORTEST, LONGEST).as_secs())
    }

    /// Takes note that a stream is asked for.
    pub(crate) fn begin(&mut self, id: RequestId, length: Duration, deadline: Instant) {
        self.stream = Some(Box::new(Stream {
            id,
            length,
            opened: None,
            deadline,
            line: Vec::new(),
        }));
    }

    /// Takes note that the server has begun to answer.
    pub(crate) fn open(&mut self, now: Instant, grace: Duration) {
        if let Some(stream) = &mut self.stream {
            stream.opened = Some(now);
            stream.deadline = now + stream.length + grace;
        }
        (self.anew, self.reloaded) = (false, false);
        self.doubts = DOUBTS;
    }

    /// Takes the next piece, and returns the next whole line of it.
    ///
    /// A line longer than an answer may be is returned as it stands; nobody will understand it. Empty ones say nothing.
    pub(crate) fn split(&mut self, piece: &mut &[u8]) -> Option<Vec<u8>> {
        let stream = self.stream.as_mut()?;
        loop {
            let end = piece.iter().position(|byte| *byte == b'\n');
            let (begun, rest) = match end {
                Some(end) => piece.split_at(end + 1),
                None => (*piece, &[][..]),
            };
            stream.line.extend_from_slice(begun);
            *piece = rest;
            if end.is_none() && stream.line.len() <= MAX_BODY {
                return None;
            }
            let line = std::mem::take(&mut stream.line);
            if end.is_none() || !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }

    /// Takes note that all up to `version` has been told. That there are streams here is no reason to open one each second.
    pub(crate) fn advance(&mut self, version: u128) {
        self.failures = self.failures.min(TELLING - 2);
        self.history().advance(version);
    }

    /// Keeps what was told for later; `own` is the duration of a record that names none.
    pub(crate) fn keep(&mut self, news: News, own: i64) {
        self.history().keep(news, own);
    }

    /// Returns what was kept first, of what came before `version` if one is given.
    pub(crate) fn kept(&mut self, before: Option<u128>) -> Option<News> {
        self.history.as_mut()?.kept(before)
    }

    /// Forgets how far was told, since the server has.
    pub(crate) fn forget(&mut self) {
        self.anew = true;
        if let Some(history) = &mut self.history {
            history.forget();
        }
    }

    /// Gives the stream up, which nobody needs any more. Returns its name.
    pub(crate) fn close(&mut self) -> Option<RequestId> {
        self.shared = Shared::No;
        self.stream.take().map(|stream| stream.id)
    }

    /// Takes note of how long it has been there.
    pub(crate) fn appreciate(&mut self, now: Instant, retry_period: Duration) {
        if self.has_lasted(now, retry_period) {
            (self.failures, self.told) = (0, false);
        }
    }

    fn has_lasted(&self, now: Instant, retry_period: Duration) -> bool {
        let opened = self.stream.as_ref().and_then(|stream| stream.opened);
        opened.is_some_and(|opened| opened + retry_period.min(RETRY) * LASTING <= now)
    }

    /// Takes note that the stream has ended, as every one does, or was not to be had.
    pub(crate) fn end(&mut self, now: Instant, retry_period: Duration, random: &mut Random) {
        let lasted = self.has_lasted(now, retry_period);
        let retry_period = retry_period.min(RETRY);
        self.stream = None;
        let pause = if lasted {
            (self.failures, self.told) = (0, false);
            random.between(Duration::ZERO, retry_period / 8)
        } else {
            let pause = retry_period / 2 * (1 << self.failures.min(6));
            self.failures = self.failures.saturating_add(1);
            random.between(pause / 2, pause)
        };
        self.not_before = Some(now + pause);
    }

    /// Takes note that the server will not have it, and would hardly say anything else soon: unless it has had it before. One
    /// that is started anew refuses for a moment what it will grant.
    pub(crate) fn refuse(&mut self, now: Instant, retry_period: Duration, random: &mut Random) {
        self.stream = None;
        if let Some(left) = self.doubts.checked_sub(1) {
            self.doubts = left;
            self.not_before = Some(now + random.around(retry_period.min(RETRY)));
        } else {
            self.give_up(now, retry_period, random);
        }
    }

    /// Takes note that there had better be none for some minutes.
    pub(crate) fn give_up(&mut self, now: Instant, retry_period: Duration, random: &mut Random) {
        self.stream = None;
        self.failures = self.failures.max(TELLING);
        let pause = retry_period.min(RETRY) * REFUSED;
        self.not_before = Some(now + random.around(pause));
    }

    /// Returns whether the application should know by now that there is none.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures >= TELLING
    }

    /// Returns whether one may be opened now.
    pub(crate) fn may_begin(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    fn history(&mut self) -> &mut History {
        self.history.get_or_insert_default()
    }
}
