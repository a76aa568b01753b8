//! How many requests a claim may send: a few at once, and then so many a second, whatever goes wrong.
//!
//! Pauses are chosen one by one, each for what has just happened. Who refuses, breaks streams, writes and deletes in turn
//! could have each of them begin anew; this is the bound that holds for all of them together (rule R2).

use std::time::{Duration, Instant};

use crate::config::Config;

/// How many may be sent at once: three tries, each of a look and a write.
const AT_ONCE: u32 = 6;
/// The longest time after which there may be one more.
const LONGEST: Duration = Duration::from_millis(500);

/// A bucket that fills as time goes by: it is known by how long that takes.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Budget {
    /// In nanoseconds, as there is one in every claim: four seconds at the most, while it is empty after three.
    full_in: u32,
}

impl Budget {
    /// After which time there may be one more: half a second, or less where a tenth of a renewal's interval or a quarter of a
    /// retry period is less.
    pub(crate) fn interval(config: &Config) -> Duration {
        let interval = (config.renew_interval / 10).min(config.retry_period / 4);
        interval.min(LONGEST)
    }

    /// Takes note of the time that has passed.
    pub(crate) fn advance(&mut self, passed: Duration) {
        self.full_in = self.full_in.saturating_sub(nanos(passed));
    }

    /// Takes note of a request, whether or not it might be sent.
    pub(crate) fn spend(&mut self, interval: Duration) {
        self.full_in = self.full_in.saturating_add(nanos(interval));
    }

    /// Has `requests` more be sent, as whoever gives a command expects them at once.
    pub(crate) fn allow(&mut self, requests: u32, interval: Duration) {
        self.advance(interval * requests);
    }

    /// Returns when so many may be sent one after the other, unless that is now.
    pub(crate) fn opens_at(
        &self,
        now: Instant,
        requests: u32,
        interval: Duration,
    ) -> Option<Instant> {
        let full_in = Duration::from_nanos(self.full_in.into());
        let wait = full_in.saturating_sub(interval * (AT_ONCE - requests));
        (!wait.is_zero()).then(|| now + wait)
    }
}

fn nanos(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(500);

    /// Sends whatever may be sent for so long, and returns when.
    fn sent_within(budget: &mut Budget, start: Instant, length: Duration) -> Vec<Duration> {
        let (mut now, mut sent) = (start, Vec::new());
        loop {
            if let Some(at) = budget.opens_at(now, 1, INTERVAL) {
                assert!(at <= now + INTERVAL, "it waits for longer than for one");
                if start + length < at {
                    return sent;
                }
                budget.advance(at - now);
                now = at;
            } else {
                budget.spend(INTERVAL);
                sent.push(now - start);
            }
        }
    }

    #[test]
    fn a_few_go_at_once_and_then_two_a_second() {
        let (mut budget, start) = (Budget::default(), some_instant());
        let sent = sent_within(&mut budget, start, Duration::from_secs(10));
        assert_eq!(sent.len(), 26);
        assert_eq!(sent[5], Duration::ZERO);
        assert_eq!(sent[6], INTERVAL);
        // It is never saved for later than it takes to fill.
        budget.advance(Duration::from_secs(3_600));
        let sent = sent_within(&mut budget, start, Duration::from_secs(10));
        assert_eq!(sent.len(), 26);
    }

    #[test]
    fn a_command_allows_some_more() {
        let (mut budget, start) = (Budget::default(), some_instant());
        assert_eq!(sent_within(&mut budget, start, Duration::ZERO).len(), 6);
        budget.allow(5, INTERVAL);
        assert_eq!(sent_within(&mut budget, start, Duration::ZERO).len(), 5);
        // They are not saved either.
        budget.advance(Duration::from_secs(60));
        budget.allow(5, INTERVAL);
        assert_eq!(sent_within(&mut budget, start, Duration::ZERO).len(), 6);
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "there is no other way to make an instant, and any will do"
    )]
    fn some_instant() -> Instant {
        Instant::now()
    }
}
