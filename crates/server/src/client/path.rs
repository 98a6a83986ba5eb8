//! Paths of requests.

use chrono::SecondsFormat;
use form_urlencoded::{Serializer, byte_serialize};

use super::error::ClientError;
use crate::problem::Problem;
use crate::view::{PlanQuery, Query};

/// Returns the path of an execution, or of something of it.
pub(super) fn of_execution(name: &str, part: &str) -> String {
    format!("/v1/executions/{}{part}", escaped(name))
}

/// Returns the path of a plan, or of something of it.
pub(super) fn of_plan(name: &str, part: &str) -> String {
    format!("/v1/plans/{}{part}", escaped(name))
}

/// Returns the path of a page of plans.
pub(super) fn of_plans(query: &PlanQuery) -> String {
    let path = String::from("/v1/plans?");
    let begin = path.len();
    let mut pairs = Serializer::for_suffix(path, begin);
    for status in &query.status {
        pairs.append_pair("status", &status.to_string());
    }
    for (name, value) in
        [("limit", query.limit.map(|limit| limit.to_string())), ("cursor", query.cursor.clone())]
    {
        if let Some(value) = value {
            pairs.append_pair(name, &value);
        }
    }
    pairs.finish()
}

/// Returns the path of a schedule, or of something of it.
pub(super) fn of_schedule(name: &str, part: &str) -> String {
    format!("/v1/schedules/{}{part}", escaped(name))
}

/// Returns the path of a group.
///
/// # Errors
/// The name is empty: the path would be that of all groups.
pub(super) fn of_group(name: &str) -> Result<String, ClientError> {
    of_named("group", name)
}

/// Returns the path of a token.
///
/// # Errors
/// As for a group.
pub(super) fn of_token(name: &str) -> Result<String, ClientError> {
    of_named("token", name)
}

fn of_named(kind: &str, name: &str) -> Result<String, ClientError> {
    if name.is_empty() {
        let problem = Problem::invalid(format!("the name of the {kind} is empty")).field("name");
        return Err(problem.fix(format!("give the name of a {kind}")).into());
    }
    Ok(format!("/v1/{kind}s/{}", escaped(name)))
}

fn escaped(name: &str) -> String {
    // In a path a blank is %20, and in the form of a query it is a plus.
    byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Returns the path of a page of a list.
pub(super) fn of_list(query: &Query) -> String {
    let path = String::from("/v1/executions?");
    let begin = path.len();
    let mut pairs = Serializer::for_suffix(path, begin);
    let mut add = |name: &str, value: &str| {
        pairs.append_pair(name, value);
    };
    query.status.iter().for_each(|status| add("status", &status.to_string()));
    query.tags.iter().for_each(|tag| add("tag", tag));
    query.labels.iter().for_each(|(name, value)| add("label", &format!("{name}={value}")));
    let time =
        |time: &chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let texts = [
        ("group", query.group.clone()),
        ("plan", query.plan.map(|plan| plan.to_string())),
        ("schedule", query.schedule.map(|id| id.to_string())),
        ("since", query.since.as_ref().map(time)),
        ("until", query.until.as_ref().map(time)),
        ("q", query.text.clone()),
        ("limit", query.limit.map(|limit| limit.to_string())),
        ("cursor", query.cursor.clone()),
    ];
    for (name, value) in texts {
        value.iter().for_each(|value| add(name, value));
    }
    pairs.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use execution_engine::ExecutionStatus;

    #[test]
    fn names_cannot_leave_their_place() {
        assert_eq!(of_execution("@last", ""), "/v1/executions/%40last");
        assert_eq!(of_execution("a/../b ?#", "/wait"), "/v1/executions/a%2F..%2Fb%20%3F%23/wait");
    }

    #[test]
    fn group_without_a_name_is_not_all_groups() {
        assert_eq!(of_group("a/b \u{e4}").unwrap(), "/v1/groups/a%2Fb%20%C3%A4");
        assert_eq!(of_group("").unwrap_err().code(), Some("invalid_request"));
    }

    #[test]
    fn filters_become_parameters() {
        let query = Query {
            status: vec![ExecutionStatus::Running, ExecutionStatus::Timeout],
            tags: vec!["a b".into()],
            labels: vec![("k".into(), "v=&".into())],
            since: Some(DateTime::UNIX_EPOCH),
            limit: Some(5),
            ..Query::default()
        };
        assert_eq!(
            of_list(&query),
            "/v1/executions?status=running&status=timeout&tag=a+b&label=k%3Dv%3D%26\
             &since=1970-01-01T00%3A00%3A00Z&limit=5"
        );
    }
}
