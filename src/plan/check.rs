//! Check of a plan without an engine, for those who read plans and let others run them.

use super::validate::{label, validate_without_engine};
use crate::error::PlanError;
use crate::prepare::check_alone;
use crate::types::PlanSpec;

impl PlanSpec {
    /// Checks all rules that no engine and no host decides: names, references, cycles, conditions,
    /// inputs, and each request with its options.
    ///
    /// What depends on the engine that runs it is left to
    /// [`execute_plan`](crate::ExecutionEngine::execute_plan): groups, the longest timeout, and which
    /// limits the host enforces.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// let plan: PlanSpec = serde_json::from_str(
    ///     r#"{"steps": [{"name": "test", "command": "make test", "after": ["build"]}]}"#,
    /// )?;
    /// let error = plan.check().unwrap_err();
    /// assert_eq!(error.error_code(), "plan_unknown_step");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self) -> Result<(), PlanError> {
        validate_without_engine(self)?;
        for (index, request) in self.plan.commands.iter().enumerate() {
            check_alone(request, self.options.effective_options(index)).map_err(|error| {
                let step = label(&self.options, index);
                PlanError::InvalidStep { step, error: Box::new(error) }
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ExecutionOptions, ExecutionPlan, ExecutionRequest};

    fn code(plan: impl Into<PlanSpec>) -> Option<&'static str> {
        plan.into().check().err().map(|error| error.error_code())
    }

    #[test]
    fn requests_are_checked_and_what_an_engine_decides_is_not() {
        let plan = |request| ExecutionPlan::parallel([ExecutionRequest::shell("x"), request]);
        assert_eq!(code(plan(ExecutionRequest::shell("y"))), None);
        assert_eq!(code(plan(ExecutionRequest::shell(" "))), Some("empty_field"));
        assert_eq!(code(plan(ExecutionRequest::shell("y").env("A=B", "c"))), Some("env_name"));
        let mut request = ExecutionRequest::shell("y");
        request.timeout_ms = Some(0);
        assert_eq!(code(plan(request)), Some("timeout_zero"));

        let mut of_group = PlanSpec::from(plan(ExecutionRequest::program("no-such-program")));
        of_group.options.defaults = ExecutionOptions::default().group("of-some-engine");
        assert_eq!(code(of_group), None);
    }
}
