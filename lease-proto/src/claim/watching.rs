//! Being told of changes instead of asking for them: while waiting, and where that is wanted while holding.

use std::{sync::Arc, time::Instant};

use http::{Response, StatusCode};

use super::{
    Claim,
    event::{Event, Loss, Trouble},
    news::News,
    state::{CampaignStep, Patience, Phase, TenureStep},
    stream::Watching,
};
use crate::{
    call::{self, Answer, Call, Request, RequestId},
    change::Change,
    headers, notes,
    wire::{Lease, ResourceVersion},
};

impl Claim {
    /// Takes a piece of a stream, as it came. One of a request that is over is ignored.
    ///
    /// Pieces may end anywhere, also within a character.
    pub fn handle_chunk(&mut self, id: RequestId, chunk: &[u8], now: Instant) {
        self.advance(now);
        let mut rest = chunk;
        while self.watching.is(id) && self.watching.is_open() {
            let Some(line) = self.watching.split(&mut rest) else {
                return;
            };
            self.hear(Change::read(&self.config, &line));
        }
    }

    /// Takes note that a stream has ended, whether as it should or not. One that is over is ignored.
    pub fn handle_end(&mut self, id: RequestId, now: Instant) {
        self.advance(now);
        if self.watching.is(id) {
            self.end_stream(Trouble::NoAnswer);
        }
    }

    /// Takes note that there are no streams here: the record is looked at from time to time, and none is asked for again.
    pub fn handle_no_stream(&mut self, id: RequestId, now: Instant) {
        self.advance(now);
        if self.watching.is(id) {
            self.watching.close();
            Arc::make_mut(&mut self.config.terms).watch = false;
            self.reconsider();
        }
    }

    /// Opens or closes the stream, if that is due.
    pub(super) fn tend_stream(&mut self, may_open: bool) -> Option<Request> {
        if !self.may_watch() {
            self.watching.appreciate(self.now, self.config.retry_period);
            self.cancelled.extend(self.watching.close());
            return None;
        }
        if !may_open || !self.is_stream_due() || !self.should_watch() {
            return None;
        }
        self.spend();
        let length = Watching::length(&mut self.random);
        let from = self.watching.from(self.observed.highest());
        let deadline = self.now + self.config.request_timeout;
        let id = self.number();
        self.watching.begin(id, length, deadline);
        Some(Request {
            id,
            deadline,
            reload_credentials: std::mem::take(&mut self.reload_credentials),
            is_stream: true,
            http: call::watch(&self.config, from, length),
        })
    }

    /// Whether nothing speaks against opening a stream now, if one is wanted.
    pub(super) fn is_stream_due(&self) -> bool {
        !self.watching.is_begun()
            && self.watching.may_begin(self.now)
            && self.quiet_until.is_none_or(|until| until <= self.now)
            && self.opens_at().is_none()
    }

    /// Gives up a stream that should have ended, or begun, by now.
    pub(super) fn notice_stall(&mut self) {
        if self.watching.is_begun() && self.watching.next().is_some_and(|at| at <= self.now) {
            self.drop_stream(Trouble::NoAnswer);
        }
    }

    /// Returns when the stream needs to be looked after.
    pub(super) fn next_of_stream(&self) -> Option<Instant> {
        if self.watching.is_begun() {
            self.watching.next()
        } else {
            // One that is due already waits for a gate to open.
            let next = self.watching.next().max(self.quiet_until);
            let next = next.max(self.opens_at());
            next.filter(|next| self.now < *next && self.should_watch())
        }
    }

    /// Takes the answer to the request for a stream: its beginning, or why there is none.
    pub(super) fn settle_stream(&mut self, id: RequestId, response: &Response<Vec<u8>>) {
        if response.status() == StatusCode::OK {
            if self.watching.is_open() {
                return;
            }
            let now = self.now;
            self.watching.open(now, self.config.request_timeout);
            self.reconsider();
            if !response.body().is_empty() {
                // Whoever cannot stream has the whole of it at once.
                self.handle_chunk(id, response.body(), now);
                self.handle_end(id, now);
            }
            return;
        }
        if response.status() == StatusCode::GONE {
            self.watching.forget();
            self.end_stream(Trouble::Unclear(StatusCode::GONE.into()));
            return;
        }
        let answer = call::classify(&self.config, Call::Watch, response);
        let pause = headers::retry_after(response);
        match answer {
            Answer::Unauthorized(_) if !self.watching.reloaded => {
                self.end_stream(Trouble::Unclear(response.status().into()));
                (self.watching.reloaded, self.reload_credentials) = (true, true);
            }
            Answer::Unauthorized(refusal) | Answer::Refused(refusal) => {
                let (longest, random) = (self.config.retry_period, &mut self.random);
                self.watching.refuse(self.now, longest, random);
                self.poll_instead(Trouble::Refused(refusal));
            }
            Answer::Busy(asked) => {
                self.spare_the_server(asked);
                self.end_stream(Trouble::Busy);
            }
            Answer::Record { .. }
            | Answer::Absent
            | Answer::Deleted
            | Answer::Conflict
            | Answer::Unclear => {
                self.spare_the_server(pause);
                self.end_stream(Trouble::Unclear(call::unclear(response)));
            }
        }
    }

    /// Takes note that there is no stream for now.
    pub(super) fn end_stream(&mut self, trouble: Trouble) {
        let (longest, random) = (self.config.retry_period, &mut self.random);
        self.watching.end(self.now, longest, random);
        self.poll_instead(trouble);
    }

    /// Closes the stream, which cannot be relied on.
    pub(super) fn drop_stream(&mut self, trouble: Trouble) {
        let id = self.watching.id();
        if id.is_some() {
            self.cancelled.extend(id);
            self.end_stream(trouble);
        }
    }

    /// Looks at what was told while a request or a release was under way, now that it is over.
    pub(super) fn catch_up(&mut self) {
        while self.has_time_for_news()
            && let Some(news) = self.watching.kept(None)
        {
            if self.observed.is_news(news.version, news.deleted) {
                self.act_on(news);
            }
        }
    }

    /// Takes note of what was told of earlier versions than an answer shows: how long they have others wait counts.
    pub(super) fn note_earlier(&mut self, lease: &Lease) {
        self.watching.catch_up();
        let version = lease.metadata.resource_version.as_ref();
        let Some(version) = version.and_then(ResourceVersion::number) else {
            return;
        };
        while let Some(news) = self.watching.kept(Some(version)) {
            if self.observed.is_news(news.version, news.deleted) {
                self.note_news(news);
            }
        }
    }

    fn note_news(&mut self, news: News) {
        if self.own_write(&news.lease).is_none() {
            self.observed.note(
                news.lease,
                (&self.config, &self.identity),
                self.now,
                self.clocks.wall(self.now),
            );
        }
        if news.deleted {
            // Its holder may not know yet.
            self.observed.note_absent();
        }
    }

    /// Whether a stream that is there is of use.
    fn may_watch(&self) -> bool {
        let is_of_use = match &self.phase {
            // For a single try none is opened, and none is closed.
            Phase::Campaign(campaign) => {
                campaign.patience != Patience::Once || self.watching.is_begun()
            }
            Phase::Held(_) => self.config.watch_while_held,
            Phase::Idle | Phase::Release(_) => false,
        };
        // Versions that repeat tell nothing of what came first.
        is_of_use && self.config.watch && !self.observed.has_regressed()
    }

    /// Whether a stream should be there: for those who wait.
    pub(super) fn should_watch(&self) -> bool {
        let waits = match &self.phase {
            Phase::Campaign(campaign) => campaign.waits,
            Phase::Held(_) => true,
            Phase::Idle | Phase::Release(_) => false,
        };
        waits && self.may_watch() && self.observed.has_numbers()
    }

    /// Goes back to looking at the record from time to time.
    fn poll_instead(&mut self, trouble: Trouble) {
        if self.watching.is_failing() && !self.watching.told {
            self.watching.told = true;
            if let Phase::Campaign(_) = self.phase {
                self.events.push_back(Event::Polling(trouble));
            }
        }
        self.reconsider();
    }

    /// Waits anew for the same thing, now that the stream has begun or ended.
    pub(super) fn reconsider(&mut self) {
        if let Phase::Campaign(campaign) = &self.phase
            && campaign.waits
            && self.in_flight.is_none()
        {
            self.keep_waiting();
        }
    }

    pub(super) fn hear(&mut self, change: Change) {
        let (lease, deleted, version) = match change {
            Change::Record(lease, version) => (lease, false, version),
            Change::Deleted(lease, version) => (lease, true, version),
            Change::Bookmark(version) => {
                self.watching.advance(version);
                return;
            }
            Change::Forgotten => {
                self.drop_stream(Trouble::Unclear(StatusCode::GONE.into()));
                self.watching.forget();
                return;
            }
            Change::Unclear => {
                self.drop_stream(Trouble::Unclear(StatusCode::OK.into()));
                return;
            }
        };
        self.watching.advance(version);
        // What a cache tells again, or an answer told before.
        if !self.observed.is_news(version, deleted) {
            return;
        }
        let news = News {
            lease,
            deleted,
            version,
        };
        if self.has_time_for_news() || self.is_over_by(&news) {
            self.act_on(news);
        } else {
            let own = self.config.published_seconds();
            self.watching.keep(news, own);
        }
    }

    /// Returns whether a tenure is over by that, whatever becomes of the request that is under way.
    fn is_over_by(&self, news: &News) -> bool {
        let holder = news.lease.spec.holder();
        let is_taken = holder.is_some_and(|holder| holder != self.identity.as_str());
        matches!(self.phase, Phase::Held(_)) && (news.deleted || is_taken)
    }

    fn act_on(&mut self, news: News) {
        match &mut self.phase {
            Phase::Campaign(campaign) => {
                campaign.awaits_news = false;
                if news.deleted {
                    self.hear_of_deletion(news);
                } else {
                    self.hear_in_campaign(news);
                }
            }
            Phase::Held(_) => self.hear_in_tenure(news),
            // Whoever acquires next has seen it.
            Phase::Idle => self.note_news(news),
            Phase::Release(_) => unreachable!("a release goes by what it reads"),
        }
    }

    /// Whether nothing is under way that what is told would come in the way of.
    fn has_time_for_news(&self) -> bool {
        self.in_flight.is_none() && !matches!(self.phase, Phase::Release(_))
    }

    fn hear_in_campaign(&mut self, news: News) {
        let lease = news.lease;
        let is_named = lease.spec.holder() == Some(self.identity.as_str());
        let own = self.own_write(&lease);
        let (now, number) = (self.now, self.campaign().number);
        if own.as_ref().is_some_and(|write| write.campaign != number) {
            // Of a tenure that is over, so that a look would show no grant either.
            let candidacy = self.candidacy.as_deref();
            if !notes::is_renewable(&lease) {
                self.note_foreign(lease, false);
                return;
            }
            if candidacy.is_some_and(|it| it.held_back_until(now).is_some()) {
                self.observed.note_own(lease);
                return;
            }
        }
        if own.is_some() || (is_named && self.config.reclaim_own_identity) {
            // What a stream tells earns nothing: the record is read, after the pause if there is one already.
            let campaign = self.campaign();
            if campaign.step == CampaignStep::Write {
                (campaign.step, campaign.at) = (CampaignStep::Read, now);
            }
            campaign.waits = false;
            return;
        }
        if lease.spec.holder().is_some() {
            self.notice_winner(lease.spec.holder());
        }
        self.note_foreign(lease, is_named);
    }

    fn hear_of_deletion(&mut self, news: News) {
        self.note_news(news);
        self.act_on_verdict();
    }

    fn hear_in_tenure(&mut self, news: News) {
        let Phase::Held(tenure) = &self.phase else {
            return;
        };
        if news.deleted {
            self.observed.note_absent();
            self.lose(Loss::Deleted);
            return;
        }
        // While requests fail, the next one waits for its pause, which the server may have asked for; and so does the look
        // after a lost race, though its answer is told already: whoever writes all the time would be raced all the time.
        let pauses = tenure.told_trouble || tenure.raced || tenure.step == TenureStep::Read;
        let pause = pauses.then_some(tenure.at);
        let is_same = news.lease.metadata.uid.as_ref() == Some(&tenure.uid);
        if is_same && self.own_write(&news.lease).is_some() {
            self.hear_of_own(news.lease);
        } else {
            self.read_in_tenure(news.lease);
        }
        let latest = match &self.phase {
            Phase::Held(tenure) => self.latest_timely(tenure),
            Phase::Idle | Phase::Campaign(_) | Phase::Release(_) => return,
        };
        let quiet = self.quiet_until;
        if let Phase::Held(tenure) = &mut self.phase {
            let quiet = quiet.map(|until| until.min(latest));
            tenure.at = pause.into_iter().chain(quiet).fold(tenure.at, Instant::max);
        }
    }

    /// Takes note that the record is ours still, with an annotation perhaps.
    ///
    /// What a stream tells lengthens no grant, and may shorten one.
    fn hear_of_own(&mut self, lease: Box<Lease>) {
        if !self.clamp(&lease) {
            return;
        }
        let is_short = !self.names_enough(&lease);
        self.observed.note_own(lease);
        if !self.yields()
            && is_short
            && let Phase::Held(tenure) = &mut self.phase
            && tenure.step == TenureStep::Renew
        {
            tenure.at = self.now;
        }
    }
}
