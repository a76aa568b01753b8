//! Which configurations are accepted.

use super::*;

fn builder() -> ConfigBuilder {
    Config::builder("default", "leader", "me")
}

fn with_duration(millis: u64) -> ConfigBuilder {
    builder().lease_duration(Duration::from_millis(millis))
}

#[test]
fn the_defaults_are_those_of_client_go() {
    let config = builder().build().unwrap();
    assert_eq!(config.lease_duration(), Duration::from_secs(15));
    assert_eq!(config.renew_deadline(), Duration::from_secs(10));
    assert_eq!(config.retry_period(), Duration::from_secs(2));
    assert_eq!(config.renew_interval(), Duration::from_secs(5));
    assert_eq!(config.grant_length(), Duration::from_secs(10));
}

#[test]
fn whoever_holds_for_hours_waits_no_longer_after_a_failure_or_for_an_answer() {
    let config = with_duration(7_200_000).build().unwrap();
    assert_eq!(config.retry_period(), Duration::from_secs(10));
    assert_eq!(config.request_timeout(), Duration::from_secs(30));
    let config = with_duration(75_000).build().unwrap();
    assert_eq!(config.retry_period(), Duration::from_secs(10));
    assert_eq!(config.request_timeout(), Duration::from_secs(25));
}

#[test]
fn the_published_duration_is_never_shorter_than_the_real_one() {
    assert_eq!(
        with_duration(15_001).build().unwrap().published_seconds(),
        16
    );
    assert_eq!(
        with_duration(15_000).build().unwrap().published_seconds(),
        15
    );
    let longest = Duration::from_secs(i32::MAX.unsigned_abs().into());
    let config = builder().lease_duration(longest).build().unwrap();
    assert_eq!(config.published_seconds(), i64::from(i32::MAX));
}

#[test]
fn a_grant_ends_before_the_record_may_be_taken() {
    let whole = builder()
        .renew_deadline(Duration::from_secs(15))
        .build()
        .unwrap();
    assert_eq!(whole.grant_length(), Duration::from_millis(14_970));
    let skewed = builder()
        .renew_deadline(Duration::from_secs(15))
        .max_clock_skew(Duration::from_secs(1))
        .build()
        .unwrap();
    assert_eq!(skewed.grant_length(), Duration::from_millis(13_970));
}

#[test]
fn durations_that_cannot_be_kept_are_refused() {
    let range = |lease_duration| ConfigError::LeaseDurationOutOfRange { lease_duration };
    for duration in [0, 500, 999] {
        let error = with_duration(duration).build().unwrap_err();
        assert_eq!(error, range(Duration::from_millis(duration)));
    }
    let too_long = Duration::from_secs(1 << 31);
    assert_eq!(
        builder().lease_duration(too_long).build(),
        Err(range(too_long))
    );
    let too_long = Duration::new((1 << 31) - 1, 1);
    assert_eq!(
        builder().lease_duration(too_long).build(),
        Err(range(too_long))
    );
    assert!(builder().lease_duration(Duration::MAX).build().is_err());
    for duration in [1_000, 2_999] {
        assert!(matches!(
            with_duration(duration).build(),
            Err(ConfigError::LeaseDurationTooShort { .. })
        ));
        assert!(
            with_duration(duration)
                .whole_second_observers(false)
                .build()
                .is_ok()
        );
    }
}

#[test]
fn timings_that_contradict_each_other_are_refused() {
    let seconds = Duration::from_secs;
    for bad in [
        builder().renew_deadline(seconds(16)),
        builder().renew_deadline(seconds(0)),
        builder()
            .renew_deadline(seconds(1))
            .renew_interval(seconds(1) / 2)
            .retry_period(seconds(1) / 4),
        builder().renew_interval(seconds(10)),
        builder().renew_interval(seconds(0)),
        builder().retry_period(seconds(10)),
        builder().retry_period(seconds(0)),
        builder().request_timeout(seconds(10)),
        builder().request_timeout(seconds(0)),
        builder().max_clock_skew(seconds(10)),
        builder().acquire_retry_delay(seconds(16)),
        builder().acquire_retry_delay(Duration::MAX),
        builder().unique_identity(true).reclaim_own_identity(true),
        Config::builder("Default", "leader", "me"),
        Config::builder("default", "", "me"),
        Config::builder("default", "leader", "m\ne"),
    ] {
        let error = bad
            .clone()
            .build()
            .expect_err(&format!("{bad:?}"))
            .to_string();
        assert!(error.len() > 30 && !error.ends_with('.'), "{error}");
    }
}

#[test]
fn durations_that_are_refused_are_told_as_people_write_them() {
    let (long, longer) = (Duration::from_secs(5_400), Duration::from_secs(5_490));
    let error = builder().lease_duration(long).renew_deadline(longer);
    let error = error.build().unwrap_err().to_string();
    for words in ["deadline 1h31m30s is", "duration, 1h30m"] {
        assert!(error.contains(words), "{error}");
    }
    let error = with_duration(1_500).build().unwrap_err().to_string();
    assert!(error.contains("1.5s"), "{error}");
}

#[test]
fn nobody_holds_back_for_long_however_long_the_lease_is() {
    for (seconds, candidate) in [(3, 1), (15, 5), (7_200, 15)] {
        let config = Config::builder("default", "leader", "me");
        let config = config.lease_duration(Duration::from_secs(seconds));
        let duration = config.build().unwrap().candidate_duration();
        assert_eq!(duration, Duration::from_secs(candidate));
    }
}
