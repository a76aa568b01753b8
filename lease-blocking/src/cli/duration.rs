//! Durations as people type them.

use std::time::Duration;

use jiff::SignedDuration;

/// Reads `90s`, `5m`, `1h30m` or `0`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| {
            "not a duration: write a number and a unit, such as 500ms, 90s, 5m or 1h30m".to_owned()
        })
}

/// Writes whole seconds as people read them; of long ones only what matters, as kubectl does.
pub(crate) fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let days = hours / 24;
    match (hours, minutes, seconds) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, 0) => format!("{minutes}m"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, 0, _) if hours < 48 => format!("{hours}h"),
        (hours, minutes, _) if hours < 48 => format!("{hours}h{minutes}m"),
        (hours, ..) if days < 8 && hours % 24 > 0 => format!("{days}d{}h", hours % 24),
        _ if days < 2 * YEAR => format!("{days}d"),
        _ if days < 8 * YEAR && days % YEAR > 0 => format!("{}y{}d", days / YEAR, days % YEAR),
        _ => format!("{}y", days / YEAR),
    }
}

/// Writes what was typed as people read it, to the part of a second.
pub(crate) fn exact(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        show(duration)
    } else if duration < Duration::from_secs(1) {
        format!("{}ms", duration.as_secs_f64() * 1_000.0)
    } else {
        format!("{}s", duration.as_secs_f64())
    }
}

/// As many days as kubectl counts.
const YEAR: u64 = 365;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units_only() {
        for (text, millis) in [
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "30", "-5s", "5 parsecs", "1d-", "s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_shown_as_people_write_them() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (61, "1m1s"),
            (3_600, "1h"),
            (5_430, "1h30m"),
            (172_799, "47h59m"),
            (172_800, "2d"),
            (187_300, "2d4h"),
            (8 * 86_400 + 3_600, "8d"),
            (729 * 86_400, "729d"),
            (2_147_483_647, "68y"),
            (800 * 86_400, "2y70d"),
            (359_999_996_400, "11415y"),
        ] {
            assert_eq!(show(Duration::from_secs(seconds)), text);
            assert_eq!(exact(Duration::from_secs(seconds)), text);
        }
        for (millis, text) in [(500, "500ms"), (1_500, "1.5s"), (61_250, "61.25s")] {
            assert_eq!(exact(Duration::from_millis(millis)), text);
        }
    }
}
