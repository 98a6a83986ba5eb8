//! Times in the database: microseconds since 1970-01-01 UTC.

use chrono::{DateTime, Utc};

pub(crate) fn of_us(us: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(us).unwrap_or(DateTime::UNIX_EPOCH)
}
