//! Checks of the settings of an engine.

use execution_engine_process::Level;

use super::EngineBuilder;
use crate::config::OversizedOutputStrategy;
use crate::error::{ExecutionError, Result, ValidationError};
use crate::prepare;
use crate::types::Admission;

impl EngineBuilder {
    /// Checks every setting that does not depend on the host.
    pub(super) fn validate(&self) -> Result<()> {
        self.validate_config()?;
        self.validate_backend()?;
        if self.settings.max_line_bytes < 4 {
            let reason = "must be at least 4 bytes, the longest character";
            return Err(invalid("max_line_bytes", reason));
        }
        if self.stall_limit.is_zero() {
            return Err(invalid("handler_stall_limit", "must be more than 0"));
        }
        if self.control_group.is_some() && self.level.is_some_and(|level| level != Level::Cgroup) {
            let reason = "needs the level Cgroup; leave out containment(..), or the group";
            return Err(invalid("control_group", reason));
        }
        if cfg!(not(feature = "logs")) && self.config.log_dir.is_some() {
            let reason = "this build has no logs; enable the feature `logs` of execution-engine";
            return Err(invalid("log_dir", reason));
        }
        if self.settings.log_rotation.is_some_and(|rotation| rotation.max_bytes == 0) {
            return Err(invalid("log_rotation", "max_bytes must be at least 1"));
        }
        prepare::signal("stop_signal", Some(self.settings.stop.term_signal))?;
        prepare::signal("final_signal", Some(self.settings.stop.kill_signal))?;
        if self.admission == (Admission::Queue { max_waiting: 0 }) {
            return Err(invalid("admission", "max_waiting must be at least 1; or use Reject"));
        }
        for group in &self.groups {
            if group.name.trim().is_empty() {
                return Err(invalid("group", "has no name"));
            }
            if group.limit == 0 {
                let reason = format!("the limit of {:?} must be at least 1", group.name);
                return Err(invalid("group", &reason));
            }
        }
        Ok(())
    }

    fn validate_backend(&self) -> Result<()> {
        if self.backend.is_none() {
            return Ok(());
        }
        if self.script.is_some() {
            let reason = "a script plays programs here, and a backend runs them elsewhere; set one";
            return Err(invalid("backend", reason));
        }
        if self.config.oversized_output_strategy == OversizedOutputStrategy::FailExecution {
            let reason = "FailExecution ends executions here, and the backend decides how they end; choose another strategy";
            return Err(invalid("oversized_output_strategy", reason));
        }
        Ok(())
    }

    fn validate_config(&self) -> Result<()> {
        let mut config = self.config.clone();
        if self.output_sink.is_some() {
            // The sink keeps it, so the engine need not.
            config.max_output_size_bytes = config.max_output_size_bytes.max(1);
        }
        Ok(config.validate()?)
    }
}

/// Returns the error of a setting that is invalid.
pub(super) fn invalid(field: &'static str, reason: &str) -> ExecutionError {
    ValidationError::InvalidOption { field, reason: reason.to_string() }.into()
}
