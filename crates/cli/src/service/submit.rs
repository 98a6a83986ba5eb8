//! `exeng submit`: gives a command to the service.

use chrono::{DateTime, Utc};
use clap::Args;
use clap_complete::{ArgValueCandidates, ArgValueCompleter};
use execution_engine::{StdinSource, Uuid};
use execution_engine_server::NewExecution;
use execution_engine_server::client::Client;

use super::connect;
use super::schedule::every::{self, EveryOptions};
use super::submit_paths::{absolute, check_dir, check_input};
use super::then::ThenOptions;
use super::times::local;
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::request::{RequestOptions, inherited_environment, inherited_umask};
use crate::variables::keep_text_names;
use crate::{completions, message, moment};

/// Options of `submit`.
#[derive(Debug, Args)]
pub(crate) struct SubmitOptions {
    #[command(flatten)]
    pub(super) request: RequestOptions,
    /// Word to find it by; may be repeated
    #[arg(long = "tag", value_name = "WORD", value_parser = tag, help_heading = SERVICE)]
    #[arg(add = ArgValueCandidates::new(completions::tags))]
    pub(super) tags: Vec<String>,
    /// Named value to find it by; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label, help_heading = SERVICE)]
    pub(super) labels: Vec<(String, String)>,
    /// Group that it belongs to
    #[arg(long, value_name = "NAME", help_heading = SERVICE)]
    #[arg(add = ArgValueCandidates::new(completions::groups))]
    pub(super) group: Option<String>,
    /// Place in the queue: the higher number goes first [without: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = SERVICE)]
    pub(super) priority: Option<i32>,
    /// Start it when this one has ended, however; may be repeated
    #[arg(long, value_name = "ID", help_heading = SERVICE)]
    #[arg(add = ArgValueCompleter::new(completions::Ids::Any))]
    pub(super) after: Vec<String>,
    /// Start it when this one has succeeded, and never if it ends in another way; may be repeated
    #[arg(long, value_name = "ID", help_heading = SERVICE)]
    #[arg(add = ArgValueCompleter::new(completions::Ids::Any))]
    pub(super) after_ok: Vec<String>,
    /// Start it at this moment and not before: 22:00, tomorrow 8:00, 2026-12-01T12:00, or 2h for two hours from now
    #[arg(long, value_name = "TIME", value_parser = moment::parse_later, help_heading = SERVICE)]
    pub(super) at: Option<DateTime<Utc>>,
    /// Accept it once under this key, however often it is submitted
    #[arg(long, value_name = "KEY", value_parser = key, help_heading = SERVICE)]
    pub(super) key: Option<String>,
    #[command(flatten)]
    pub(super) every: EveryOptions,
    #[command(flatten)]
    pub(super) then: ThenOptions,
}

pub(super) const SERVICE: &str = "In the service";

/// Submits the command, and returns the code to exit with.
pub(crate) async fn run(global: &GlobalOptions, options: &SubmitOptions) -> Result<u8, Failure> {
    let mut new = options.new_execution()?;
    if options.every.is_asked_for() {
        let new = options.every.schedule(new)?;
        let client = connect(global).await?;
        return every::create(&client, &new, options.key.as_deref(), options.then.is_json()).await;
    }
    let client = connect(global).await?;
    new.after = ids(&client, &options.after_ok).await?;
    new.after_ended = ids(&client, &options.after).await?;
    let accepted = client.submit(&new, options.key.as_deref()).await?;
    if let Some(at) = accepted.execution.start_at {
        message::note(format!("starts at {}, or when a service runs after it", local(at)));
    }
    if options.then.follows() && new.options.stdin == StdinSource::Piped {
        message::note(
            "its input is open; what is typed here is not passed on: use exeng attach or exeng input",
        );
    }
    options.then.follow_up(&client, &accepted).await
}

impl SubmitOptions {
    /// Returns what the service is asked for: the caller's directory, environment and umask, and no input.
    fn new_execution(&self) -> Result<NewExecution, Failure> {
        #[cfg(feature = "fleet")]
        self.request.check_is_here()?;
        let (mut request, mut options) = self.request.to_request(StdinSource::Null)?;
        let dir = absolute("--cwd", request.working_dir.unwrap_or_default())?;
        // What it follows may make its directory and its input.
        let is_now = self.after.is_empty() && self.after_ok.is_empty() && self.at.is_none();
        if is_now {
            check_dir(&dir)?;
        }
        request.working_dir = Some(dir);
        if let StdinSource::File { path } = options.stdin {
            let path = absolute("--stdin", path)?;
            if is_now {
                check_input(&path)?;
            }
            options.stdin = StdinSource::file(path);
        }
        let mut inherited_env = inherited_environment(&mut options);
        keep_text_names(&mut options.env.set);
        keep_text_names(&mut inherited_env);
        options.group.clone_from(&self.group);
        options.priority = self.priority.unwrap_or_default();
        request.metadata.tags.clone_from(&self.tags);
        for (name, value) in &self.labels {
            if request.metadata.labels.insert(name.clone(), value.clone()).is_some() {
                return Err(Failure::new(format!("--label: {name} is given twice; leave one out")));
            }
        }
        Ok(NewExecution {
            options,
            inherited_env,
            inherited_umask: Some(inherited_umask()),
            start_at: self.at,
            ..NewExecution::new(request)
        })
    }
}

/// Returns the ids of executions.
async fn ids(client: &Client, names: &[String]) -> Result<Vec<Uuid>, Failure> {
    let mut ids = Vec::new();
    for name in names {
        ids.push(client.get(name).await?.id);
    }
    Ok(ids)
}

/// Reads a tag.
pub(super) fn tag(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("is empty; give a word".to_string()) } else { Ok(text.to_string()) }
}

/// Longest key that the service takes.
const LONGEST_KEY: usize = 255;

/// Reads a key. It goes through a header of HTTP, which has one line and loses spaces around it.
pub(super) fn key(text: &str) -> Result<String, String> {
    if text.trim() != text || text.is_empty() || text.chars().any(char::is_control) {
        return Err(
            "is empty, or has a control character, or spaces around it; give a word".to_string()
        );
    }
    match text.len() {
        ..=LONGEST_KEY => Ok(text.to_string()),
        bytes => Err(format!("has {bytes} bytes, and {LONGEST_KEY} are allowed")),
    }
}

/// Reads a label.
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
        _ => Err("write it as NAME=VALUE".to_string()),
    }
}
