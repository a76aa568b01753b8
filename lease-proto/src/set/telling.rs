//! Shared streams: when they are opened and closed, and who is told what they tell.

use std::time::Instant;

use http::{Response, StatusCode};

use super::{
    ClaimSet,
    output::{Owner, SetOutput, Tag},
    watches::Watch,
};
use crate::{
    call::RequestId,
    change::{Change, Subject},
    claim::Claim,
    headers,
};

/// Why a shared stream is no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// As every stream ends, or by some trouble: it is opened again before long.
    Over,
    /// The server will not have it.
    Refused,
    /// It costs more than it is worth.
    Useless,
    /// Nobody wants it.
    Unwanted,
}

impl ClaimSet {
    /// Opens or closes shared streams, where that is due.
    pub(super) fn tend_watches(&mut self) -> Option<SetOutput> {
        while let Some(index) = self.streams.due(self.now) {
            let Some(watch) = self.streams.watch(index) else {
                continue;
            };
            if watch.is_over(self.now) {
                let end = if watch.is_unwanted() {
                    End::Unwanted
                } else {
                    End::Over
                };
                self.drop_watch(index, end);
            } else if self.streams.is_wanted(index, self.now) {
                let Some(until) = self.pause_of_all(index) else {
                    return self.open_watch(index);
                };
                if let Some(watch) = self.streams.watch(index) {
                    watch.pause(until);
                }
                self.streams.reset(index, self.now);
            } else {
                self.streams.reset(index, self.now);
            }
        }
        None
    }

    /// Takes the answer to the request for a shared stream: its beginning, or why there is none.
    pub(super) fn settle_watch(&mut self, index: u32, id: RequestId, response: &Response<Vec<u8>>) {
        let now = self.now;
        let Some(watch) = self.watch(index, id) else {
            return;
        };
        let pause = headers::retry_after(response);
        let end = match response.status() {
            StatusCode::OK if watch.is_open() => return,
            StatusCode::OK => {
                watch.open(now);
                self.streams.reset(index, now);
                self.join_all(index);
                if !response.body().is_empty() {
                    // Whoever cannot stream has the whole of it at once.
                    self.hear_watch(index, id, response.body());
                    self.end_watch(index, id);
                }
                return;
            }
            StatusCode::GONE => {
                watch.forget();
                End::Over
            }
            StatusCode::UNAUTHORIZED if watch.reload() => End::Over,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                watch.spare_the_server(pause, now);
                End::Over
            }
            status if status.is_client_error() => End::Refused,
            _ => {
                watch.spare_the_server(pause, now);
                End::Over
            }
        };
        self.finish_watch(index, end);
    }

    /// Takes a piece of a shared stream.
    pub(super) fn hear_watch(&mut self, index: u32, id: RequestId, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some(watch) = self.watch(index, id).filter(|watch| watch.is_open()) {
            let Some(line) = watch.split(&mut rest) else {
                return;
            };
            self.hear_line(index, &line);
        }
    }

    /// Takes note that a shared stream has ended by itself, or will not come.
    pub(super) fn end_watch(&mut self, index: u32, id: RequestId) {
        if self.watch(index, id).is_some() {
            self.finish_watch(index, End::Over);
        }
    }

    /// Takes note that there are no streams here.
    pub(super) fn end_watches(&mut self) {
        self.streams.give_up();
        for index in self.streams.indices() {
            self.drop_watch(index, End::Unwanted);
        }
    }

    /// Closes the shared stream that tells a claim what it wants to know, since it did not.
    pub(super) fn doubt_watch_of(&mut self, slot: u32) {
        let member = self.slots.at(slot).map(|(_, member)| &*member);
        if let Some(index) = member.and_then(|member| self.streams.index_of(member)) {
            self.drop_watch(index, End::Over);
        }
    }

    fn watch(&mut self, index: u32, id: RequestId) -> Option<&mut Watch> {
        self.streams.watch(index).filter(|watch| watch.is(id))
    }

    /// Returns until when all who want to be told spare the server, which has asked each of them for that.
    fn pause_of_all(&mut self, index: u32) -> Option<Instant> {
        let mut slots = self.streams.watch(index)?.slots();
        let mut first = None;
        let are_all = slots.all(|slot| {
            let claim = self.slots.look(slot).map(|member| &member.claim);
            let until = claim.and_then(Claim::pause).filter(|it| self.now < *it);
            first = first.into_iter().chain(until).min();
            until.is_some()
        });
        first.filter(|_| are_all)
    }

    fn open_watch(&mut self, index: u32) -> Option<SetOutput> {
        let slots = self.streams.watch(index)?.slots();
        // Older than what any of them knows, so that nothing is left out. What some know already is no news to them.
        let known = slots.filter_map(|slot| self.slots.look(slot)?.claim.knows());
        let known = known.min();
        let (random, now) = (&mut self.random, self.now);
        let request = self.streams.watch(index)?.begin(known, random, now);
        self.streams.count_opened();
        self.streams.reset(index, now);
        // Some of them may have lined up for streams of their own.
        self.touch_all(index);
        let owner = Owner::Namespace(index);
        let request_id = request.id;
        let tag = Tag {
            owner,
            request: request_id,
        };
        Some(SetOutput::Request(tag, request))
    }

    fn hear_line(&mut self, index: u32, line: &[u8]) {
        let now = self.now;
        let Some(watch) = self.streams.watch(index) else {
            return;
        };
        let Some(subject) = Subject::read(line) else {
            match Change::read_of(watch.namespace(), "", line) {
                Change::Bookmark(version) => watch.advance(version, false),
                Change::Forgotten => {
                    watch.forget();
                    self.drop_watch(index, End::Over);
                }
                Change::Record(..) | Change::Deleted(..) | Change::Unclear => {
                    self.drop_watch(index, End::Over);
                }
            }
            return;
        };
        watch.advance(subject.version, subject.is_addition);
        let mut slots = watch.of(&subject.name).peekable();
        if slots.peek().is_none() {
            drop(slots);
            if watch.is_too_much(now) {
                self.drop_watch(index, End::Useless);
            }
            return;
        }
        let slots: Vec<_> = slots.collect();
        let change = Change::read_of(watch.namespace(), &subject.name, line);
        for slot in slots {
            if let Some((_, member)) = self.slots.at(slot) {
                if change == Change::Unclear {
                    // That is no concern of the others'. It has not been told what there was to tell, and looks by itself.
                    member.claim.leave(None, now);
                } else {
                    member.claim.hear_shared(change.clone(), now);
                }
            }
            self.touch(slot);
        }
    }

    /// Closes a shared stream, if it is there.
    fn drop_watch(&mut self, index: u32, end: End) {
        let request = self.streams.watch(index).and_then(|watch| watch.id());
        if let Some(request) = request {
            let owner = Owner::Namespace(index);
            self.cancelled.push_back(Tag { owner, request });
            self.finish_watch(index, end);
        }
    }

    /// Has all claims of a shared stream that is over go on without it.
    fn finish_watch(&mut self, index: u32, end: End) {
        let (random, now) = (&mut self.random, self.now);
        let Some(watch) = self.streams.watch(index) else {
            return;
        };
        match end {
            End::Over => watch.end(random, now),
            End::Refused => watch.refuse(random, now),
            End::Useless => watch.give_up(random, now),
            End::Unwanted => watch.close(),
        }
        let told = watch.told_all();
        let slots: Vec<_> = watch.slots().collect();
        self.streams.count_ended();
        self.streams.reset(index, now);
        for slot in slots {
            if let Some((_, member)) = self.slots.at(slot) {
                member.claim.leave(told, now);
            }
            self.touch(slot);
        }
    }

    /// Has all claims that want to be told join a stream that has begun and told nothing yet.
    fn join_all(&mut self, index: u32) {
        let now = self.now;
        let Some(watch) = self.streams.watch(index) else {
            return;
        };
        let told = watch.told();
        let slots: Vec<_> = watch.slots().collect();
        for slot in slots {
            if let Some((_, member)) = self.slots.at(slot) {
                member.claim.join(told, now);
            }
            self.touch(slot);
        }
    }

    /// Has all claims looked at that want to be told.
    fn touch_all(&mut self, index: u32) {
        let slots: Vec<_> = self
            .streams
            .watch(index)
            .map(|watch| watch.slots().collect())
            .unwrap_or_default();
        for slot in slots {
            self.touch(slot);
        }
    }
}
