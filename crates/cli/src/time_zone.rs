//! Time zones as they are written on a command line: `local`, `utc`, or a name.

use std::path::Path;

use execution_engine_server::Timetable;

/// Reads a time zone, and returns its name.
///
/// # Errors
/// There is none of this name, or the zone of this place has none.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    match text {
        "local" => local(),
        "utc" => Ok("UTC".to_string()),
        _ => known(text).ok_or_else(|| {
            format!(
                "there is no time zone {text:?}; write local, utc, or a name such as Europe/Berlin"
            )
        }),
    }
}

/// Returns the name of the time zone of this place.
///
/// # Errors
/// It has no name, for instance because `TZ` is a rule.
pub(crate) fn local() -> Result<String, String> {
    let named = match std::env::var("TZ") {
        Ok(name) => Some(name),
        // A system without the file is at UTC.
        Err(_) if !Path::new("/etc/localtime").exists() => Some(String::new()),
        Err(_) => iana_time_zone::get_timezone().ok(),
    };
    let named = named.unwrap_or_else(|| "/etc/localtime".to_string());
    of_variable(&named).ok_or_else(|| {
        format!(
            "the time zone of this place ({named:?}) has no name that schedules know; name one, as in --time-zone \
             Europe/Berlin"
        )
    })
}

/// Returns the name of what the variable `TZ` may have: a name, or the path of a file.
fn of_variable(value: &str) -> Option<String> {
    let value = value.strip_prefix(':').unwrap_or(value);
    let name = value.rsplit_once("/zoneinfo/").map_or(value, |(_, name)| name);
    if name.is_empty() { Some("UTC".to_string()) } else { known(name) }
}

fn known(name: &str) -> Option<String> {
    let found = Timetable::time_zones().find(|zone| zone.eq_ignore_ascii_case(name));
    found.map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_zones() {
        for (text, name) in [("utc", "UTC"), ("europe/berlin", "Europe/Berlin"), ("UTC", "UTC")] {
            assert_eq!(parse(text).as_deref(), Ok(name));
        }
        let said = parse("Mars/Base").unwrap_err();
        assert!(said.contains("Mars/Base") && said.contains("Europe/Berlin"), "{said}");
        for (value, name) in [
            ("", Some("UTC")),
            (":Europe/Berlin", Some("Europe/Berlin")),
            ("/usr/share/zoneinfo/America/New_York", Some("America/New_York")),
            ("CET-1CEST,M3.5.0,M10.5.0/3", None),
        ] {
            assert_eq!(of_variable(value).as_deref(), name, "{value}");
        }
    }
}
