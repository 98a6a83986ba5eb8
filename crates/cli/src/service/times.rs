//! Times for people.

use std::time::Duration;

use chrono::{DateTime, Local, SecondsFormat, Utc};

/// Returns a moment in the time of this place.
pub(super) fn local(time: DateTime<Utc>) -> String {
    time.with_timezone(&Local).to_rfc3339_opts(SecondsFormat::Millis, false)
}

/// Returns how long ago a moment was.
pub(super) fn ago(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let millis = (now - time).num_milliseconds();
    match u64::try_from(millis).unwrap_or(0) / 1000 {
        0 => "0s".to_string(),
        seconds => short(seconds * 1000),
    }
}

/// Returns a time in milliseconds by its two largest units.
pub(super) fn short(millis: u64) -> String {
    let seconds = Duration::from_millis(millis).as_secs();
    match seconds {
        0 => format!("{millis}ms"),
        1..10 => format!("{}.{}s", seconds, millis % 1000 / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (millis, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1000, "1.0s"),
            (9_999, "9.9s"),
            (59_999, "59s"),
            (61_000, "1m01s"),
            (3_599_999, "59m59s"),
            (7_260_000, "2h01m"),
            (90_000_000, "1d01h"),
        ] {
            assert_eq!(short(millis), text);
        }
        let now = DateTime::UNIX_EPOCH + Duration::from_millis(65_999);
        assert_eq!(ago(DateTime::UNIX_EPOCH, now), "1m05s");
        assert_eq!(ago(now, DateTime::UNIX_EPOCH), "0s", "a clock may be set back");
    }
}
