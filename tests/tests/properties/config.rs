//! A configuration is refused exactly if it cannot work: what is accepted holds a Lease.

use std::time::{Duration, Instant, SystemTime};

use lease_proto::{
    Claim, Config, ConfigBuilder, Event, Output, Patience,
    server::{Answer, ApiServer},
};
use proptest::prelude::*;

use super::cases;

/// Timings in microseconds, where they are given.
#[derive(Clone, Debug)]
struct Timings {
    lease: u64,
    deadline: Option<u64>,
    interval: Option<u64>,
    retry: Option<u64>,
    timeout: Option<u64>,
    skew: u64,
    delay: u64,
    whole_seconds: bool,
    unique: Option<bool>,
    reclaims: bool,
}

impl Timings {
    fn builder(&self) -> ConfigBuilder {
        let micros = Duration::from_micros;
        let mut builder = Config::builder("default", "leader", "me")
            .lease_duration(micros(self.lease))
            .max_clock_skew(micros(self.skew))
            .acquire_retry_delay(micros(self.delay))
            .whole_second_observers(self.whole_seconds)
            .reclaim_own_identity(self.reclaims);
        if let Some(unique) = self.unique {
            builder = builder.unique_identity(unique);
        }
        if let Some(deadline) = self.deadline {
            builder = builder.renew_deadline(micros(deadline));
        }
        if let Some(interval) = self.interval {
            builder = builder.renew_interval(micros(interval));
        }
        if let Some(retry) = self.retry {
            builder = builder.retry_period(micros(retry));
        }
        if let Some(timeout) = self.timeout {
            builder = builder.request_timeout(micros(timeout));
        }
        builder
    }

    /// Whether it can work, in words of its own, in nanoseconds.
    fn can_work(&self) -> bool {
        let nanos = |micros: u64| u128::from(micros) * 1_000;
        let lease = nanos(self.lease);
        let deadline = self.deadline.map_or(lease * 2 / 3, nanos);
        let margins = lease / 500 + nanos(self.skew);
        let grant = lease.saturating_sub(margins).min(deadline);
        let tick = 1_000_000;
        let interval = self.interval.map_or(lease / 3, nanos);
        let retry = self.retry.map_or(lease * 2 / 15, nanos);
        let timeout = self.timeout.map_or(deadline / 2, nanos);
        // What the record names fits into it.
        (tick * 1_000..=tick * 1_000 * 0x7fff_ffff).contains(&lease)
            // Observers that see whole seconds can be kept from taking it.
            && (!self.whole_seconds || (lease >= 3_000 * tick && grant >= 1_500 * tick))
            // The holder stops before others may start.
            && deadline <= lease
            // There is a renewal in each grant, and room for another try.
            && (tick..grant).contains(&interval)
            && (tick..deadline).contains(&retry)
            && (tick..deadline).contains(&timeout)
            && nanos(self.delay) <= lease
            // Nobody can meet again an identity that is made anew.
            && !(self.reclaims && self.unique == Some(true))
    }
}

/// Timings about as often valid as not, many of them on the very edge.
fn timings() -> impl Strategy<Value = Timings> {
    let lease = prop_oneof![
        4 => Just(15_000_000_u64),
        3 => 1_000_000_u64..20_000_000,
        2 => prop::sample::select(vec![0, 999_999, 1_000_000, 2_999_999, 3_000_000, 3_000_001]),
        1 => prop::sample::select(vec![2_147_483_647_000_000, 2_147_483_647_000_001]),
    ];
    // A part of the lease duration, and how far beside it.
    let part = || {
        (
            0_u64..=16,
            prop::sample::select(vec![-1_i64, 0, 0, 0, 1, 997]),
        )
    };
    let maybe = || prop::option::weighted(0.4, part());
    let rarely = || prop::option::weighted(0.15, part());
    (
        lease,
        (maybe(), maybe(), maybe(), maybe(), rarely(), rarely()),
        any::<bool>(),
        prop::option::of(any::<bool>()),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(lease, parts, whole_seconds, unique, reclaims)| {
            let of = |part: Option<(u64, i64)>| {
                part.map(|(part, beside)| (lease / 15 * part).saturating_add_signed(beside))
            };
            let (deadline, interval, retry, timeout, skew, delay) = parts;
            Timings {
                lease,
                deadline: of(deadline),
                interval: of(interval),
                retry: of(retry),
                timeout: of(timeout),
                skew: of(skew).unwrap_or(0),
                delay: of(delay).unwrap_or(100_000),
                whole_seconds,
                unique,
                reclaims,
            }
        })
}

/// How long a claim keeps the Lease of a server that answers at once, in grants.
fn grants_kept(config: &Config, start: Instant) -> Result<u32, String> {
    let mut server = ApiServer::new();
    let mut claim = Claim::new(config.clone(), 7, start);
    let (mut now, mut held, mut renewals) = (start, false, 0);
    claim.acquire(Patience::Once, now);
    let grants = 5;
    let end = start + config.grant_length() * grants;
    while now < end {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_203_117) + (now - start);
        match claim.poll_output(now, wall) {
            Output::Request(request) => match server.handle(&request.http, wall) {
                Answer::Whole(response) => claim.handle_response(request.id, &response, now),
                Answer::Watch(..) => return Err("asked for a watch".to_owned()),
            },
            Output::Event(Event::Acquired(_)) => held = true,
            Output::Event(Event::Renewed(_)) => renewals += 1,
            Output::Wait(until) if held => now = until,
            other @ (Output::Wait(_) | Output::Event(_) | Output::Cancel(_) | Output::Done) => {
                return Err(format!("{other:?}"));
            }
        }
    }
    if renewals < grants - 1 {
        return Err(format!("{renewals} renewals in {grants} grants"));
    }
    Ok(grants)
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn what_cannot_work_is_refused_and_nothing_else(timings in timings()) {
        let built = timings.builder().build();
        prop_assert_eq!(built.is_ok(), timings.can_work(), "{:?}", built);
        match built {
            Ok(config) => {
                prop_assert!(config.grant_length() <= config.lease_duration());
                let published = Duration::from_secs(config.published_seconds().unsigned_abs());
                prop_assert!(published >= config.lease_duration());
                let start = Instant::now() + Duration::from_secs(1_000);
                prop_assert_eq!(grants_kept(&config, start), Ok(5));
            }
            Err(error) => {
                let error = error.to_string();
                prop_assert!(error.len() > 30 && !error.ends_with('.'), "{}", error);
            }
        }
    }
}
