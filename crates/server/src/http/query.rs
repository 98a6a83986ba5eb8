//! Parameters of a URL. Unknown ones are refused, so that a misspelt filter does not list everything.

use std::collections::VecDeque;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::{DateTime, Utc};

use super::App;
use crate::problem::Problem;

/// Refuses all parameters, for a route that has none.
pub(super) struct NoParameters;

impl FromRequestParts<App> for NoParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        Parameters::new(parts.uri.query()).finish()?;
        Ok(Self)
    }
}

/// The parameters of a request that are not yet read.
///
/// Each is taken once by its name; [`finish`](Self::finish) refuses what is left.
pub(super) struct Parameters {
    left: VecDeque<(String, String)>,
    known: Vec<&'static str>,
}

impl Parameters {
    /// Reads the part of a URL behind the question mark.
    pub(super) fn new(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self { left: pairs.into_owned().collect(), known: Vec::new() }
    }

    /// Takes all values of a parameter that may be given several times.
    pub(super) fn many(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        let (taken, left) = self.left.drain(..).partition(|(key, _)| key == name);
        self.left = left;
        VecDeque::into_iter(taken).map(|(_, value)| value).collect()
    }

    /// Takes the value of a parameter that may be given once.
    pub(super) fn one(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        let mut values = self.many(name);
        if values.len() > 1 {
            return Err(refused(name, "it is given more than once").fix("give it once"));
        }
        Ok(values.pop())
    }

    /// Takes the value of a parameter and reads it.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        name: &'static str,
        expected: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let read = text.parse();
        read.map(Some).map_err(|_| refused(name, &format!("{text:?} is not {expected}")))
    }

    /// Takes a moment: RFC 3339, as `2026-11-30T12:00:00Z`.
    pub(super) fn time(&mut self, name: &'static str) -> Result<Option<DateTime<Utc>>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let read = DateTime::parse_from_rfc3339(&text);
        read.map(|time| Some(time.to_utc())).map_err(|_| {
            let why = format!("{text:?} is no time in the form of RFC 3339");
            refused(name, &why).fix("write it as 2026-11-30T12:00:00Z, and a + in it as %2B")
        })
    }

    /// Refuses what has not been taken.
    pub(super) fn finish(self) -> Result<(), Problem> {
        let Some((name, _)) = self.left.front() else { return Ok(()) };
        let fix = match &*self.known {
            [] => "this route has no parameters".to_string(),
            known => format!("use {}", known.join(", ")),
        };
        Err(refused(name, "it is unknown here").fix(fix))
    }
}

/// Creates the error for a parameter.
pub(super) fn refused(name: &str, why: &str) -> Problem {
    Problem::invalid(format!("the parameter {name} is refused: {why}")).field(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_kept_in_order() {
        let mut all =
            Parameters::new(Some("tag=a%20b&limit=5&tag=c%26d&since=2026-11-30T12:00:00%2B01:00"));
        assert_eq!(all.many("tag"), ["a b", "c&d"]);
        assert_eq!(all.parsed::<u32>("limit", "a number").unwrap(), Some(5));
        assert_eq!(all.time("since").unwrap().unwrap().to_rfc3339(), "2026-11-30T11:00:00+00:00");
        assert_eq!(all.one("cursor").unwrap(), None);
        all.finish().unwrap();
    }

    #[test]
    fn mistakes_are_named_with_what_to_do() {
        let mut all = Parameters::new(Some("limit=x&since=today&tagg=a&q=1&q=2"));
        let texts = [
            all.parsed::<u32>("limit", "a number from 1 to 1000").unwrap_err(),
            all.time("since").unwrap_err(),
            all.one("q").unwrap_err(),
            all.finish().unwrap_err(),
        ];
        let fields = texts.each_ref().map(|problem| problem.field.as_deref().unwrap());
        assert_eq!(fields, ["limit", "since", "q", "tagg"]);
        let [limit, since, twice, unknown] = texts.map(|problem| problem.to_string());
        assert!(limit.ends_with("\"x\" is not a number from 1 to 1000"), "{limit}");
        assert!(since.contains("RFC 3339") && since.contains("%2B"), "{since}");
        assert!(twice.ends_with("give it once"), "{twice}");
        assert!(unknown.ends_with("use limit, since, q"), "{unknown}");
    }

    #[test]
    fn route_without_parameters_refuses_all() {
        let problem = Parameters::new(Some("x")).finish().unwrap_err();
        assert!(problem.to_string().ends_with("this route has no parameters"), "{problem}");
        Parameters::new(None).finish().unwrap();
        Parameters::new(Some("")).finish().unwrap();
    }
}
