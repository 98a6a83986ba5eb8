//! Which executions a verb is about: by their names, or by what they have in common.

use chrono::{DateTime, Utc};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clap_complete::{ArgValueCandidates, ArgValueCompleter};
use execution_engine::{ExecutionStatus, Uuid};
use execution_engine_server::client::{Client, ClientError};
use execution_engine_server::{ExecutionView, Query};

use super::each::{each, each_there};
use super::submit::label;
use crate::completions::{Ids, STATUSES, groups, plan_ids, schedules, statuses, tags};
use crate::failure::Failure;
use crate::{exit_code, message, moment};

/// Longest page that the service has.
const PAGE: usize = 1_000;

/// Conditions that executions must meet, all of them.
#[derive(Debug, Args)]
pub(super) struct Conditions {
    /// With this status: pending, running, completed, failed, cancelled, timeout, lost; may be repeated
    #[arg(long, value_name = "STATUS", value_parser = status, value_delimiter = ',')]
    #[arg(add = ArgValueCandidates::new(statuses))]
    pub(super) status: Vec<ExecutionStatus>,
    /// With this tag; may be repeated
    #[arg(long = "tag", value_name = "WORD", add = ArgValueCandidates::new(tags))]
    pub(super) tags: Vec<String>,
    /// With this label; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub(super) labels: Vec<(String, String)>,
    /// Of this group
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCandidates::new(groups))]
    pub(super) group: Option<String>,
    /// The steps of this plan: its id, the unique beginning of it, or @last
    #[arg(long, value_name = "ID", add = ArgValueCandidates::new(plan_ids))]
    pub(super) plan: Option<String>,
    /// Runs of this schedule, by its name or id
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCandidates::new(schedules))]
    pub(super) schedule: Option<String>,
    /// Accepted at this moment or later: 2h (ago), today, yesterday, 2026-11-30, 2026-11-30T12:00
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    pub(super) since: Option<DateTime<Utc>>,
    /// Accepted before this moment
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    pub(super) until: Option<DateTime<Utc>>,
    /// With this text in the command
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(super) search: Option<String>,
}

impl Conditions {
    /// Returns the search for what meets them.
    ///
    /// # Errors
    /// There is no such plan or schedule, or the service does not answer.
    pub(super) async fn query(&self, client: &Client) -> Result<Query, Failure> {
        let plan = match &self.plan {
            Some(plan) => Some(client.plan(plan).await?.id),
            None => None,
        };
        let schedule = match &self.schedule {
            None => None,
            // Runs stay when their schedule is removed.
            Some(name) => match Uuid::try_parse(name) {
                Ok(id) => Some(id),
                Err(_) => Some(client.schedule(name).await?.id),
            },
        };
        Ok(Query { plan, schedule, ..self.without_names() })
    }

    /// Returns the search without what the service has to find first.
    fn without_names(&self) -> Query {
        Query {
            status: self.status.clone(),
            tags: self.tags.clone(),
            labels: self.labels.clone(),
            group: self.group.clone(),
            since: self.since,
            until: self.until,
            text: self.search.clone(),
            ..Query::default()
        }
    }

    /// Returns `true` if there are none.
    pub(super) fn is_empty(&self) -> bool {
        let names = [&self.plan, &self.schedule];
        names.iter().all(|name| name.is_none()) && self.without_names() == Query::default()
    }
}

/// Executions by their names, or by conditions.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Executions: their ids, unique beginnings of ids, or @last. Instead of ids, conditions select all that meet them
    #[arg(value_name = "ID", add = ArgValueCompleter::new(Ids::Any))]
    pub(super) ids: Vec<String>,
    #[command(flatten)]
    pub(super) conditions: Conditions,
}

/// Executions that a verb changes.
#[derive(Debug, Args)]
pub(super) struct Selection {
    #[command(flatten)]
    pub(super) which: Which,
    /// Change nothing, and list what would be changed
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// What a verb can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changes {
    /// What has ended.
    Ended,
    /// What waits or runs.
    Unended,
}

impl Changes {
    /// Returns the statuses of what can be changed.
    fn statuses(self) -> Vec<ExecutionStatus> {
        STATUSES
            .into_iter()
            .filter(|status| status.is_terminal() == (self == Self::Ended))
            .collect()
    }

    /// Returns `true` if an execution would be changed, and `false` if it is already as it would be.
    ///
    /// # Errors
    /// Why it cannot be changed.
    fn allow(self, execution: &ExecutionView) -> Result<bool, Failure> {
        let (id, has_ended) = (execution.id, execution.status.is_terminal());
        match self {
            Self::Ended if !has_ended => {
                Err(Failure::new(format!("execution {id} has not ended; stop it first")))
            }
            Self::Ended if execution.pinned => Err(Failure::new(format!(
                "execution {id} is pinned; unpin it first (exeng pin --remove {id})"
            ))),
            Self::Unended if has_ended => {
                message::note(format!("{id} has already ended"));
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    fn refused(self) -> &'static str {
        match self {
            Self::Ended => "only what has ended is removed; stop the others first (exeng stop)",
            Self::Unended => "only what waits or runs is stopped: pending and running",
        }
    }
}

/// Executions that a verb is to change.
pub(super) enum Selected {
    /// By the names that were typed.
    Named(Vec<String>),
    /// By the ids of what has met the conditions.
    Found(Vec<String>),
}

impl Selected {
    /// Does something with each of them, by their ids. Returns what was done, and the code to exit with.
    pub(super) async fn each<T>(
        &self,
        client: &Client,
        action: impl AsyncFnMut(String) -> Result<T, ClientError>,
    ) -> (Vec<T>, u8) {
        match self {
            Self::Named(names) => each(client, names, action).await,
            Self::Found(ids) => each_there(ids, action).await,
        }
    }
}

impl Selection {
    /// Returns what is named, or what meets the conditions.
    ///
    /// # Errors
    /// Nothing or two things are asked for, the conditions exclude each other, or the service does not answer.
    pub(super) async fn select(
        &self,
        client: &Client,
        changes: Changes,
    ) -> Result<Selected, Failure> {
        self.check()?;
        Ok(match self.which.conditions.is_empty() {
            true => Selected::Named(self.which.ids.clone()),
            false => Selected::Found(self.find(client, changes).await?),
        })
    }

    async fn find(&self, client: &Client, changes: Changes) -> Result<Vec<String>, Failure> {
        let conditions = &self.which.conditions;
        let mut query = conditions.query(client).await?;
        let possible = changes.statuses();
        query.status.retain(|status| possible.contains(status));
        if query.status.is_empty() {
            if !conditions.status.is_empty() {
                return Err(Failure::new(format!("--status: {}", changes.refused())));
            }
            query.status = possible;
        }
        let mut found = Vec::new();
        each_found(client, query, usize::MAX, |execution| {
            // What is pinned stays, so that it is not selected by accident.
            if changes == Changes::Unended || !execution.pinned {
                found.push(execution.id.to_string());
            }
            Ok(())
        })
        .await?;
        note_nothing(found.is_empty());
        Ok(found)
    }

    /// Checks that either executions or conditions are named. Needs no service.
    ///
    /// # Errors
    /// What to name.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.which.check()
    }
}

impl Which {
    /// Returns the executions that are named, in this order, or all that meet the conditions, in the order in which
    /// they were accepted.
    ///
    /// # Errors
    /// There is none of a name, or the service does not answer.
    pub(super) async fn find(&self, client: &Client) -> Result<Vec<ExecutionView>, Failure> {
        let mut found = Vec::new();
        if self.conditions.is_empty() {
            for name in &self.ids {
                found.push(client.get(name).await?);
            }
            return Ok(found);
        }
        let query = self.conditions.query(client).await?;
        each_found(client, query, usize::MAX, |execution| {
            found.push(execution);
            Ok(())
        })
        .await?;
        found.reverse();
        note_nothing(found.is_empty());
        Ok(found)
    }

    /// Checks that either executions or conditions are named. Needs no service.
    ///
    /// # Errors
    /// What to name.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match (self.ids.is_empty(), self.conditions.is_empty()) {
            (true, true) => Err(Failure::new(
                "no execution is named; give its id (exeng ls lists them), or select by --tag, --label, --status, \
                 --group, --plan, --schedule, --since, --until or --search",
            )),
            (false, false) => Err(Failure::new(
                "ids are given, and conditions, too; leave the ids or the conditions (--tag, --status, ..) out",
            )),
            _ => Ok(()),
        }
    }
}

fn note_nothing(is_nothing: bool) {
    if is_nothing {
        message::note("no execution meets the conditions");
    }
}

/// Returns what would be changed, and the code to exit with. What would not is told.
pub(super) async fn dry_run(
    client: &Client,
    selected: &Selected,
    changes: Changes,
) -> (Vec<ExecutionView>, u8) {
    let (mut found, mut code) = selected.each(client, async |id| client.get(&id).await).await;
    found.retain(|execution| {
        changes.allow(execution).unwrap_or_else(|failure| {
            failure.report();
            code = exit_code::OURS;
            false
        })
    });
    (found, code)
}

/// Gives each execution that is found, up to a number, to a function. Returns `true` if there are more.
pub(super) async fn each_found(
    client: &Client,
    mut query: Query,
    most: usize,
    mut give: impl FnMut(ExecutionView) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let mut left = most;
    while left > 0 {
        query.limit = Some(left.min(PAGE));
        let page = client.list(&query).await?;
        left = left.saturating_sub(page.executions.len());
        for execution in page.executions {
            give(execution)?;
        }
        query.cursor = page.next;
        if query.cursor.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn status(text: &str) -> Result<ExecutionStatus, String> {
    serde_json::from_value(text.into()).map_err(|_| {
        "use pending, running, completed, failed, cancelled, timeout or lost".to_string()
    })
}
