//! Names of steps, and what refers to them. A name of a step with a matrix means all its combinations.

use std::collections::HashMap;

use super::fault::{Fault, MOST_SUGGESTIONS, did_you_mean, listed};
use super::node::{Node, Value};

/// References that a plan may have.
const MOST_REFERENCES: usize = 1_000_000;

/// Steps that a reference means.
#[derive(Debug, Clone)]
enum Target {
    /// One step, as the plan refers to it.
    One(Value),
    /// All combinations of a matrix, by name.
    All(Vec<String>),
}

/// Steps of a file by their names and indices.
#[derive(Default)]
pub(super) struct Names {
    by_name: HashMap<String, Target>,
    by_index: Vec<Target>,
    /// How many steps there are so far, each combination counted.
    count: i128,
    references: usize,
    pub(super) faults: Vec<Fault>,
}

impl Names {
    /// Adds the next step of the file, which has no matrix.
    pub(super) fn add(&mut self, step: usize, name: Option<&Node>) {
        let target = match name.and_then(Node::as_text) {
            Some(text) => Target::One(Value::Text(text.to_string())),
            None => Target::One(Value::Integer(self.count)),
        };
        if let Some(node) = name
            && let Some(text) = node.as_text()
        {
            self.insert(step, node.at, text, target.clone());
        }
        self.by_index.push(target);
        self.count += 1;
    }

    /// Adds the next step of the file, which has a matrix: its name, and those of its combinations.
    pub(super) fn add_matrix(&mut self, step: usize, name: &Node, combinations: Vec<String>) {
        for combination in &combinations {
            let target = Target::One(Value::Text(combination.clone()));
            self.insert(step, name.at, combination, target);
        }
        self.count += i128::try_from(combinations.len()).unwrap_or(i128::MAX);
        let target = Target::All(combinations);
        if let Some(text) = name.as_text() {
            self.insert(step, name.at, text, target.clone());
        }
        self.by_index.push(target);
    }

    fn insert(&mut self, step: usize, at: usize, name: &str, target: Target) {
        if self.by_name.insert(name.to_string(), target).is_some() {
            let text = format!("another step is named {name:?}, too; rename one of them");
            self.faults.push(Fault { at, step: Some(step), field: "name".to_string(), text });
        }
    }

    /// Replaces the references of a step by those that the plan has.
    pub(super) fn resolve(&mut self, step: usize, node: &mut Node) {
        let Value::Table(entries) = &mut node.value else { return };
        for entry in entries {
            let Value::List(items) = &mut entry.node.value else { continue };
            let field = &*entry.key;
            match field {
                "after" => {
                    let old = std::mem::take(items);
                    items.extend(old.iter().flat_map(|item| self.all(step, field, item)));
                }
                "only_if" => {
                    let old = std::mem::take(items);
                    items.extend(old.into_iter().flat_map(|item| self.condition(step, item)));
                }
                "inputs" => {
                    let old = std::mem::take(items);
                    items.extend(old.into_iter().flat_map(|item| self.input(step, item)));
                }
                _ => {}
            }
        }
    }

    fn condition(&mut self, step: usize, condition: Node) -> Vec<Node> {
        let Some(reference) = condition.get("step") else { return vec![condition] };
        let found = self.all(step, "only_if", reference);
        found.into_iter().map(|found| with(&condition, "step", found)).collect()
    }

    /// Returns an input for each step that it names: files may be those of all combinations.
    fn input(&mut self, step: usize, input: Node) -> Vec<Node> {
        let Some(from) = input.get("from") else { return vec![input] };
        let target = input.get("to").and_then(|to| to.get("type")).and_then(Node::as_text);
        let found = match target {
            Some("files") => self.all(step, "inputs", from),
            _ => self.one(step, "inputs", from).into_iter().collect(),
        };
        found.into_iter().map(|found| with(&input, "from", found)).collect()
    }

    fn all(&mut self, step: usize, field: &str, reference: &Node) -> Vec<Node> {
        let at = reference.at;
        let found = match self.find(step, field, reference) {
            Some(Target::One(value)) => vec![Node { at, value: value.clone() }],
            Some(Target::All(names)) => names.iter().map(|name| Node::text(at, name)).collect(),
            None => Vec::new(),
        };
        self.references += found.len();
        if self.references <= MOST_REFERENCES {
            return found;
        }
        let text = "the plan refers to steps more than a million times; let a step without a matrix wait \
                    for the one matrix, and the other for it";
        self.fault(step, field, at, text.to_string());
        Vec::new()
    }

    fn one(&mut self, step: usize, field: &str, reference: &Node) -> Option<Node> {
        let at = reference.at;
        let text = match self.find(step, field, reference)? {
            Target::One(value) => return Some(Node { at, value: value.clone() }),
            Target::All(names) => {
                let first = names.first().map_or("", |name| name);
                format!(
                    "an input takes the output of one step, and this one has a matrix with {} \
                     combinations; name one of them, such as {first:?}",
                    names.len()
                )
            }
        };
        self.fault(step, field, at, text);
        None
    }

    fn find(&mut self, step: usize, field: &str, reference: &Node) -> Option<&Target> {
        let fault = match &reference.value {
            Value::Text(name) if self.by_name.contains_key(name) => {
                return self.by_name.get(name);
            }
            Value::Text(name) => {
                format!("there is no step {name:?}; {}", self.suggestion(name))
            }
            Value::Integer(index) => {
                let found = usize::try_from(*index).ok().filter(|it| *it < self.by_index.len());
                match found {
                    Some(index) => return self.by_index.get(index),
                    None => format!(
                        "there is no step {index}; there are {}, counted from 0",
                        self.by_index.len()
                    ),
                }
            }
            _ => return None,
        };
        self.fault(step, field, reference.at, fault);
        None
    }

    fn suggestion(&self, name: &str) -> String {
        // No user reads more, and each is compared with all names.
        if self.faults.len() > MOST_SUGGESTIONS {
            return "correct the name".to_string();
        }
        let mut names: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
        names.sort_unstable();
        let near = did_you_mean(name, names.iter().copied());
        near.unwrap_or_else(|| match names.is_empty() {
            true => "no step has a name".to_string(),
            false => format!("there are {}", listed(names)),
        })
    }

    fn fault(&mut self, step: usize, field: &str, at: usize, text: String) {
        self.faults.push(Fault { at, step: Some(step), field: field.to_string(), text });
    }
}

/// Returns a table with another reference to a step.
fn with(node: &Node, key: &str, reference: Node) -> Node {
    let mut node = node.clone();
    node.set(key, reference);
    node
}
