//! Moments as they are written on a command line: `2h` ago, `yesterday`, `2026-11-30`, `2026-11-30T12:00`, and those
//! that come: in `2h`, `22:00`, `tomorrow 8:00`.

use chrono::{
    DateTime, Days, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc,
};

use crate::duration;

/// Forms of a moment without a zone, which is in the time of this place.
const LOCAL: [&str; 4] =
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];

/// Reads a moment, or how long ago it was. A day is its beginning.
///
/// # Errors
/// The forms that there are.
pub(crate) fn parse(text: &str) -> Result<DateTime<Utc>, String> {
    at(text, Utc::now(), &Local).ok_or_else(|| {
        format!(
            "{text:?} is no moment; write how long ago it was (30m, 2h, 7d), today, yesterday, a date \
             (2026-11-30), or a date with a time (2026-11-30T12:00, with Z or +01:00 for another zone)"
        )
    })
}

fn at<Z: TimeZone>(text: &str, now: DateTime<Utc>, zone: &Z) -> Option<DateTime<Utc>> {
    let today = now.with_timezone(zone).date_naive();
    match text {
        "today" => return begin_of(today, zone),
        "yesterday" => return begin_of(today.checked_sub_days(Days::new(1))?, zone),
        _ => {}
    }
    if let Some(moment) = written_out(text, zone) {
        return Some(moment);
    }
    let ago = TimeDelta::from_std(duration::parse(text).ok()?).ok()?;
    // Nothing is older, and a year before 0 is not understood everywhere.
    Some(now.checked_sub_signed(ago)?.max(DateTime::UNIX_EPOCH))
}

/// Reads a moment that has not passed, or how long it is until then.
///
/// # Errors
/// The forms that there are, or that the moment has passed.
pub(crate) fn parse_later(text: &str) -> Result<DateTime<Utc>, String> {
    let now = Utc::now();
    let moment = later(text, now, &Local).ok_or_else(|| {
        format!(
            "{text:?} is no moment; write how long it is until then (30m, 2h, 7d), a time (22:00), tomorrow, tomorrow \
             8:00, a date (2026-11-30), or a date with a time (2026-11-30T12:00, with Z or +01:00 for another zone)"
        )
    })?;
    if moment < now {
        return Err(format!("{text:?} has passed; name one that comes, or leave the option out"));
    }
    Ok(moment)
}

fn later<Z: TimeZone>(text: &str, now: DateTime<Utc>, zone: &Z) -> Option<DateTime<Utc>> {
    let today = now.with_timezone(zone).date_naive();
    let tomorrow = today.checked_add_days(Days::new(1))?;
    if let Some(rest) = text.strip_prefix("tomorrow") {
        let time =
            if rest.is_empty() { NaiveTime::MIN } else { time_of_day(rest.strip_prefix(' ')?)? };
        return in_zone(tomorrow.and_time(time), zone);
    }
    if let Some(time) = time_of_day(text) {
        let moment = in_zone(today.and_time(time), zone)?;
        return if moment >= now { Some(moment) } else { in_zone(tomorrow.and_time(time), zone) };
    }
    if let Some(moment) = written_out(text, zone) {
        return Some(moment);
    }
    let left = duration::parse(text.strip_prefix("in ").unwrap_or(text)).ok()?;
    now.checked_add_signed(TimeDelta::from_std(left).ok()?)
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    let forms = ["%H:%M", "%H:%M:%S"];
    forms.iter().find_map(|form| NaiveTime::parse_from_str(text.trim(), form).ok())
}

/// Reads a date, with or without a time and a zone.
fn written_out<Z: TimeZone>(text: &str, zone: &Z) -> Option<DateTime<Utc>> {
    let with_zone = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M%#z"));
    if let Ok(time) = with_zone {
        return Some(time.to_utc());
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return begin_of(date, zone);
    }
    let time = LOCAL.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    in_zone(time, zone)
}

fn begin_of<Z: TimeZone>(date: NaiveDate, zone: &Z) -> Option<DateTime<Utc>> {
    in_zone(date.and_time(NaiveTime::MIN), zone)
}

/// Returns a moment of a zone. One that a change of the clocks has left out is the first after it.
fn in_zone<Z: TimeZone>(time: NaiveDateTime, zone: &Z) -> Option<DateTime<Utc>> {
    let found = |time: &NaiveDateTime| zone.from_local_datetime(time).earliest();
    let later = || found(&time.checked_add_signed(TimeDelta::hours(1))?);
    Some(found(&time).or_else(later)?.to_utc())
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    #[test]
    fn moments_are_absolute_or_ago() {
        let zone = FixedOffset::east_opt(2 * 3600).unwrap();
        // In the zone it is the next day already.
        let now = DateTime::parse_from_rfc3339("2026-11-29T22:30:00Z").unwrap().to_utc();
        for (text, moment) in [
            ("today", "2026-11-29T22:00:00+00:00"),
            ("yesterday", "2026-11-28T22:00:00+00:00"),
            ("2h", "2026-11-29T20:30:00+00:00"),
            ("1d", "2026-11-28T22:30:00+00:00"),
            ("99999999h", "1970-01-01T00:00:00+00:00"),
            ("2026-11-30", "2026-11-29T22:00:00+00:00"),
            ("2026-11-30T12:00", "2026-11-30T10:00:00+00:00"),
            ("2026-11-30 12:00:30", "2026-11-30T10:00:30+00:00"),
            ("2026-11-30T12:00:00.5", "2026-11-30T10:00:00.500+00:00"),
            ("2026-11-30T12:00:00+01:00", "2026-11-30T11:00:00+00:00"),
            ("2026-11-30T12:00:00Z", "2026-11-30T12:00:00+00:00"),
        ] {
            let read = at(text, now, &zone).map(|time| time.to_rfc3339());
            assert_eq!(read.as_deref(), Some(moment), "{text}");
        }
    }

    #[test]
    fn moments_that_come_are_the_next_of_their_kind() {
        let zone = FixedOffset::east_opt(2 * 3600).unwrap();
        let now = DateTime::parse_from_rfc3339("2026-11-29T12:00:00Z").unwrap().to_utc();
        for (text, moment) in [
            ("22:00", "2026-11-29T20:00:00+00:00"),
            ("14:00", "2026-11-29T12:00:00+00:00"),
            ("8:00", "2026-11-30T06:00:00+00:00"),
            ("13:59:59", "2026-11-30T11:59:59+00:00"),
            ("tomorrow", "2026-11-29T22:00:00+00:00"),
            ("tomorrow 8:30", "2026-11-30T06:30:00+00:00"),
            ("2h", "2026-11-29T14:00:00+00:00"),
            ("in 2h", "2026-11-29T14:00:00+00:00"),
            ("2026-12-01T08:00Z", "2026-12-01T08:00:00+00:00"),
            ("2026-12-01T08:00+01:00", "2026-12-01T07:00:00+00:00"),
            ("2026-12-01", "2026-11-30T22:00:00+00:00"),
            ("2026-12-01 08:00", "2026-12-01T06:00:00+00:00"),
            ("2026-12-01T08:00:00Z", "2026-12-01T08:00:00+00:00"),
        ] {
            let read = later(text, now, &zone).map(|time| time.to_rfc3339());
            assert_eq!(read.as_deref(), Some(moment), "{text}");
        }
        for bad in ["", "25:00", "tomorrow8:00", "tomorrow x", "yesterday", "2026-13-01"] {
            assert!(parse_later(bad).unwrap_err().contains("22:00"), "{bad}");
        }
        assert!(parse_later("2020-01-01").unwrap_err().contains("has passed"));
    }

    #[test]
    fn what_is_no_moment_is_refused_with_the_forms() {
        for bad in ["", "tomorrow", "2026-13-01", "2026-11-30T25:00", "30", "99999999999999d"] {
            let said = parse(bad).unwrap_err();
            for form in ["2h", "yesterday", "2026-11-30", "T12:00"] {
                assert!(said.contains(form), "{said}");
            }
        }
    }
}
