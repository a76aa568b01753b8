//! A claim, and a driver that does to it what a script says.

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use http::Method;
use lease_proto::{Claim, Config, Event, Loss, Output, Patience, Request, RequestId};
use serde_json::Value;

use super::{
    oracle::Oracle,
    steps::{Setup, Step, Store, Wish, add_headers},
};

/// More outputs in a row than any input can call for.
const MANY: usize = 50;

macro_rules! ensure {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err(format!($($what)+));
        }
    };
}
pub(super) use ensure;

/// A bug that is planted between a shipped claim and the oracle, to see whether the oracle can fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Planted {
    /// Believes for a millisecond longer than it may.
    BelievesLonger,
    /// Says Lost twice.
    LosesTwice,
    /// Never says Lost.
    NeverLoses,
    /// Gives every tenure the same token.
    OneToken,
    /// Asks to be woken at once.
    WakesAtOnce,
    /// Says something new whenever it is asked.
    NeverEnds,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::BelievesLonger,
        Self::LosesTwice,
        Self::NeverLoses,
        Self::OneToken,
        Self::WakesAtOnce,
        Self::NeverEnds,
    ];
}

/// A claim, its driver, and an oracle that has seen all that went in and came out.
#[derive(Debug)]
pub struct Run {
    claim: Claim,
    bug: Option<Planted>,
    oracle: Oracle,
    store: Store,
    start: Instant,
    micros: u64,
    wall: i64,
    in_flight: Option<Request>,
    wait: Option<Instant>,
    log: Option<Vec<String>>,
}

impl Run {
    /// A run of a claim with this configuration.
    pub fn new(setup: Setup, bug: Option<Planted>) -> Self {
        let start = start() + Duration::from_secs(100);
        let claim = Claim::new(setup.config.clone(), 7, start);
        Self {
            oracle: Oracle::new(setup, &claim),
            claim,
            bug,
            store: Store::new(),
            start,
            micros: 0,
            wall: 1_795_203_117,
            in_flight: None,
            wait: None,
            log: None,
        }
    }

    /// Writes down what comes out.
    #[must_use]
    pub fn logged(mut self) -> Self {
        self.log = Some(Vec::new());
        self
    }

    /// What has come out.
    pub fn log(&self) -> &[String] {
        self.log.as_deref().unwrap_or_default()
    }

    /// Lets one thing happen.
    ///
    /// # Errors
    ///
    /// A promise is broken: the text says which.
    pub fn take(&mut self, step: &Step) -> Result<(), String> {
        let now = self.now();
        match step {
            Step::Pass(micros) => self.micros += micros,
            Step::Sleep => {
                if let Some(until) = self.wait {
                    let micros = until.saturating_duration_since(self.start).as_micros();
                    let micros = u64::try_from(micros).unwrap_or(u64::MAX).saturating_add(1);
                    // Further than a century nobody sleeps.
                    self.micros = self.micros.max(micros.min(3_000_000_000_000_000));
                }
            }
            Step::Back(micros) => {
                let earlier =
                    self.start + Duration::from_micros(self.micros.saturating_sub(*micros));
                let wall = self.wall();
                self.poll(earlier, wall)?;
            }
            Step::Wall(seconds) => self.wall = *seconds,
            Step::Answer(code, body, headers) => {
                if let Some(request) = self.in_flight.take() {
                    let identity = self.claim.identity().as_str();
                    let mut response = self.store.response(*code, body, identity);
                    add_headers(&mut response, headers);
                    self.oracle.hear_answer(&request.http, &response, now);
                    self.claim.handle_response(request.id, &response, now);
                }
            }
            Step::Fail => {
                if let Some(request) = self.in_flight.take() {
                    self.claim.handle_failure(request.id, now);
                }
            }
            Step::Stale(back, code, body) => {
                // Ids count from zero in each claim: another claim's are those of this one's past and future.
                let id = id(*back, self.start);
                if self.in_flight.as_ref().map(|request| request.id) != id
                    && let Some(id) = id
                {
                    let before = self.claim.clone();
                    let identity = self.claim.identity().as_str();
                    let response = self.store.response(*code, body, identity);
                    self.claim.handle_response(id, &response, self.start);
                    ensure!(
                        before == self.claim,
                        "an answer to nothing changed {before:?} to {:?}",
                        self.claim
                    );
                }
            }
            Step::Acquire(wish) => {
                let patience = match wish {
                    Wish::Once => Patience::Once,
                    Wish::Until(micros) => Patience::Until(now + Duration::from_micros(*micros)),
                    Wish::Forever => Patience::Forever,
                };
                self.claim.acquire(patience, now);
            }
            Step::Resume => self.claim.resume(now),
            Step::Verify => self.claim.verify(now),
            Step::Release => {
                self.oracle.hear_release();
                self.claim.release(now);
            }
        }
        let (now, wall) = (self.now(), self.wall());
        self.poll(now, wall)
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_micros(self.micros)
    }

    fn wall(&self) -> SystemTime {
        let micros = Duration::from_micros(self.micros);
        let seconds = Duration::from_secs(self.wall.unsigned_abs());
        if self.wall < 0 {
            SystemTime::UNIX_EPOCH - seconds + micros
        } else {
            SystemTime::UNIX_EPOCH + seconds + micros
        }
    }

    /// Polls until there is nothing to be done.
    fn poll(&mut self, now: Instant, wall: SystemTime) -> Result<(), String> {
        self.check_belief()?;
        for _ in 0..MANY {
            let output = self.output(now, wall);
            if let Some(log) = &mut self.log {
                log.push(format!("{output:?}"));
            }
            match output {
                Output::Request(request) => {
                    ensure!(self.in_flight.is_none(), "two requests in flight");
                    ensure!(request.deadline > self.now(), "a request that is over");
                    self.hear_request(&request.http)?;
                    self.in_flight = Some(request);
                }
                Output::Cancel(id) => {
                    let was = self.in_flight.take().map(|request| request.id);
                    ensure!(was == Some(id), "{id} was cancelled, and {was:?} in flight");
                }
                Output::Event(event) => self.hear_event(&event)?,
                Output::Wait(until) => {
                    ensure!(until > now, "a wait that is over");
                    let again = self.output(now, wall);
                    let is_same = matches!(again, Output::Wait(again) if again == until);
                    ensure!(is_same, "said {again:?} after it had said to wait");
                    self.wait = Some(until);
                    return self.check_belief();
                }
                Output::Done => {
                    ensure!(self.in_flight.is_none(), "done with a request in flight");
                    self.oracle.hear_end()?;
                    let again = self.output(now, wall);
                    ensure!(
                        matches!(again, Output::Done),
                        "said {again:?} after the end"
                    );
                    self.wait = None;
                    return self.check_belief();
                }
            }
        }
        Err("so many outputs and no end".to_owned())
    }

    fn output(&mut self, now: Instant, wall: SystemTime) -> Output {
        match (self.bug, self.claim.poll_output(now, wall)) {
            (Some(Planted::WakesAtOnce), Output::Wait(_)) => Output::Wait(now),
            (Some(Planted::NeverEnds), Output::Done) => {
                Output::Event(Event::Released(lease_proto::Released::NotOurs))
            }
            (_, output) => output,
        }
    }

    fn hear_request(&mut self, request: &http::Request<Vec<u8>>) -> Result<(), String> {
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        self.oracle.hear_request(request, &body, self.now())?;
        if request.method() != Method::DELETE && body["spec"].is_object() {
            self.store.hear(&body["spec"]);
        }
        Ok(())
    }

    fn hear_event(&mut self, event: &Event) -> Result<(), String> {
        let now = self.now();
        match (self.bug, event) {
            (Some(Planted::LosesTwice), Event::Lost(_)) => self.oracle.hear_event(event, now)?,
            (Some(Planted::NeverLoses), Event::Lost(_)) => return Ok(()),
            (Some(Planted::OneToken), Event::Acquired(grant)) => {
                let mut grant = *grant;
                grant.token = self.oracle.first_token().or(grant.token);
                return self.oracle.hear_event(&Event::Acquired(grant), now);
            }
            _ => {}
        }
        if let Event::Lost(Loss::Expired) = event {
            ensure!(!self.claim.is_held(now), "held after it was lost");
        }
        self.oracle.hear_event(event, now)
    }

    fn check_belief(&self) -> Result<(), String> {
        let now = self.now();
        let grant = self.claim.grant(now);
        ensure!(
            self.claim.is_held(now) == grant.is_some(),
            "held or not held: {grant:?}"
        );
        let Some(grant) = grant else {
            return Ok(());
        };
        ensure!(
            !self.claim.is_held(grant.valid_until),
            "held at {:?}, when the grant ends",
            grant.valid_until
        );
        let longer = self.bug == Some(Planted::BelievesLonger);
        let until = grant.valid_until + Duration::from_millis(u64::from(longer));
        self.oracle.check_belief(until)
    }
}

fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// A request id of the past or of the future.
fn id(number: u64, start: Instant) -> Option<RequestId> {
    static IDS: OnceLock<Vec<RequestId>> = OnceLock::new();
    let ids = IDS.get_or_init(|| {
        let config = Config::builder("default", "leader", "me")
            .watch(false)
            .build();
        let mut claim = Claim::new(config.expect("the defaults are valid"), 7, start);
        claim.acquire(Patience::Forever, start);
        let mut now = start;
        let mut ids = Vec::new();
        while ids.len() < 40 {
            match claim.poll_output(now, SystemTime::UNIX_EPOCH) {
                Output::Request(request) => {
                    ids.push(request.id);
                    claim.handle_failure(request.id, now);
                }
                Output::Wait(until) => now = until,
                Output::Cancel(_) | Output::Event(_) | Output::Done => {}
            }
        }
        ids
    });
    ids.get(usize::try_from(number).ok()?).copied()
}
