//! Plans in files: TOML, YAML or JSON becomes a plan of the library, or a list of mistakes with their lines.
//!
//! Each format is read into the same tree of values with their places (`toml`, `yaml`, `json`, `node`).
//! `check` holds the tree to the tables in `forms` and `option_forms`, `times` and `expand` turn what files alone have into
//! what the library has, and `library` lets it judge the rest. `schema` writes the tables as a JSON Schema.

mod check;
mod expand;
mod fault;
mod form;
mod forms;
mod json;
mod library;
mod matrix;
mod node;
mod option_forms;
mod references;
mod schema;
mod source;
mod substitute;
#[cfg(test)]
mod tests;
mod times;
mod toml;
mod yaml;

use std::path::Path;

use execution_engine::PlanSpec;

use crate::failure::Failure;
use fault::Fault;
pub(crate) use fault::Mistakes;
use form::Form;
use matrix::MOST_STEPS;
use node::Node;
pub(crate) use schema::schema;
pub(crate) use source::Format;
use source::Source;

/// Plan that was read from a file, and that has passed every check but those of an engine.
#[derive(Debug)]
pub(crate) struct PlanFile {
    pub(crate) spec: PlanSpec,
    /// The line of each step; those of one matrix have the same.
    pub(crate) lines: Vec<usize>,
}

/// Why there is no plan.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// The file could not be read.
    Unreadable(Failure),
    /// What it says is no valid plan.
    Invalid(Mistakes),
}

impl From<Unusable> for Failure {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Unreadable(failure) => failure,
            Unusable::Invalid(mistakes) => Self::new(mistakes.text()),
        }
    }
}

impl PlanFile {
    /// Returns the name of a step, or `step 2` for one without a name.
    pub(crate) fn name(&self, index: usize) -> String {
        let name = self.spec.options.steps.get(index).and_then(|step| step.name.clone());
        name.unwrap_or_else(|| format!("step {index}"))
    }
}

/// Reads a plan from a file, or from stdin if the path is `-`. Without a format that of its name counts.
///
/// # Errors
/// Why it cannot be read, or all its mistakes: file, line, column, step, field and fix.
pub(crate) fn read(path: &Path, format: Option<Format>) -> Result<PlanFile, Failure> {
    Ok(load(path, format)?)
}

/// Like [`read`], with the mistakes as data.
pub(crate) fn load(path: &Path, format: Option<Format>) -> Result<PlanFile, Unusable> {
    let source = Source::open(path, format).map_err(Unusable::Unreadable)?;
    parse(&source).map_err(Unusable::Invalid)
}

/// Makes a plan of a text.
fn parse(Source { name, format, bytes }: &Source) -> Result<PlanFile, Mistakes> {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let (text, _) = bytes.split_at(error.valid_up_to());
            let fault = Fault::new(text.len(), "is not UTF-8; save the file as UTF-8");
            return Err(Mistakes::new(name, &String::from_utf8_lossy(text), vec![fault], |_| None));
        }
    };
    let root = match format {
        Format::Toml => toml::parse(text),
        Format::Yaml => yaml::parse(text),
        Format::Json => json::parse(text),
    };
    let root = root.map_err(|fault| Mistakes::new(name, text, vec![fault], |_| None))?;
    let names = step_names(&root);
    plan(root, text).map_err(|faults| {
        Mistakes::new(name, text, faults, |index| names.get(index).cloned().flatten())
    })
}

/// Makes a plan of the content of a file.
fn plan(mut root: Node, text: &str) -> Result<PlanFile, Vec<Fault>> {
    let form = form_of(&root)?;
    let faults = check::check(&root, form);
    if !faults.is_empty() {
        return Err(faults);
    }
    times::replace(&mut root, form);
    let is_steps = root.get("steps").is_some();
    let sources = if is_steps {
        expand::expand(&mut root)?
    } else {
        let faults = expand::check_references(&mut root);
        if !faults.is_empty() {
            return Err(faults);
        }
        (0..library::steps(&root).len()).collect()
    };
    let spec = library::plan(&root, &sources)?;
    let places: Vec<usize> = library::steps(&root).iter().map(|step| step.at).collect();
    Ok(PlanFile { spec, lines: fault::lines(text, &places) })
}

static STEPS_FORM: Form = Form::Object(&forms::STEPS_PLAN);
static PLAN_FORM: Form = Form::Object(&forms::PLAN_AND_OPTIONS);

/// Returns the form that a file means to have, if it is not too long.
fn form_of(root: &Node) -> Result<&'static Form, Vec<Fault>> {
    let (plan, steps) = (root.entry("plan"), root.entry("steps"));
    if let (Some(plan), Some(_)) = (plan, steps) {
        let text = "a file has either `plan` and `options`, or `steps` and what they share; remove one of the two";
        return Err(vec![Fault::new(plan.at, text)]);
    }
    let list = match plan {
        Some(plan) => plan.node.get("commands"),
        None => steps.map(|steps| &steps.node),
    };
    if let Some(item) = list.and_then(|list| list.items().get(MOST_STEPS)) {
        let text = format!("a plan has at most {MOST_STEPS} steps; make several plans of it");
        return Err(vec![Fault::new(item.at, text)]);
    }
    let is_plan = plan.is_some() || (steps.is_none() && root.entry("options").is_some());
    Ok(if is_plan { &PLAN_FORM } else { &STEPS_FORM })
}

/// Returns the names of the steps as the file has them.
fn step_names(root: &Node) -> Vec<Option<String>> {
    let steps = root.get("steps").or_else(|| root.get("options")?.get("steps"));
    let name = |step: &Node| Some(step.get("name")?.as_text()?.to_string());
    steps.map_or(&[][..], Node::items).iter().map(name).collect()
}

/// Returns the fault of a key that a table has twice.
fn duplicate_key(at: usize, key: &str) -> Fault {
    // What follows `=` in the name of a variable may be its value.
    let key = key.split('=').next().unwrap_or_default();
    Fault::new(at, format!("`{key}` is there twice; remove one of the two"))
}
