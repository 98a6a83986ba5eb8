//! What was found, as JSON and for people.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use execution_engine::ContainmentLevel;
use execution_engine_server::{LockHolder, ServiceError, ServiceStatus, StoreView};
use serde::Serialize;

use super::super::keepers::Keeper;

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) service: ServiceReport,
    pub(super) keepers: Vec<Keeper>,
    pub(super) store: StoreReport,
    pub(super) containment: ContainmentReport,
    pub(super) limits: LimitsReport,
    pub(super) state_dir: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) config: PathBuf,
    pub(super) problems: Vec<Problem>,
}

/// The service. All is None if it does not run.
#[derive(Debug, Default, Serialize)]
pub(super) struct ServiceReport {
    pid: Option<u32>,
    since: Option<DateTime<Utc>>,
    version: Option<String>,
    running: Option<usize>,
    queued: Option<usize>,
    max_running: Option<usize>,
    /// Where those with a token reach it over the network, if they do.
    url: Option<String>,
}

impl ServiceReport {
    pub(super) fn of_holder(holder: &LockHolder) -> Self {
        Self { pid: Some(holder.pid), since: Some(holder.since), ..Self::default() }
    }

    pub(super) fn answered(self, status: &ServiceStatus) -> Self {
        Self {
            version: Some(status.version.clone()),
            running: Some(status.running),
            queued: Some(status.queued),
            max_running: Some(status.max_running),
            url: status.url.clone(),
            ..self
        }
    }
}

/// The store. What only a service can tell is None if none runs.
#[derive(Debug, Serialize)]
pub(super) struct StoreReport {
    path: PathBuf,
    exists: bool,
    bytes: Option<u64>,
    executions: Option<u64>,
    writable: Option<bool>,
}

impl StoreReport {
    pub(super) fn of_files(state_dir: &Path) -> Self {
        let path = state_dir.join("exeng.db");
        let found = path.metadata().ok();
        let (exists, bytes) = (found.is_some(), found.map(|found| found.len()));
        Self { path, exists, bytes, executions: None, writable: None }
    }

    pub(super) fn answered(self, store: &StoreView) -> Self {
        let (bytes, executions) = (Some(store.bytes), Some(store.executions));
        Self { bytes, executions, writable: Some(store.writable), ..self }
    }
}

/// How programs are held together.
#[derive(Debug, Serialize)]
pub(super) struct ContainmentReport {
    /// The strongest level that this host offers.
    pub(super) level: Option<ContainmentLevel>,
    /// Stronger ones, and what they lack.
    pub(super) unavailable: Vec<Unavailable>,
    /// Why the memory of a tree cannot be limited; None if it can.
    pub(super) tree_memory: Option<String>,
    /// Why the processes of a tree cannot be limited; None if they can.
    pub(super) tree_processes: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Unavailable {
    pub(super) level: ContainmentLevel,
    pub(super) reason: String,
}

#[derive(Debug, Serialize)]
pub(super) struct LimitsReport {
    pub(super) open_files: LimitReport,
    pub(super) processes: LimitReport,
}

/// A limit; None is unlimited.
#[derive(Debug, Serialize)]
pub(super) struct LimitReport {
    pub(super) soft: Option<u64>,
    pub(super) hard: Option<u64>,
}

impl LimitReport {
    fn text(&self) -> String {
        let text = |limit: Option<u64>| limit.map_or("unlimited".to_string(), |it| it.to_string());
        match self.soft == self.hard {
            true => text(self.soft),
            false => format!("{} (may be raised to {})", text(self.soft), text(self.hard)),
        }
    }
}

/// Something that is wrong, and what to do.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    /// Whether it keeps the service from working.
    #[serde(rename = "error")]
    pub(super) is_error: bool,
    what: String,
    fix: String,
}

impl Problem {
    pub(super) fn error(what: String, fix: &str) -> Self {
        Self { is_error: true, what, fix: fix.to_string() }
    }

    pub(super) fn warning(what: String, fix: &str) -> Self {
        Self { is_error: false, what, fix: fix.to_string() }
    }

    pub(super) fn of_service(error: &ServiceError) -> Self {
        let fix = error.fix.as_deref().unwrap_or("correct that");
        Self::error(error.detail.clone(), fix)
    }
}

impl Report {
    /// Returns the text for people.
    pub(super) fn page(&self) -> String {
        let mut page = String::new();
        for (name, text) in self.lines() {
            // Writing to a String does not fail.
            let _written = writeln!(page, "{name:<12} {text}");
        }
        for Problem { is_error, what, fix } in &self.problems {
            let kind = if *is_error { "problem" } else { "note" };
            let _written = writeln!(page, "\n{kind}: {what}\n  fix: {fix}");
        }
        if self.problems.is_empty() {
            page.push_str("\nall is well\n");
        }
        page
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let level = self.containment.level.map_or("none".to_string(), |level| level.to_string());
        let keepers: Vec<_> = self.keepers.iter().map(|keeper| keeper.pid.to_string()).collect();
        let may = |reason: &Option<String>| {
            reason
                .as_ref()
                .map_or("can be limited".to_string(), |reason| format!("no limit: {reason}"))
        };
        vec![
            ("version", self.version.to_string()),
            ("service", self.service_line()),
            ("keepers", if keepers.is_empty() { "none".into() } else { keepers.join(", ") }),
            ("store", self.store_line()),
            ("state", self.state_dir.display().to_string()),
            ("socket", self.socket.display().to_string()),
            ("settings", self.config.display().to_string()),
            ("containment", level),
            ("tree memory", may(&self.containment.tree_memory)),
            ("tree size", may(&self.containment.tree_processes)),
            ("open files", self.limits.open_files.text()),
            ("processes", self.limits.processes.text()),
        ]
    }

    fn service_line(&self) -> String {
        let ServiceReport { pid, running, queued, max_running, url, .. } = &self.service;
        let Some(pid) = pid else { return "does not run; the next verb starts it".to_string() };
        let (Some(running), Some(queued), Some(most)) = (running, queued, max_running) else {
            return format!("process {pid} does not answer");
        };
        let url = url.as_ref().map(|url| format!(", on {url} for those with a token"));
        let url = url.unwrap_or_default();
        format!("process {pid}, {running} of {most} running, {queued} waiting{url}")
    }

    fn store_line(&self) -> String {
        let StoreReport { path, exists, bytes, executions, .. } = &self.store;
        if !exists {
            return "is made when it is needed".to_string();
        }
        let count = executions.map_or(String::new(), |count| format!("{count} executions, "));
        format!("{}: {count}{} bytes", path.display(), bytes.unwrap_or(0))
    }
}
