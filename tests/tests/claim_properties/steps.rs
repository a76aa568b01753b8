//! What may happen to a claim, and how it may be configured.

use std::time::Duration;

use lease_proto::{Config, OnRelease, WriteMethod};
use lease_tests::fuzzing::{Body, Change, Setup, Step, Wish};
use proptest::prelude::*;
use serde_json::json;

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let times = prop::sample::select(vec![
        json!(null),
        json!(""),
        json!("soon"),
        json!("2026-11-20T19:31:57.250000Z"),
        json!("2026-11-20T19:31:58Z"),
        json!("0000-01-01T00:00:00Z"),
        json!("9999-12-30T22:00:00.000000Z"),
        json!("9999-12-30T21:59:59.999999Z"),
    ]);
    let numbers = prop::sample::select(vec![
        json!(null),
        json!(0),
        json!(1),
        json!(-7),
        json!(i32::MAX),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(1.5),
        json!("15"),
    ]);
    let texts = prop::sample::select(vec![json!(null), json!(""), json!("other"), json!("me")]);
    let versions = prop::sample::select(vec![
        json!("1"),
        json!("10"),
        json!("18446744073709551616"),
        json!("abc"),
        json!(""),
        json!(null),
    ]);
    prop_oneof![
        4 => Just(Change::OwnName),
        4 => (prop::sample::select(vec!["acquireTime", "renewTime"]), times)
            .prop_map(|(name, value)| Change::Spec(name, value)),
        3 => (prop::sample::select(vec!["leaseDurationSeconds", "leaseTransitions"]), numbers)
            .prop_map(|(name, value)| Change::Spec(name, value)),
        4 => texts.clone().prop_map(|value| Change::Spec("holderIdentity", value)),
        1 => (prop::sample::select(vec!["strategy", "preferredHolder"]), texts)
            .prop_map(|(name, value)| Change::Spec(name, value)),
        3 => versions.prop_map(|value| Change::Meta("resourceVersion", value)),
        1 => prop::sample::select(vec![json!("u2"), json!(null)])
            .prop_map(|value| Change::Meta("uid", value)),
        1 => Just(Change::Meta("annotations", json!({"note": "by hand"}))),
    ]
}

pub(crate) fn body() -> impl Strategy<Value = Body> {
    let changes = || prop::collection::vec(change(), 0..3);
    prop_oneof![
        6 => Just(Body::Written(Vec::new())),
        3 => changes().prop_map(Body::Written),
        4 => Just(Body::Stored(Vec::new())),
        4 => changes().prop_map(Body::Stored),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Body::Bytes),
    ]
}

pub(crate) fn status() -> impl Strategy<Value = u16> {
    prop_oneof![
        10 => Just(200_u16),
        4 => Just(201),
        4 => prop::sample::select(vec![404_u16, 409, 401, 403, 429, 500, 503]),
        1 => 200_u16..=599,
    ]
}

pub(crate) fn wait() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0_u64..2_000_000,
        2 => 0_u64..20_000_000,
        1 => Just(0),
        1 => 0_u64..10_000_000_000_000,
    ]
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let retry_after = prop::option::weighted(0.2, prop::sample::select(vec![0, 1, 3, u64::MAX]));
    let wish = prop_oneof![
        1 => Just(Wish::Once),
        1 => (0_u64..30_000_000).prop_map(Wish::Until),
        3 => Just(Wish::Forever),
    ];
    prop_oneof![
        3 => wait().prop_map(Step::Pass),
        5 => Just(Step::Sleep),
        1 => (0_u64..30_000_000).prop_map(Step::Back),
        1 => prop_oneof![
            2 => (-5_i64..30).prop_map(|seconds| 1_795_203_117 + seconds),
            1 => any::<i32>().prop_map(i64::from),
            1 => 253_402_200_000_i64..253_402_300_800,
        ].prop_map(Step::Wall),
        12 => (status(), body(), retry_after).prop_map(|(code, body, after)| Step::Answer(code, body, headers(after))),
        2 => Just(Step::Fail),
        1 => (0_u64..40, status(), body()).prop_map(|(id, code, body)| Step::Stale(id, code, body)),
        3 => wish.prop_map(Step::Acquire),
        1 => Just(Step::Resume),
        1 => Just(Step::Verify),
        1 => Just(Step::Release),
    ]
}

fn headers(retry_after: Option<u64>) -> Vec<(&'static str, Vec<u8>)> {
    let value = retry_after.map(|after| after.to_string().into_bytes());
    value
        .map(|value| ("retry-after", value))
        .into_iter()
        .collect()
}

/// Settings that are mostly valid, from a millisecond to 68 years; those that are not are passed over.
pub(crate) fn setup() -> impl Strategy<Value = Setup> {
    let lease = prop_oneof![
        3 => Just(15_000_u64),
        2 => 1_000_u64..60_000,
        1 => prop::sample::select(vec![1_000_u64, 3_000, 2_147_483_647_000]),
    ];
    // In thousandths of the lease duration, or of what is left of it.
    let part = || prop::option::of(1_u64..=1_000);
    (
        lease,
        (part(), part(), part(), part(), part()),
        (any::<bool>(), any::<bool>(), any::<bool>()),
        (0_u32..4, 0_u64..=1_000, 0_u8..3, any::<bool>()),
    )
        .prop_filter_map(
            "not a valid configuration",
            |(lease, parts, flags, more)| {
                let of = |part: u64| Duration::from_millis((lease * part / 1_000).max(1));
                let (deadline, interval, retry, timeout, skew) = parts;
                let (reclaims, unique, whole) = flags;
                let (retries, race, on_release, patches) = more;
                let mut builder = Config::builder("default", "leader", "me")
                    .watch(false)
                    .lease_duration(Duration::from_millis(lease))
                    .reclaim_own_identity(reclaims)
                    .unique_identity(unique && !reclaims)
                    .whole_second_observers(whole)
                    .acquire_retries(retries)
                    .acquire_retry_delay(if race == 0 { Duration::ZERO } else { of(race) })
                    .max_clock_skew(skew.map_or(Duration::ZERO, |skew| of(skew / 4)));
                if let Some(part) = deadline {
                    builder = builder.renew_deadline(of(part));
                }
                let within = |part: u64| of(deadline.unwrap_or(666) * part / 1_000);
                if let Some(part) = interval {
                    builder = builder.renew_interval(within(part));
                }
                builder = builder.retry_period(within(retry.unwrap_or(200)));
                if let Some(part) = timeout {
                    builder = builder.request_timeout(within(part));
                }
                builder = builder.on_release(match on_release {
                    0 => OnRelease::Clear,
                    1 => OnRelease::Delete,
                    _ => OnRelease::Expire,
                });
                if patches {
                    builder = builder.write_method(WriteMethod::Patch);
                }
                let config = builder.build().ok()?;
                Some(Setup {
                    config,
                    reclaims,
                    whole_seconds: whole,
                })
            },
        )
}
