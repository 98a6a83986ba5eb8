//! What the library says about a plan, with the places in the file.

use execution_engine::{PlanError, PlanSpec, PlanStep};

use super::fault::Fault;
use super::node::{Node, Value};

/// Makes the plan of a file that has nothing of its own any more, and lets the library check it. `sources`
/// has the step of the file for each step of the plan.
///
/// # Errors
/// The first rule that it breaks.
pub(super) fn plan(root: &Node, sources: &[usize]) -> Result<PlanSpec, Vec<Fault>> {
    let spec: PlanSpec = serde_json::from_value(root.json()).map_err(|error| {
        // The tables say what the library reads, so this is a fault of theirs; a test compares the two.
        vec![Fault::new(root.at, format!("cannot be read: {error}"))]
    })?;
    spec.check().map_err(|error| vec![fault(&error, root, sources)])?;
    Ok(spec)
}

/// Returns the steps: of either form the part with the commands.
pub(super) fn steps(root: &Node) -> &[Node] {
    let commands = || root.get("plan")?.get("commands");
    root.get("steps").or_else(commands).map_or(&[], Node::items)
}

fn fault(error: &PlanError, root: &Node, sources: &[usize]) -> Fault {
    let message = error.to_string();
    let message = message.strip_prefix("plan: ").unwrap_or(&message);
    let Some(step) = step_of(error) else {
        let (at, field) = named_in(root, message).unwrap_or((root.at, String::new()));
        return Fault { field, ..Fault::new(at, for_files(message)) };
    };
    let parts = parts(root, step.index);
    let place = match error {
        PlanError::Cycle { path } => {
            let next = path.get(1).or(path.first());
            next.and_then(|next| reference(&parts, next))
        }
        PlanError::SelfDependency { step } => reference(&parts, step),
        PlanError::InvalidCondition { .. } => field(&parts, "only_if"),
        PlanError::InvalidInput { .. } => field(&parts, "inputs"),
        PlanError::DuplicateId { .. } | PlanError::IdOfPlan { .. } => field(&parts, "id"),
        PlanError::BadName { .. } | PlanError::DuplicateName { .. } => field(&parts, "name"),
        _ => None,
    };
    let place = place.or_else(|| parts.iter().find_map(|part| named_in(part, message)));
    let begin = parts.first().map_or(root.at, |part| part.at);
    let (at, field) = place.unwrap_or((begin, String::new()));
    let source = sources.get(step.index).copied();
    let text = message.strip_prefix(&format!("{step}: ")).unwrap_or(message);
    Fault { at, step: source, field, text: for_files(text) }
}

/// Returns the step that an error is about.
fn step_of(error: &PlanError) -> Option<PlanStep> {
    Some(match error {
        PlanError::UnknownStep { step, .. }
        | PlanError::SelfDependency { step }
        | PlanError::IdOfPlan { step }
        | PlanError::InvalidStep { step, .. }
        | PlanError::InvalidInput { step, .. }
        | PlanError::InvalidCondition { step, .. } => step.clone(),
        PlanError::Cycle { path } => path.first()?.clone(),
        PlanError::DuplicateId { second, .. } => second.clone(),
        PlanError::DuplicateName { second, name, .. } => {
            PlanStep { index: *second, name: Some(name.clone()) }
        }
        PlanError::BadName { index, .. } => PlanStep { index: *index, name: None },
        _ => return None,
    })
}

/// Returns the tables of a step: one, or its command and its options.
fn parts(root: &Node, index: usize) -> Vec<&Node> {
    let options = || root.get("options")?.get("steps")?.items().get(index);
    steps(root).get(index).into_iter().chain(options()).collect()
}

fn field(parts: &[&Node], key: &str) -> Option<(usize, String)> {
    let entry = parts.iter().find_map(|part| part.entry(key))?;
    Some((entry.node.at, key.to_string()))
}

/// Returns where a step refers to another one.
fn reference(parts: &[&Node], to: &PlanStep) -> Option<(usize, String)> {
    let is_meant = |node: &Node| match (&node.value, &to.name) {
        (Value::Text(text), Some(name)) => text == name,
        (Value::Integer(index), _) => usize::try_from(*index) == Ok(to.index),
        _ => false,
    };
    for part in parts {
        for key in ["after", "only_if", "inputs"] {
            for item in part.get(key).map_or(&[][..], Node::items) {
                let inner = item.get("step").or_else(|| item.get("from")).unwrap_or(item);
                if is_meant(inner) {
                    return Some((inner.at, key.to_string()));
                }
            }
        }
    }
    None
}

/// Returns the first field within a table that a message names.
fn named_in(node: &Node, message: &str) -> Option<(usize, String)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for entry in node.entries() {
        if entry.key == "steps" || entry.key == "commands" {
            continue;
        }
        let inner = named_in(&entry.node, message)
            .map(|(at, inner)| (at, format!("{}.{inner}", entry.key)));
        let is_named = || message.split(|c| !is_word(c)).any(|word| word == entry.key);
        match inner {
            Some(inner) => return Some(inner),
            None if is_named() => return Some((entry.at, entry.key.clone())),
            None => {}
        }
    }
    None
}

/// Replaces what only a program can do by what is done in a file.
fn for_files(message: &str) -> String {
    const WORDS: [(&str, &str); 5] = [
        ("name one or use None", "name one or leave it out"),
        ("use None", "leave it out"),
        ("or None for", "or leave it out for"),
        ("use Null", "leave it out"),
        (" (Uuid::new_v4())", ""),
    ];
    WORDS.iter().fold(message.to_string(), |text, (ours, theirs)| text.replace(ours, theirs))
}
