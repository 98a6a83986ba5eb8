//! The moments of a schedule.

use std::collections::VecDeque;
use std::fmt;

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::field;
use crate::error::ServiceError;
use crate::units::parse_duration;

/// Shortest interval.
const SHORTEST: TimeDelta = TimeDelta::seconds(1);
/// Longest interval.
const LONGEST: TimeDelta = TimeDelta::days(366);
/// Names of expressions.
const NICKNAMES: [(&str, &str); 6] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];
/// How many moments are counted one by one.
const COUNTED: u64 = 100_000;
/// Beyond these, only what lies within this time before the last is looked at.
const LOOK_BACK: TimeDelta = TimeDelta::days(7);

/// When a schedule runs: five fields of cron (`30 2 * * mon-fri`), a name (`@daily`), or an interval (`5m`), in a time
/// zone.
///
/// An interval is counted in elapsed time from when the schedule is made. A time of day that the clocks leave out, when
/// they are put forward, comes at the first moment after it; one that comes twice, when they are put back, counts the
/// first time. Where hour or minute have `*` or a step, what is left out does not come, and what comes twice counts
/// twice: `0 * * * *` is each hour that passes. As in cron, where both the day of the month and that of the week are
/// named, one of them is enough.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use execution_engine_server::Timetable;
///
/// let now: DateTime<Utc> = "2026-03-28T12:00:00Z".parse().unwrap();
/// let nightly = Timetable::parse("30 2 * * *", "Europe/Berlin", now).unwrap();
/// // That night the clocks go from 2:00 to 3:00.
/// assert_eq!(nightly.next_after(now).unwrap().to_rfc3339(), "2026-03-29T01:00:00+00:00");
/// let error = Timetable::parse("30 25 * * *", "UTC", now).unwrap_err();
/// assert!(error.to_string().contains("hour"));
/// ```
#[derive(Clone)]
pub struct Timetable {
    rhythm: Rhythm,
    zone: Tz,
}

#[derive(Clone)]
enum Rhythm {
    /// Times of day: neither hour nor minute is `*` or a step.
    Times(Box<Cron>),
    /// Each hour or minute that fits.
    Each(Box<Cron>),
    Interval {
        length: TimeDelta,
        begin: DateTime<Utc>,
    },
}

impl fmt::Debug for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An expression that was read is a table of bits for five thousand years.
        let rhythm = match &self.rhythm {
            Rhythm::Times(cron) | Rhythm::Each(cron) => cron.pattern.to_string(),
            Rhythm::Interval { length, .. } => length.to_string(),
        };
        f.debug_struct("Timetable").field("rhythm", &rhythm).field("zone", &self.zone).finish()
    }
}

/// Moments that have come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Come {
    /// How many; at least so many, if they are very many.
    pub(super) count: u64,
    /// The last of them, the earliest first.
    pub(super) last: VecDeque<DateTime<Utc>>,
}

impl Timetable {
    /// Reads an expression, in a time zone by its name (`Europe/Berlin`, `UTC`). Intervals begin at `begin`.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorCode::InvalidRequest) names what is wrong, the field of the expression, and what
    /// to write; also for what never comes, as February 30.
    pub fn parse(every: &str, time_zone: &str, begin: DateTime<Utc>) -> Result<Self, ServiceError> {
        let zone = zone(time_zone)?;
        let text = every.trim();
        let length = parse_duration(text.strip_prefix("every ").unwrap_or(text).trim());
        let rhythm = match length {
            Ok(length) => {
                let length = TimeDelta::from_std(length).unwrap_or(TimeDelta::MAX);
                if !(SHORTEST..=LONGEST).contains(&length) {
                    let what = format!(
                        "an interval is 1s to {}d long, and not {text}",
                        LONGEST.num_days()
                    );
                    return Err(ServiceError::invalid("every", what).fix("write for instance 5m"));
                }
                Rhythm::Interval { length, begin }
            }
            Err(_) => cron(text)?,
        };
        let table = Self { rhythm, zone };
        if table.next_after(begin).is_none() {
            let what = format!("{text:?} never comes: no month that it names has such a day");
            return Err(ServiceError::invalid("every", what).fix("name another day or month"));
        }
        Ok(table)
    }

    /// Returns the names of all time zones that schedules know.
    pub fn time_zones() -> impl Iterator<Item = &'static str> {
        chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
    }

    /// Returns the first moment after another one; `None` if there is none.
    pub fn next_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.rhythm {
            Rhythm::Times(cron) => self.next_time(cron, moment),
            Rhythm::Each(cron) => {
                let found = cron.find_next_occurrence(&moment.with_timezone(&self.zone), false);
                // Time goes on, whatever the zone does.
                found.ok().map(|found| found.to_utc()).filter(|found| *found > moment)
            }
            Rhythm::Interval { length, begin } => {
                let passed = (moment - *begin).num_milliseconds().max(0);
                let number = passed / length.num_milliseconds() + 1;
                nth(*begin, *length, number)
            }
        }
    }

    /// Returns the first moment after another one at which the clocks of the zone show one of these times, for the first
    /// time or, if they leave it out, at once after it.
    fn next_time(&self, cron: &Cron, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // What the clocks show, as a time of a zone whose clocks are never changed.
        let mut shown = moment.with_timezone(&self.zone).naive_local().and_utc();
        loop {
            shown = cron.find_next_occurrence(&shown, false).ok()?;
            let found = match self.zone.from_local_datetime(&shown.naive_utc()).earliest() {
                Some(found) => found.to_utc(),
                None => self.after_gap(shown),
            };
            if found > moment {
                return Some(found);
            }
        }
    }

    /// Returns the first second at which the clocks show a later time than one that they leave out.
    fn after_gap(&self, shown: DateTime<Utc>) -> DateTime<Utc> {
        // No zone is further away from UTC.
        let day = TimeDelta::hours(26).num_seconds();
        let (mut early, mut late) = (shown.timestamp() - day, shown.timestamp() + day);
        let at = |second| DateTime::from_timestamp(second, 0).unwrap_or(shown);
        while late - early > 1 {
            let middle = early + (late - early) / 2;
            let is_later = at(middle).with_timezone(&self.zone).naive_local() > shown.naive_utc();
            (early, late) = if is_later { (early, middle) } else { (middle, late) };
        }
        at(late)
    }

    /// Returns the moments from one of them to another time, both included; of the last at most `keep`.
    pub(super) fn come(&self, first: DateTime<Utc>, until: DateTime<Utc>, keep: usize) -> Come {
        let mut come = Come::default();
        let mut next = Some(first);
        while let Some(moment) = next.filter(|moment| *moment <= until) {
            come.count += 1;
            come.last.push_back(moment);
            if come.last.len() > keep {
                come.last.pop_front();
            }
            next = self.next_after(moment);
            // Very many, whose exact number no client needs: those in between count as none.
            if come.count == COUNTED && next.is_some_and(|next| next < until - LOOK_BACK) {
                next = self.next_after(until - LOOK_BACK);
            }
        }
        come
    }
}

fn nth(begin: DateTime<Utc>, length: TimeDelta, number: i64) -> Option<DateTime<Utc>> {
    let millis = length.num_milliseconds().checked_mul(number)?;
    begin.checked_add_signed(TimeDelta::try_milliseconds(millis)?)
}

fn zone(name: &str) -> Result<Tz, ServiceError> {
    name.parse().map_err(|_| {
        ServiceError::invalid("time_zone", format!("there is no time zone {name:?}"))
            .fix("write a name such as Europe/Berlin or America/New_York, or UTC")
    })
}

/// Reads an expression that is no interval.
fn cron(text: &str) -> Result<Rhythm, ServiceError> {
    let expression = match text.strip_prefix('@') {
        None => text,
        Some(_) => {
            let known = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
            let unknown = || {
                ServiceError::invalid("every", format!("there is no {text}"))
                    .fix("use @hourly, @daily, @weekly, @monthly or @yearly")
            };
            known.ok_or_else(unknown)?.1
        }
    };
    field::check(expression)?;
    let cron = parser().parse(expression).map_err(|_| field::refused(expression))?;
    let mut time = expression.split_whitespace().take(2);
    Ok(match time.all(|field| !field.contains(['*', '/'])) {
        true => Rhythm::Times(Box::new(cron)),
        false => Rhythm::Each(Box::new(cron)),
    })
}

/// Returns what reads five fields.
pub(super) fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// Returns the moments after one, in the form of the zone.
    fn moments(every: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let table = Timetable::parse(every, zone, at(after)).unwrap();
        let first = table.next_after(at(after));
        let all = std::iter::successors(first, |moment| table.next_after(*moment));
        let local = |moment: DateTime<Utc>| moment.with_timezone(&table.zone).to_rfc3339();
        all.take(count).map(local).collect()
    }

    #[test]
    fn expressions_have_their_moments() {
        let after = "2026-11-30T12:00:00Z";
        for (every, expected) in [
            ("0 3 * * *", ["2026-12-01T03:00:00+00:00", "2026-12-02T03:00:00+00:00"]),
            ("*/15 * * * *", ["2026-11-30T12:15:00+00:00", "2026-11-30T12:30:00+00:00"]),
            ("5,10 9-10 * * *", ["2026-12-01T09:05:00+00:00", "2026-12-01T09:10:00+00:00"]),
            ("0 0 * jan,JUL mon", ["2027-01-04T00:00:00+00:00", "2027-01-11T00:00:00+00:00"]),
            ("0 0 * * fri-sun", ["2026-12-04T00:00:00+00:00", "2026-12-05T00:00:00+00:00"]),
            ("0 0 * * 7", ["2026-12-06T00:00:00+00:00", "2026-12-13T00:00:00+00:00"]),
            ("0 0 29 2 *", ["2028-02-29T00:00:00+00:00", "2032-02-29T00:00:00+00:00"]),
            ("0 0 31 * *", ["2026-12-31T00:00:00+00:00", "2027-01-31T00:00:00+00:00"]),
            ("0 12 L * *", ["2026-12-31T12:00:00+00:00", "2027-01-31T12:00:00+00:00"]),
            ("@hourly", ["2026-11-30T13:00:00+00:00", "2026-11-30T14:00:00+00:00"]),
            ("@daily", ["2026-12-01T00:00:00+00:00", "2026-12-02T00:00:00+00:00"]),
            ("@weekly", ["2026-12-06T00:00:00+00:00", "2026-12-13T00:00:00+00:00"]),
            ("@Monthly", ["2026-12-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"]),
            ("@yearly", ["2027-01-01T00:00:00+00:00", "2028-01-01T00:00:00+00:00"]),
            ("30s", ["2026-11-30T12:00:30+00:00", "2026-11-30T12:01:00+00:00"]),
            ("every 5m", ["2026-11-30T12:05:00+00:00", "2026-11-30T12:10:00+00:00"]),
        ] {
            assert_eq!(moments(every, "UTC", after, 2), expected, "{every}");
        }
    }

    #[test]
    fn times_that_the_clocks_leave_out_come_after_it_and_those_that_come_twice_count_once() {
        // Berlin, March 29: 2:00 becomes 3:00; October 25: 3:00 becomes 2:00.
        let (spring, autumn) = ("2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z");
        for (every, after, expected) in [
            ("30 2 * * *", spring, ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]),
            ("0 3 * * *", spring, ["2026-03-29T03:00:00+02:00", "2026-03-30T03:00:00+02:00"]),
            ("0,30 2 * * *", spring, ["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"]),
            (
                "0,59 1-2 * * *",
                "2026-03-29T00:00:00Z",
                ["2026-03-29T01:59:00+01:00", "2026-03-29T03:00:00+02:00"],
            ),
            ("0 2,14 * * *", autumn, ["2026-10-25T02:00:00+02:00", "2026-10-25T14:00:00+01:00"]),
            ("30 2 * * *", autumn, ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
        ] {
            assert_eq!(
                moments(every, "Europe/Berlin", after, 2),
                expected,
                "{every} after {after}"
            );
        }
        let hourly = moments("0 * * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", 4);
        let each = ["02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00", "04:00:00+01:00"];
        assert_eq!(hourly, each.map(|time| format!("2026-10-25T{time}")));
        let hourly = moments("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2);
        assert_eq!(hourly, ["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"]);
        // There midnight itself is left out.
        let midnight = moments("@daily", "America/Santiago", "2026-09-05T12:00:00Z", 2);
        assert_eq!(midnight, ["2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"]);
        // And there a whole day.
        let samoa = moments("0 9 * * *", "Pacific/Apia", "2011-12-29T20:00:00Z", 2);
        assert_eq!(samoa, ["2011-12-31T00:00:00+14:00", "2011-12-31T09:00:00+14:00"]);
        let interval = moments("12h", "Europe/Berlin", "2026-03-28T23:00:00Z", 2);
        assert_eq!(interval, ["2026-03-29T13:00:00+02:00", "2026-03-30T01:00:00+02:00"]);
    }

    #[test]
    fn mistakes_name_the_field_and_the_fix() {
        for (every, named, fix) in [
            ("60 * * * *", "minute", "0 to 59"),
            ("* 24 * * *", "hour", "0 to 23"),
            ("* * 0 * *", "day of the month", "1 to 31"),
            ("* * * 13 *", "month", "jan to dec"),
            ("* * * * 8", "day of the week", "mon"),
            ("* * * foo *", "month", "jan to dec"),
            ("* * * mon *", "month", "jan to dec"),
            ("mon * * * *", "minute", "0 to 59"),
            ("*/0 * * * *", "minute", "step"),
            ("5-1 * * * *", "minute", "range"),
            ("1,,2 * * * *", "minute", "list"),
            ("* * * *", "4 fields", "minute, hour, day of the month, month, day of the week"),
            ("* * * * * *", "6 fields", "minute, hour"),
            ("", "empty", "@daily"),
            ("@reboot", "@reboot", "@hourly"),
            ("0 0 30 2 *", "never comes", "another day"),
            ("0 0 31 4,6,9,11 *", "never comes", "another day"),
            ("500ms", "1s", "5m"),
            ("0s", "1s", "5m"),
            ("400d", "366d", "5m"),
        ] {
            let error = Timetable::parse(every, "UTC", at("2026-11-30T12:00:00Z")).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(named) && said.contains(fix), "{every}: {said}");
            assert_eq!(error.field.as_deref(), Some("every"), "{every}");
        }
        let error =
            Timetable::parse("@daily", "Mars/Base", at("2026-11-30T12:00:00Z")).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("time_zone"));
        assert!(error.to_string().contains("Mars/Base") && error.fix.is_some(), "{error}");
    }

    #[test]
    fn moments_that_have_come_are_counted_and_the_last_are_kept() {
        let begin = at("2026-01-01T00:00:00Z");
        let table = Timetable::parse("1s", "UTC", begin).unwrap();
        let first = table.next_after(begin).unwrap();
        let come = table.come(first, begin + TimeDelta::milliseconds(3500), 2);
        let last = [2, 3].map(|second| begin + TimeDelta::seconds(second));
        assert_eq!(come, Come { count: 3, last: last.into() });
        assert_eq!(table.come(first, begin, 2), Come::default());
        // A year of seconds is not counted one by one.
        let until = begin + TimeDelta::days(365);
        let come = table.come(first, until, 2);
        assert!(come.count >= COUNTED && come.last.back() == Some(&until), "{come:?}");
    }
}
