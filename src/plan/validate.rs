//! From a plan as it is written to one that can run: every name resolved, every rule checked. Pure.

use std::collections::HashMap;

use super::graph::{Fault, Graph};
use super::inputs::ResolvedInput;
use super::schedule::{ConcurrencyLimits, StepSlot};
use crate::admission::GroupId;
use crate::error::{PlanError, ValidationError};
use crate::prepare::env_name;
use crate::types::{
    ExecutionOptions, ExecutionPlan, ExecutionRequest, ExecutionStrategy, FailurePolicy,
    InputTarget, PlanOptions, PlanStep, StepOptions, StepRef,
};

/// A plan that has passed every check.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(super) graph: Graph,
    pub(super) policy: FailurePolicy,
    pub(super) room: ConcurrencyLimits,
    pub(super) turns: Vec<StepSlot>,
    /// The inputs of the steps that have some.
    pub(super) inputs: HashMap<usize, Vec<ResolvedInput>>,
}

/// What an engine says about a plan.
pub(crate) trait StepChecker {
    /// Checks a step as far as it can be known before it starts, and finds its group.
    fn check(
        &self,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
    ) -> Result<GroupId, ValidationError>;

    /// How many executions may be alive at a time.
    fn limit(&self) -> usize;

    /// The same for each group.
    fn group_limits(&self) -> Vec<usize>;
}

/// Checks the whole plan.
pub(crate) fn check(
    plan: &ExecutionPlan,
    options: &PlanOptions,
    house: &impl StepChecker,
) -> Result<Checked, PlanError> {
    let paper = RawDependency::new(plan, options)?;
    paper.ids()?;
    let limit = paper.limit()?;
    let inputs = paper.inputs()?;
    let graph = paper.graph(paper.edges()?)?;
    paper.shared()?;
    let turns = paper.turns(house)?;
    let (engine, groups) = (house.limit(), house.group_limits());
    // More than could ever run at a time would only wait in the engine's queue. Each group has a
    // bound of its own, so that those who wait for a full one keep nobody else from starting.
    let room = ConcurrencyLimits {
        all: limit.unwrap_or(usize::MAX),
        ungrouped: engine,
        groups: groups.into_iter().map(|group| group.min(engine)).collect(),
    };
    Ok(Checked { graph, policy: paper.policy(), room, turns, inputs })
}

/// Checks all that needs no engine, and returns the dependencies by index.
pub(super) fn resolve(
    plan: &ExecutionPlan,
    options: &PlanOptions,
) -> Result<Vec<Vec<usize>>, PlanError> {
    let paper = RawDependency::new(plan, options)?;
    paper.limit()?;
    paper.inputs()?;
    let edges = paper.edges()?;
    paper.graph(edges.clone())?;
    Ok(edges)
}

/// What each step waits for, with what it gets along that way, as far as it makes sense: pictures
/// are drawn of wrong plans, too.
pub(super) fn arrows<'a>(
    plan: &ExecutionPlan,
    options: &'a PlanOptions,
) -> impl Iterator<Item = Edge<'a>> {
    let commands = plan.commands.len();
    let names = options.steps.iter().enumerate();
    let names: HashMap<&str, usize> =
        names.filter_map(|(index, step)| Some((step.name.as_deref()?, index))).collect();
    let arrow = move |Claim { step, on, input }: Claim<'a>| {
        let from = match on {
            StepKey::Index(index) => index,
            StepKey::Name(name) => *names.get(name)?,
        };
        (from < commands && step < commands).then_some(Edge { from, to: step, input })
    };
    claims(plan, options).into_iter().filter_map(arrow)
}

/// One step waits for another one.
pub(super) struct Edge<'a> {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) input: Option<&'a InputTarget>,
}

/// The same as it is written, which may make no sense.
struct Claim<'a> {
    step: usize,
    on: StepKey<'a>,
    input: Option<&'a InputTarget>,
}

#[derive(Clone, Copy)]
enum StepKey<'a> {
    Index(usize),
    Name(&'a str),
}

impl<'a> From<&'a StepRef> for StepKey<'a> {
    fn from(step: &'a StepRef) -> Self {
        match step {
            StepRef::Index(index) => Self::Index(*index),
            StepRef::Name(name) => Self::Name(name),
        }
    }
}

/// All that is said about what waits for what: by the strategy, by the options of the steps, and by
/// their inputs.
fn claims<'a>(plan: &ExecutionPlan, options: &'a PlanOptions) -> Vec<Claim<'a>> {
    let by_index = |step, index| Claim { step, on: StepKey::Index(index), input: None };
    let mut claims = match &plan.strategy {
        ExecutionStrategy::Parallel { .. } => Vec::new(),
        ExecutionStrategy::Serial { .. } => {
            (1..plan.commands.len()).map(|step| by_index(step, step - 1)).collect()
        }
        ExecutionStrategy::DependencyGraph { dependencies } => {
            // In order, so that of several mistakes the same one is told each time.
            let mut sorted: Vec<_> = dependencies.iter().collect();
            sorted.sort_unstable();
            let pairs = |(&step, on): (&usize, &Vec<usize>)| {
                on.iter().map(move |&index| by_index(step, index)).collect::<Vec<_>>()
            };
            sorted.into_iter().flat_map(pairs).collect()
        }
    };
    for (step, said) in options.steps.iter().enumerate() {
        let after = said.after.iter().map(|on| Claim { step, on: on.into(), input: None });
        let inputs = said.inputs.iter().map(|input| Claim {
            step,
            on: (&input.from).into(),
            input: Some(&input.to),
        });
        claims.extend(after.chain(inputs));
    }
    claims
}

/// How errors and endings name a step.
pub(super) fn label(options: &PlanOptions, index: usize) -> PlanStep {
    let name = options.steps.get(index).and_then(|step| step.name.clone());
    PlanStep { index, name }
}

/// The options of the execution of a step.
pub(super) fn options_of(options: &PlanOptions, index: usize) -> &ExecutionOptions {
    options.effective_options(index)
}

/// The policy in force.
fn policy(strategy: &ExecutionStrategy, options: &PlanOptions) -> FailurePolicy {
    options.failure_policy.unwrap_or(match strategy {
        ExecutionStrategy::Serial { stop_on_error: true } => FailurePolicy::StopAtFirstError,
        ExecutionStrategy::Serial { stop_on_error: false } | ExecutionStrategy::Parallel { .. } => {
            FailurePolicy::Continue
        }
        ExecutionStrategy::DependencyGraph { .. } => FailurePolicy::FinishIndependent,
    })
}

/// A plan and its options, whose names are known to be good.
struct RawDependency<'a> {
    plan: &'a ExecutionPlan,
    options: &'a PlanOptions,
    names: HashMap<&'a str, usize>,
}

impl<'a> RawDependency<'a> {
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
            if let Some(reason) = fault_of_name(name) {
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

    fn steps(&self) -> impl Iterator<Item = (usize, &'a StepOptions)> {
        self.options.steps.iter().enumerate()
    }

    fn ids(&self) -> Result<(), PlanError> {
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

    /// How many at a time, as the strategy and the options say it.
    fn limit(&self) -> Result<Option<usize>, PlanError> {
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

    /// What all steps share.
    fn shared(&self) -> Result<(), PlanError> {
        let PlanOptions { deadline_ms, env, working_dir, .. } = self.options;
        if *deadline_ms == Some(0) {
            return Err(invalid("deadline_ms", "is 0; use at least 1, or None for no deadline"));
        }
        for (name, value) in env {
            env_name(name).map_err(|error| invalid("env", &error.to_string()))?;
            if value.contains('\0') {
                return Err(invalid("env", &format!("{name} contains a NUL byte; remove it")));
            }
        }
        if working_dir.as_deref().is_some_and(|dir| dir.as_os_str().is_empty()) {
            return Err(invalid("working_dir", "is empty; name one or use None"));
        }
        Ok(())
    }

    fn inputs(&self) -> Result<HashMap<usize, Vec<ResolvedInput>>, PlanError> {
        let mut all = HashMap::new();
        for (index, step) in self.steps().filter(|(_, step)| !step.inputs.is_empty()) {
            let mut inputs: Vec<ResolvedInput> = Vec::with_capacity(step.inputs.len());
            for input in &step.inputs {
                let from = self.find(index, (&input.from).into())?;
                let bad = |reason: String| PlanError::InvalidInput {
                    step: self.label(index),
                    from: self.label(from),
                    reason,
                };
                if let InputTarget::Env(name) = &input.to {
                    env_name(name).map_err(|error| bad(error.to_string()))?;
                }
                if inputs.iter().any(|other| other.to == input.to) {
                    return Err(bad("another input goes to the same place".to_string()));
                }
                inputs.push(ResolvedInput::new(from, input));
            }
            all.insert(index, inputs);
        }
        Ok(all)
    }

    fn find(&self, of: usize, on: StepKey<'_>) -> Result<usize, PlanError> {
        let commands = self.plan.commands.len();
        let found = match on {
            StepKey::Index(index) => Some(index).filter(|&index| index < commands),
            StepKey::Name(name) => self.names.get(name).copied(),
        };
        found.ok_or_else(|| {
            let (named, hint) = match on {
                StepKey::Index(index) => {
                    (index.to_string(), format!("there are {commands}, counted from 0"))
                }
                StepKey::Name(name) => (format!("{name:?}"), self.all_names()),
            };
            PlanError::UnknownStep { step: self.label(of), named, hint }
        })
    }

    fn all_names(&self) -> String {
        const SHOWN: usize = 10;
        let names = self.options.steps.iter().filter_map(|step| step.name.as_deref());
        let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
        match names.len() {
            0 => "no step has a name".to_string(),
            1..=SHOWN => format!("the names are {}", names.join(", ")),
            all => format!("the names are {} and {} more", names[..SHOWN].join(", "), all - SHOWN),
        }
    }

    /// What each step waits for.
    fn edges(&self) -> Result<Vec<Vec<usize>>, PlanError> {
        let commands = self.plan.commands.len();
        let mut edges = vec![Vec::new(); commands];
        if let ExecutionStrategy::DependencyGraph { dependencies } = &self.plan.strategy
            && let Some(&index) = dependencies.keys().filter(|&&index| index >= commands).min()
        {
            return Err(PlanError::NoSuchCommand { index, commands });
        }
        for Claim { step, on, .. } in claims(self.plan, self.options) {
            edges[step].push(self.find(step, on)?);
        }
        Ok(edges)
    }

    fn graph(&self, edges: Vec<Vec<usize>>) -> Result<Graph, PlanError> {
        Graph::new(edges).map_err(|fault| match fault {
            Fault::SelfEdge(index) => PlanError::SelfDependency { step: self.label(index) },
            Fault::Cycle(path) => {
                PlanError::Cycle { path: path.into_iter().map(|index| self.label(index)).collect() }
            }
        })
    }

    fn policy(&self) -> FailurePolicy {
        policy(&self.plan.strategy, self.options)
    }

    fn turns(&self, house: &impl StepChecker) -> Result<Vec<StepSlot>, PlanError> {
        let turn = |(index, request): (usize, &ExecutionRequest)| {
            let options = options_of(self.options, index);
            match house.check(request, options) {
                Ok(group) => Ok(StepSlot { group, priority: options.priority }),
                Err(error) => {
                    Err(PlanError::InvalidStep { step: self.label(index), error: Box::new(error) })
                }
            }
        };
        self.plan.commands.iter().enumerate().map(turn).collect()
    }
}

fn fault_of_name(name: &str) -> Option<&'static str> {
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
