//! Validation of a plan: resolves every name and checks every rule before anything starts. Pure,
//! but for what the engine says about the single steps.

use std::collections::{BTreeMap, HashMap};

use execution_engine_process::OutputMode;

use super::backend::PlanBackend;
use super::graph::{Fault, Graph};
use super::inputs::ResolvedInput;
use super::schedule::{ConcurrencyLimits, Condition, ScheduleSpec, StepRule, StepSlot};
use crate::admission::GroupId;
use crate::error::{PlanError, listed};
use crate::prepare::{env_name, path_below};
use crate::types::{
    ExecutionPlan, ExecutionRequest, ExecutionStrategy, FailurePolicy, InputTarget, PlanOptions,
    PlanSpec, PlanStep, StepCondition, StepInput, StepRef,
};

/// What an executor needs of a plan that has passed every check.
#[derive(Debug)]
pub(crate) struct ValidatedPlan {
    pub(super) schedule: ScheduleSpec,
    /// The inputs of the steps that have some.
    pub(super) inputs: HashMap<usize, Vec<ResolvedInput>>,
}

/// Checks the whole plan.
pub(crate) fn validate(
    spec: &PlanSpec,
    backend: &dyn PlanBackend,
) -> Result<ValidatedPlan, PlanError> {
    let (engine, groups) = backend.limits();
    // Steps beyond these limits could only wait in the engine's queue, in front of other
    // executions. Each group has a limit of its own, so that steps that wait for a full group keep
    // no other step from starting.
    let limits = |all| ConcurrencyLimits {
        all,
        ungrouped: engine,
        groups: groups.into_iter().map(|group| group.min(engine)).collect(),
    };
    checked(spec, |validator| validator.check_steps(backend), limits)
}

/// Checks all that needs no engine. The groups of steps are left to the caller that runs them.
pub(super) fn validate_without_engine(spec: &PlanSpec) -> Result<ValidatedPlan, PlanError> {
    let slot = |step| StepSlot {
        group: GroupId::NONE,
        priority: spec.options.effective_options(step).priority,
    };
    let slots = (0..spec.plan.commands.len()).map(slot).collect();
    let limits = |all| ConcurrencyLimits { all, ungrouped: usize::MAX, groups: Vec::new() };
    checked(spec, |_| Ok(slots), limits)
}

/// Checks a plan, and its steps by a function that returns where they wait.
fn checked(
    PlanSpec { plan, options }: &PlanSpec,
    check_steps: impl FnOnce(&PlanValidator<'_>) -> Result<Vec<StepSlot>, PlanError>,
    limits: impl FnOnce(usize) -> ConcurrencyLimits,
) -> Result<ValidatedPlan, PlanError> {
    let validator = PlanValidator::new(plan, options)?;
    validator.check_ids()?;
    let limit = validator.concurrency_limit()?;
    let inputs = validator.resolve_inputs()?;
    let graph = validator.graph(validator.resolve_dependencies()?)?;
    validator.check_shared()?;
    let slots = check_steps(&validator)?;
    let rules = validator.rules(&graph, &inputs)?;
    let schedule = ScheduleSpec {
        graph,
        policy: failure_policy(&plan.strategy, options),
        is_serial: matches!(plan.strategy, ExecutionStrategy::Serial { .. }),
        limits: limits(limit.unwrap_or(usize::MAX)),
        steps: slots.into_iter().zip(rules).collect(),
    };
    Ok(ValidatedPlan { schedule, inputs })
}

/// Checks all that needs no engine. Returns the dependencies of each step by index.
pub(super) fn resolve_dependencies(
    plan: &ExecutionPlan,
    options: &PlanOptions,
) -> Result<Vec<Vec<usize>>, PlanError> {
    let validator = PlanValidator::new(plan, options)?;
    validator.concurrency_limit()?;
    let inputs = validator.resolve_inputs()?;
    let dependencies = validator.resolve_dependencies()?;
    validator.rules(&validator.graph(dependencies.clone())?, &inputs)?;
    Ok(dependencies)
}

/// Returns the name of a step for errors and events.
pub(super) fn label(options: &PlanOptions, index: usize) -> PlanStep {
    let name = options.steps.get(index).and_then(|step| step.name.clone());
    PlanStep { index, name }
}

fn failure_policy(strategy: &ExecutionStrategy, options: &PlanOptions) -> FailurePolicy {
    options.failure_policy.unwrap_or(match strategy {
        ExecutionStrategy::Serial { stop_on_error: true } => FailurePolicy::StopAtFirstError,
        ExecutionStrategy::Serial { stop_on_error: false } | ExecutionStrategy::Parallel { .. } => {
            FailurePolicy::Continue
        }
        ExecutionStrategy::DependencyGraph { .. } => FailurePolicy::FinishIndependent,
    })
}

/// A plan and its options, with the index of each name.
struct PlanValidator<'a> {
    plan: &'a ExecutionPlan,
    options: &'a PlanOptions,
    names: HashMap<&'a str, usize>,
}

impl<'a> PlanValidator<'a> {
    /// Checks the names of the steps and indexes them.
    fn new(plan: &'a ExecutionPlan, options: &'a PlanOptions) -> Result<Self, PlanError> {
        let commands = plan.commands.len();
        if commands == 0 {
            return Err(PlanError::Empty);
        }
        if options.steps.len() > commands {
            return Err(PlanError::TooManySteps { steps: options.steps.len(), commands });
        }
        let mut names = HashMap::new();
        for (index, step) in options.steps.iter().enumerate() {
            let Some(name) = step.name.as_deref() else { continue };
            if let Some(reason) = name_fault(name) {
                return Err(PlanError::BadName { index, name: name.to_string(), reason });
            }
            if let Some(first) = names.insert(name, index) {
                let name = name.to_string();
                return Err(PlanError::DuplicateName { name, first, second: index });
            }
        }
        Ok(Self { plan, options, names })
    }

    fn label(&self, index: usize) -> PlanStep {
        label(self.options, index)
    }

    fn check_ids(&self) -> Result<(), PlanError> {
        let mut seen = HashMap::with_capacity(self.plan.commands.len());
        for (index, request) in self.plan.commands.iter().enumerate() {
            if request.id == self.plan.id {
                return Err(PlanError::IdOfPlan { step: self.label(index) });
            }
            if let Some(first) = seen.insert(request.id, index) {
                let (first, second) = (self.label(first), self.label(index));
                return Err(PlanError::DuplicateId { id: request.id, first, second });
            }
        }
        Ok(())
    }

    /// Returns how many steps may run at a time: the lower one of the strategy's and the options'
    /// limit.
    fn concurrency_limit(&self) -> Result<Option<usize>, PlanError> {
        let of_strategy = match self.plan.strategy {
            ExecutionStrategy::Parallel { max_concurrency } => max_concurrency,
            _ => None,
        };
        let limit = of_strategy.into_iter().chain(self.options.max_concurrency).min();
        if limit == Some(0) {
            return Err(invalid("max_concurrency", "must be at least 1, or nothing ever runs"));
        }
        Ok(limit)
    }

    /// Checks what all steps share.
    fn check_shared(&self) -> Result<(), PlanError> {
        let PlanOptions { deadline_ms, env, working_dir, .. } = self.options;
        if *deadline_ms == Some(0) {
            return Err(invalid("deadline_ms", "is 0; use at least 1, or None for no deadline"));
        }
        for (name, value) in env {
            env_name(name.as_ref()).map_err(|error| invalid("env", &error.to_string()))?;
            if value.contains('\0') {
                return Err(invalid("env", &format!("{name} contains a NUL byte; remove it")));
            }
        }
        if working_dir.as_deref().is_some_and(|dir| dir.as_os_str().is_empty()) {
            return Err(invalid("working_dir", "is empty; name one or use None"));
        }
        Ok(())
    }

    fn resolve_inputs(&self) -> Result<HashMap<usize, Vec<ResolvedInput>>, PlanError> {
        let mut all = HashMap::new();
        let steps = self.options.steps.iter().enumerate();
        for (index, step) in steps.filter(|(_, step)| !step.inputs.is_empty()) {
            let mut inputs: Vec<ResolvedInput> = Vec::with_capacity(step.inputs.len());
            for input in &step.inputs {
                let from = self.find(index, &input.from)?;
                let bad = |reason: String| PlanError::InvalidInput {
                    step: self.label(index),
                    from: self.label(from),
                    reason,
                };
                self.check_input(from, input).map_err(bad)?;
                // Files of several steps may go to one directory.
                let is_same = |other: &ResolvedInput| {
                    other.to == input.to && (other.files().is_none() || other.from == from)
                };
                if inputs.iter().any(is_same) {
                    return Err(bad("another input goes to the same place".to_string()));
                }
                inputs.push(ResolvedInput::new(from, input));
            }
            all.insert(index, inputs);
        }
        Ok(all)
    }

    /// Checks an input that comes from this step.
    fn check_input(&self, from: usize, input: &StepInput) -> Result<(), String> {
        let options = self.options.effective_options(from);
        let is_read = options.output != OutputMode::Inherit;
        match &input.to {
            InputTarget::Files { pattern, directory } => {
                for path in [pattern].into_iter().chain(directory) {
                    path_below("files", path).map_err(|error| error.to_string())?;
                }
                if input.trim.is_some() || input.max_bytes.is_some() {
                    return Err("files are placed whole; leave trim and max_bytes out".to_string());
                }
                if options.collect.is_empty() {
                    return Err(
                        "it collects no files; name them in its options (collect)".to_string()
                    );
                }
                return Ok(());
            }
            InputTarget::Env(name) => {
                env_name(name.as_ref()).map_err(|error| error.to_string())?;
            }
            InputTarget::Stdin => {}
        }
        match is_read {
            true => Ok(()),
            false => Err("its output goes to the streams of this process and is not read; let it be captured \
                         (options.output)"
                .to_string()),
        }
    }

    /// Returns the index of the step that the dependency or input of step `of` names.
    fn find(&self, of: usize, on: &StepRef) -> Result<usize, PlanError> {
        let commands = self.plan.commands.len();
        let found = match on {
            StepRef::Index(index) => Some(*index).filter(|&index| index < commands),
            StepRef::Name(name) => self.names.get(&**name).copied(),
        };
        found.ok_or_else(|| {
            let (named, hint) = match on {
                StepRef::Index(index) => {
                    (index.to_string(), format!("there are {commands}, counted from 0"))
                }
                StepRef::Name(name) => (format!("{name:?}"), self.all_names()),
            };
            PlanError::UnknownStep { step: self.label(of), named, hint }
        })
    }

    fn all_names(&self) -> String {
        let names = self.options.steps.iter().filter_map(|step| step.name.as_deref());
        listed("names", names).unwrap_or_else(|| "no step has a name".to_string())
    }

    /// Returns what each step waits for.
    fn resolve_dependencies(&self) -> Result<Vec<Vec<usize>>, PlanError> {
        let commands = self.plan.commands.len();
        let mut all = vec![Vec::new(); commands];
        match &self.plan.strategy {
            ExecutionStrategy::Parallel { .. } => {}
            ExecutionStrategy::Serial { .. } => {
                (1..commands).for_each(|step| all[step].push(step - 1));
            }
            ExecutionStrategy::DependencyGraph { dependencies } => {
                // Sorted, so that a plan with several mistakes gets the same error each time.
                let sorted = BTreeMap::from_iter(dependencies.iter().map(|(&at, on)| (at, on)));
                if let Some((&index, _)) = sorted.range(commands..).next() {
                    return Err(PlanError::NoSuchCommand { index, commands });
                }
                for (step, on) in sorted {
                    for &index in on {
                        all[step].push(self.find(step, &StepRef::Index(index))?);
                    }
                }
            }
        }
        for (step, options) in self.options.steps.iter().enumerate() {
            let inputs = options.inputs.iter().map(|input| &input.from);
            let conditions = options.only_if.iter().filter_map(StepCondition::step);
            for on in options.after.iter().chain(inputs).chain(conditions) {
                all[step].push(self.find(step, on)?);
            }
        }
        Ok(all)
    }

    fn graph(&self, dependencies: Vec<Vec<usize>>) -> Result<Graph, PlanError> {
        Graph::new(dependencies).map_err(|fault| match fault {
            Fault::SelfEdge(index) => PlanError::SelfDependency { step: self.label(index) },
            Fault::Cycle(path) => {
                PlanError::Cycle { path: path.into_iter().map(|index| self.label(index)).collect() }
            }
        })
    }

    /// Returns when each step runs.
    fn rules(
        &self,
        graph: &Graph,
        inputs: &HashMap<usize, Vec<ResolvedInput>>,
    ) -> Result<Vec<StepRule>, PlanError> {
        let mut rules = vec![StepRule::default(); self.plan.commands.len()];
        for (index, (step, rule)) in self.options.steps.iter().zip(&mut rules).enumerate() {
            (rule.always, rule.allow_failure) = (step.always, step.allow_failure);
            let conditions = step.only_if.iter();
            let resolved = conditions.map(|it| self.condition(index, it, graph.waits_for(index)));
            rule.conditions = resolved.collect::<Result<_, _>>()?;
        }
        for (index, inputs) in inputs {
            rules[*index].takes_from = inputs.iter().map(|input| input.from).collect();
        }
        Ok(rules)
    }

    fn condition(
        &self,
        of: usize,
        condition: &StepCondition,
        waits_for: usize,
    ) -> Result<Condition, PlanError> {
        let invalid = |reason| PlanError::InvalidCondition { step: self.label(of), reason };
        Ok(match condition {
            StepCondition::Succeeded { step } => Condition::Succeeded(self.find(of, step)?),
            StepCondition::Failed { step } => Condition::Failed(self.find(of, step)?),
            StepCondition::Skipped { step } => Condition::Skipped(self.find(of, step)?),
            StepCondition::ExitCode { codes, .. } if codes.is_empty() => {
                return Err(invalid("exit_code has no codes; name at least one"));
            }
            StepCondition::ExitCode { step, codes } => {
                Condition::ExitCode(self.find(of, step)?, codes.clone())
            }
            StepCondition::AnyFailed | StepCondition::NoneFailed if waits_for == 0 => {
                let reason = "it waits for no step; name those that the condition is about (after)";
                return Err(invalid(reason));
            }
            StepCondition::AnyFailed => Condition::AnyFailed,
            StepCondition::NoneFailed => Condition::NoneFailed,
        })
    }

    /// Checks the request and the options of each step.
    fn check_steps(&self, backend: &dyn PlanBackend) -> Result<Vec<StepSlot>, PlanError> {
        let slot = |(index, request): (usize, &ExecutionRequest)| {
            let options = self.options.effective_options(index);
            match backend.check(request, options) {
                Ok(group) => Ok(StepSlot { group, priority: options.priority }),
                Err(error) => {
                    Err(PlanError::InvalidStep { step: self.label(index), error: Box::new(error) })
                }
            }
        };
        self.plan.commands.iter().enumerate().map(slot).collect()
    }
}

fn name_fault(name: &str) -> Option<&'static str> {
    const LONGEST: usize = 200;
    if name.trim().is_empty() {
        Some("is blank; give it a name or none")
    } else if name.trim().len() != name.len() {
        Some("begins or ends with white space; remove it")
    } else if name.chars().any(char::is_control) {
        Some("contains a control character; remove it")
    } else if name.len() > LONGEST {
        Some("is longer than 200 bytes; shorten it")
    } else {
        None
    }
}

fn invalid(field: &'static str, reason: &str) -> PlanError {
    PlanError::InvalidOption { field, reason: reason.to_string() }
}
