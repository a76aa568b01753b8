//! What is asked for besides the Lease itself: the announcement, and a list of those of others.

use std::time::{Duration, Instant};

use http::{Response, StatusCode};

use super::{
    Candidacy, DOUBTS, LONGEST_PAUSE, Own, PAUSE, REFUSED, UnderWay, WITHDRAWALS, ranking::Litter,
};
use crate::{
    call::{MAX_BODY, RequestId},
    candidate::{self, Candidate},
    config::Config,
    plain::{self, ApiError, Preconditions},
    refusal::Refusal,
    wire::{Identity, LeaseName, MicroTime},
};

/// A request that only waiting by priority needs.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Errand {
    /// Make the own announcement.
    Announce,
    /// Renew it.
    Renew,
    /// See what has become of it.
    Look,
    /// Delete it.
    Withdraw,
    /// List all announcements.
    List,
    /// Delete one that was left behind.
    Bury(Litter),
}

/// What the claim has to know of the outcome.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Nothing.
    Settled,
    /// The server does not know the credentials, which are to be read again.
    Unauthorized,
    /// The server is overloaded or in trouble.
    Busy,
    /// It was refused, which the application does not know yet.
    Refused(Refusal),
}

impl Errand {
    /// Returns whether it may change the own announcement.
    pub(super) fn writes_own(&self) -> bool {
        match self {
            Self::Announce | Self::Renew | Self::Withdraw => true,
            Self::Look | Self::List | Self::Bury(_) => false,
        }
    }
}

impl Candidacy {
    /// Renders an errand, of which the caller has made sure that nothing else is under way.
    pub(crate) fn begin(
        &mut self,
        (id, errand): (RequestId, Errand),
        (config, identity): (&Config, &Identity),
        (sent, deadline): (Instant, Instant),
        wall: MicroTime,
    ) -> http::Request<Vec<u8>> {
        let namespace = config.namespace();
        let name = self.name(config, identity);
        let since = *self.since.get_or_insert(wall);
        let terms = (self.priority, since);
        let http = match &errand {
            Errand::Announce => {
                let lease = candidate::announce(config, None, identity, terms, (&name, wall));
                plain::create(namespace, &lease)
            }
            Errand::Renew => {
                let last = match &self.own {
                    Own::There(lease) => Some(&**lease),
                    Own::None | Own::Unsure => None,
                };
                let lease = candidate::announce(config, last, identity, terms, (&name, wall));
                let update = plain::update(namespace, &name, &lease);
                update.unwrap_or_else(|_| plain::get(namespace, &name))
            }
            Errand::Look => plain::get(namespace, &name),
            Errand::Withdraw => plain::delete(namespace, &name, &self.preconditions()),
            Errand::List => plain::list_of(namespace, &candidate::candidates_of(config.name())),
            Errand::Bury(Litter { name, uid, version }) => {
                self.others.forget(name);
                self.has_tidied = true;
                let mut exactly = Preconditions::none();
                (exactly.uid, exactly.resource_version) = (uid.clone(), version.clone());
                plain::delete(namespace, name, &exactly)
            }
        };
        self.under_way = Some(UnderWay {
            id,
            errand,
            sent,
            deadline,
        });
        http
    }

    /// Takes the outcome of what is under way; `None` if no usable answer came.
    pub(crate) fn settle(
        &mut self,
        response: Option<&Response<Vec<u8>>>,
        (config, identity): (&Config, &Identity),
        (now, time): (Instant, Option<MicroTime>),
        stands: bool,
    ) -> Outcome {
        let Some(UnderWay { errand, sent, .. }) = self.under_way.take() else {
            return Outcome::Settled;
        };
        let name = self.name(config, identity);
        let response = response.filter(|response| response.body().len() <= MAX_BODY);
        let result = match response {
            Some(response) => self.read(
                &errand,
                response,
                (config, &name),
                identity,
                (sent, now, time),
            ),
            None => Err(None),
        };
        let outcome = match result {
            Ok(()) => {
                (self.not_before, self.reloaded) = (None, false);
                if let Some(doubts) = self.doubts.of(&errand) {
                    *doubts = DOUBTS;
                }
                self.count_collision(&errand, now);
                self.failures = match errand {
                    // What is found to be there, or not, is written next, and that may fail once more.
                    Errand::Look => self.failures,
                    Errand::List | Errand::Bury(_) => self.failures.saturating_sub(1),
                    Errand::Announce | Errand::Renew if self.own == Own::Unsure => self.failures,
                    Errand::Announce | Errand::Renew | Errand::Withdraw => 0,
                };
                Outcome::Settled
            }
            Err(error) => self.fail(&errand, error, now),
        };
        if !stands && self.failures >= WITHDRAWALS {
            self.own = Own::None;
        }
        match &self.own {
            Own::None => (self.has_been, self.place) = (false, None),
            Own::Unsure => {}
            Own::There(lease) => self.place = Candidate::read(lease),
        }
        outcome
    }

    /// Makes room if the own announcement was not as it was last seen, more than once: whoever writes it too may go on.
    fn count_collision(&mut self, errand: &Errand, now: Instant) {
        if !matches!(errand, Errand::Announce | Errand::Renew) {
            return;
        }
        if let Own::There(_) = self.own {
            self.collisions = 0;
            return;
        }
        let pause = self.collisions.checked_sub(1).map(pause_of);
        self.not_before = pause.map(|pause| now + pause);
        self.collisions = self.collisions.saturating_add(1);
    }

    /// Reads an answer, and keeps what it says; an error without a reason is that of an answer that says nothing.
    fn read(
        &mut self,
        errand: &Errand,
        response: &Response<Vec<u8>>,
        (config, name): (&Config, &LeaseName),
        identity: &Identity,
        (sent, now, time): (Instant, Instant, Option<MicroTime>),
    ) -> Result<(), Option<ApiError>> {
        let namespace = config.namespace();
        match errand {
            Errand::Announce | Errand::Renew => {
                let lease = if *errand == Errand::Announce {
                    plain::read_create(namespace, name, response)
                } else {
                    plain::read_update(namespace, name, response)
                };
                match lease {
                    Ok(lease) => self.own = Own::There(Box::new(lease)),
                    // It may be ours: its name is made of our identity.
                    Err(ApiError::AlreadyExists(_) | ApiError::Conflict(_)) => {
                        self.own = Own::Unsure
                    }
                    Err(ApiError::NotFound(_)) => self.own = Own::None,
                    Err(error) => return Err(Some(error)),
                }
                self.renew_at = now + self.duration / 2;
            }
            Errand::Look => match plain::read_get(namespace, name, response).map_err(Some)? {
                None => self.own = Own::None,
                // Its name is made of our identity. What somebody has edited beside that is mended by renewing it.
                Some(lease) if lease.spec.holder() == Some(identity.as_str()) => {
                    self.own = Own::There(Box::new(lease));
                    self.renew_at = now;
                }
                Some(_) => (self.own, self.attempt) = (Own::None, self.attempt.saturating_add(1)),
            },
            Errand::Withdraw => match plain::read_delete(namespace, name, response) {
                // Somebody has replaced it, who will withdraw it.
                Ok(_) | Err(ApiError::Conflict(_)) => self.own = Own::None,
                Err(error) => return Err(Some(error)),
            },
            Errand::List => {
                let (leases, _) = plain::read_list(Some(namespace), response).map_err(Some)?;
                self.others.note(config.name(), leases, now, time);
                (self.listed, self.has_tidied) = (Some(sent), false);
                self.list_at = now + self.duration / 2;
            }
            // Unless the server asks for a pause it does not matter what became of it: it is not tried again before somebody has
            // waited as long once more.
            Errand::Bury(litter) => {
                let result = plain::read_delete(namespace, &litter.name, response);
                if let Err(error @ (ApiError::Server(_) | ApiError::TooManyRequests(_))) = result {
                    return Err(Some(error));
                }
            }
        }
        Ok(())
    }

    fn fail(&mut self, errand: &Errand, error: Option<ApiError>, now: Instant) -> Outcome {
        let may_be_done = matches!(
            error,
            None | Some(ApiError::Server(_) | ApiError::Unreadable { .. })
        );
        if errand.writes_own() && may_be_done {
            self.own = Own::Unsure;
        }
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + pause_of(self.failures.saturating_sub(1)));
        let refusal = match error {
            None | Some(ApiError::Unreadable { .. } | ApiError::NotRead) => {
                return Outcome::Settled;
            }
            Some(ApiError::Server(_) | ApiError::TooManyRequests(_)) => return Outcome::Busy,
            Some(ApiError::Unauthorized(_)) if !self.reloaded => {
                (self.reloaded, self.not_before) = (true, None);
                return Outcome::Unauthorized;
            }
            Some(error) => error.refusal().cloned(),
        };
        let status = refusal.as_ref().map(Refusal::status);
        let may_be_new = matches!(
            status,
            Some(StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED)
        );
        if let Some(doubts) = self.doubts.of(errand)
            && may_be_new
            && *doubts > 0
        {
            *doubts -= 1;
            self.not_before = Some(now + LONGEST_PAUSE);
            return Outcome::Settled;
        }
        let bar = match errand {
            Errand::List => &mut self.no_listing,
            // It is withdrawn in the end, as far as that is permitted.
            Errand::Renew => &mut self.no_announcing,
            Errand::Announce | Errand::Look => {
                // It is not there, or dead soon.
                self.own = Own::None;
                &mut self.no_announcing
            }
            Errand::Withdraw => {
                self.own = Own::None;
                return self.told_once(refusal);
            }
            Errand::Bury(_) => return Outcome::Settled,
        };
        *bar = Some(now + REFUSED);
        self.told_once(refusal)
    }

    /// Has the application told of a refusal, unless it knows of one.
    fn told_once(&mut self, refusal: Option<Refusal>) -> Outcome {
        match refusal.filter(|_| !std::mem::replace(&mut self.told, true)) {
            Some(refusal) => Outcome::Refused(refusal.of_announcement()),
            None => Outcome::Settled,
        }
    }
}

/// The pause after so many failures in a row before this one.
fn pause_of(failures: u32) -> Duration {
    (PAUSE * (1 << failures.min(3))).min(LONGEST_PAUSE)
}
