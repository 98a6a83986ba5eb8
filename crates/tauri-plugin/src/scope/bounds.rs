//! Bounds on what a request asks for beside its command: times, attempts, priority, limits. The table
//! in docs/tauri.md has the decision on each field, and a test holds the code to it.

use execution_engine::{ExecutionOptions, Leftovers, Limits, OutputMode};

use super::{LeftoversRule, LimitsRule, Rule};

/// Default of `max_wait_ms`: the longest delay of the engine's own retry policy.
const MAX_WAIT_MS: u64 = 60_000;
/// Default of `max_attempts`: that of the engine's own retry policy.
const MAX_ATTEMPTS: u32 = 3;
/// Default of `umask`: a page may only keep others out.
const UMASK: u32 = 0o077;

/// Bounds of a rule.
#[derive(Debug)]
pub(super) struct Bounds {
    max_timeout_ms: Option<u64>,
    max_wait_ms: u64,
    max_attempts: u32,
    max_priority: i32,
    groups: Vec<String>,
    min_nice: i32,
    umask: u32,
    limits: LimitsRule,
    leftovers: LeftoversRule,
}

/// Field that no rule can allow, or that exceeds a bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BoundFault {
    Never { field: &'static str },
    Exceeded { field: &'static str, bound: &'static str },
    Leftovers,
}

impl Bounds {
    pub(super) fn of(rule: &Rule) -> Self {
        Self {
            max_timeout_ms: rule.max_timeout_ms,
            max_wait_ms: rule.max_wait_ms.unwrap_or(MAX_WAIT_MS),
            max_attempts: rule.max_attempts.unwrap_or(MAX_ATTEMPTS),
            max_priority: rule.max_priority.unwrap_or(0),
            groups: rule.groups.clone(),
            min_nice: rule.min_nice.unwrap_or(0),
            umask: rule.umask_bits().unwrap_or(UMASK),
            limits: rule.limits,
            leftovers: rule.leftovers,
        }
    }

    /// Returns an error with the first field that the rule does not allow.
    pub(super) fn check(
        &self,
        timeout_ms: Option<u64>,
        options: &ExecutionOptions,
    ) -> Result<(), BoundFault> {
        if options.user.is_some() {
            return Err(BoundFault::Never { field: "options.user" });
        }
        // Where programs run is for the app to say.
        if options.requires.is_some() {
            return Err(BoundFault::Never { field: "options.requires" });
        }
        // Files of a fleet are for the app.
        if !options.inputs.is_empty() {
            return Err(BoundFault::Never { field: "options.inputs" });
        }
        if !options.collect.is_empty() {
            return Err(BoundFault::Never { field: "options.collect" });
        }
        // The streams of the app are its terminal or its log, where a page has no business.
        if !matches!(options.output, OutputMode::Separate | OutputMode::Merged) {
            return Err(BoundFault::Never { field: "options.output" });
        }
        if options.leftovers != Leftovers::Stop && self.leftovers != LeftoversRule::Leave {
            return Err(BoundFault::Leftovers);
        }
        let exceeded = self
            .times(timeout_ms, options)
            .into_iter()
            .chain(self.amounts(options))
            .chain(self.resources(&options.limits))
            .find(|(_, _, is_exceeded)| *is_exceeded);
        match exceeded {
            Some((field, bound, _)) => Err(BoundFault::Exceeded { field, bound }),
            None => Ok(()),
        }
    }

    fn times(&self, timeout_ms: Option<u64>, options: &ExecutionOptions) -> [Bounded; 4] {
        let longer = |time: Option<u64>| time.is_some_and(|time| time > self.max_wait_ms);
        let delay = options.retry.as_ref().map(|retry| retry.max_delay_ms);
        let timeout = timeout_ms.zip(self.max_timeout_ms).is_some_and(|(asked, max)| asked > max);
        [
            ("timeout_ms", "max_timeout_ms", timeout),
            ("options.stop_grace_ms", "max_wait_ms", longer(options.stop_grace_ms)),
            ("options.leftovers_wait_ms", "max_wait_ms", longer(options.leftovers_wait_ms)),
            ("options.retry.max_delay_ms", "max_wait_ms", longer(delay)),
        ]
    }

    fn amounts(&self, options: &ExecutionOptions) -> [Bounded; 6] {
        let attempts = options.retry.as_ref().map_or(0, |retry| retry.attempts);
        let starts = options.max_attempts.unwrap_or(0);
        let Limits { nice, umask, .. } = options.limits;
        let is_unlisted = options.group.as_ref().is_some_and(|group| !self.groups.contains(group));
        [
            ("options.retry.attempts", "max_attempts", attempts > self.max_attempts),
            ("options.max_attempts", "max_attempts", starts > self.max_attempts),
            ("options.priority", "max_priority", options.priority > self.max_priority),
            ("options.group", "groups", is_unlisted),
            ("options.limits.nice", "min_nice", nice.is_some_and(|nice| nice < self.min_nice)),
            ("options.limits.umask", "umask", umask.is_some_and(|mask| !mask & self.umask != 0)),
        ]
    }

    fn resources(&self, asked: &Limits) -> [Bounded; 8] {
        let Limits { cpu_seconds, address_space_bytes, open_files, .. } = *asked;
        let Limits { file_size_bytes, processes, core_bytes, tree_memory_bytes, .. } = *asked;
        let max = self.limits;
        let above =
            |asked: Option<u64>, max: Option<u64>| asked.zip(max).is_some_and(|(a, m)| a > m);
        // A core file has all that was in memory, so a rule must ask for it.
        let core_max = Some(max.core_bytes.unwrap_or(0));
        [
            ("options.limits.cpu_seconds", above(cpu_seconds, max.cpu_seconds)),
            (
                "options.limits.address_space_bytes",
                above(address_space_bytes, max.address_space_bytes),
            ),
            ("options.limits.open_files", above(open_files, max.open_files)),
            ("options.limits.file_size_bytes", above(file_size_bytes, max.file_size_bytes)),
            ("options.limits.processes", above(processes, max.processes)),
            ("options.limits.core_bytes", above(core_bytes, core_max)),
            ("options.limits.tree_memory_bytes", above(tree_memory_bytes, max.tree_memory_bytes)),
            ("options.limits.tree_processes", above(asked.tree_processes, max.tree_processes)),
        ]
        .map(|(field, is_exceeded)| (field, "limits", is_exceeded))
    }

    /// Sets what the rule bounds and the request leaves open.
    pub(super) fn apply(
        &self,
        default_timeout_ms: u64,
        timeout_ms: &mut Option<u64>,
        options: &mut ExecutionOptions,
    ) {
        if let Some(max) = self.max_timeout_ms {
            timeout_ms.get_or_insert(default_timeout_ms.min(max));
        }
        let (asked, max) = (&mut options.limits, self.limits);
        for (asked, max) in [
            (&mut asked.cpu_seconds, max.cpu_seconds),
            (&mut asked.address_space_bytes, max.address_space_bytes),
            (&mut asked.open_files, max.open_files),
            (&mut asked.file_size_bytes, max.file_size_bytes),
            (&mut asked.processes, max.processes),
            (&mut asked.core_bytes, max.core_bytes),
            (&mut asked.tree_memory_bytes, max.tree_memory_bytes),
            (&mut asked.tree_processes, max.tree_processes),
        ] {
            *asked = asked.or(max);
        }
    }
}

/// Field of a request, field of the rule that bounds it, and whether it is beyond.
type Bounded = (&'static str, &'static str, bool);
