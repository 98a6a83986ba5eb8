//! `exeng submit --every`: makes a schedule.

use chrono::Utc;
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;
use execution_engine_server::client::Client;
use execution_engine_server::{
    MissedPolicy, NewExecution, NewSchedule, OverlapPolicy, ScheduleView, Timetable,
};
use serde_json::json;

use crate::failure::Failure;
use crate::service::times::local;
use crate::{completions, data, message, time_zone};

const SCHEDULE: &str = "Again and again, as a schedule";

/// Options of `submit` that make a schedule of it.
#[derive(Debug, Args)]
pub(crate) struct EveryOptions {
    /// Run it at all these times, and print the id of the schedule: minute, hour, day of the month, month and day of the
    /// week (30 2 * * mon-fri), @hourly, @daily, @weekly, @monthly, @yearly, or an interval (30s, 5m)
    #[arg(long, value_name = "CRON", value_parser = every, help_heading = SCHEDULE)]
    #[arg(conflicts_with_all = ["after", "after_ok", "at", "wait", "follow"])]
    every: Option<String>,
    /// What becomes of times at which no service ran or the machine slept: run-once is one run for all of them, skip
    /// none, run-all one for each of the last 100 [without: run-once]
    #[arg(long, value_name = "POLICY", requires = "every", help_heading = SCHEDULE)]
    missed: Option<Missed>,
    /// What becomes of a run whose time comes while an earlier one waits or runs: skip leaves it out and counts that,
    /// queue lets it wait, allow lets it run, too [without: skip; with --missed run-all: queue]
    #[arg(long, value_name = "POLICY", requires = "every", help_heading = SCHEDULE)]
    overlap: Option<Overlap>,
    /// Time zone of the times: local, utc, or a name (Europe/Berlin) [without: local]
    #[arg(long, value_name = "ZONE", value_parser = time_zone::parse, requires = "every")]
    #[arg(help_heading = SCHEDULE, add = ArgValueCandidates::new(completions::time_zones))]
    time_zone: Option<String>,
    /// Name of the schedule, by which it is found as by its id
    #[arg(long, value_name = "NAME", requires = "every", help_heading = SCHEDULE)]
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Missed {
    RunOnce,
    Skip,
    RunAll,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Overlap {
    Skip,
    Queue,
    Allow,
}

/// Reads an expression.
fn every(text: &str) -> Result<String, String> {
    let read = Timetable::parse(text, "UTC", Utc::now());
    read.map(|_| text.to_string()).map_err(|error| error.to_string())
}

impl EveryOptions {
    /// Returns `true` if a schedule is asked for.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.every.is_some()
    }

    /// Returns the schedule that is asked for, if one is.
    pub(crate) fn schedule(&self, execution: NewExecution) -> Result<NewSchedule, Failure> {
        let time_zone = match &self.time_zone {
            Some(name) => name.clone(),
            None => time_zone::local().map_err(Failure::new)?,
        };
        let missed = self.missed.map(|missed| match missed {
            Missed::RunOnce => MissedPolicy::RunOnce,
            Missed::Skip => MissedPolicy::Skip,
            Missed::RunAll => MissedPolicy::RunAll,
        });
        let overlap = self.overlap.map(|overlap| match overlap {
            Overlap::Skip => OverlapPolicy::Skip,
            Overlap::Queue => OverlapPolicy::Queue,
            Overlap::Allow => OverlapPolicy::Allow,
        });
        Ok(NewSchedule {
            time_zone,
            missed: missed.unwrap_or_default(),
            overlap,
            name: self.name.clone(),
            ..NewSchedule::new(self.every.clone().unwrap_or_default(), execution)
        })
    }
}

/// Makes a schedule, and tells its id.
pub(crate) async fn create(
    client: &Client,
    new: &NewSchedule,
    key: Option<&str>,
    as_json: bool,
) -> Result<u8, Failure> {
    let ScheduleView { id, next_at, .. } = client.create_schedule(new, key).await?.schedule;
    if let Some(at) = next_at {
        message::note(format!(
            "runs next at {}, if a service runs then (exeng service install starts one with the system)",
            local(at)
        ));
    }
    let told = match as_json {
        true => data::json(&json!({"id": id})),
        false => data::line(&id.to_string()),
    };
    told.inspect_err(|_| message::print(format!("schedule {id} is made, and goes on")))?;
    Ok(0)
}
