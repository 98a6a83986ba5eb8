//! Makes the plan of the library out of a checked file: a step for each combination of a matrix, and inputs
//! out of their short forms.

use std::ops::Range;

use super::fault::Fault;
use super::matrix::{Combination, MOST_STEPS, combinations};
use super::node::{Entry, Node, Value};
use super::references::Names;
use super::substitute::{NO_ROOM, Room, fill, names_axis};

/// Bytes that all steps of matrices may take.
const MOST_BYTES: usize = 64 << 20;

/// Makes the steps of a plan in one list. Returns for each of them the one in the file that it comes from.
///
/// # Errors
/// All mistakes in matrices and references.
pub(super) fn expand(root: &mut Node) -> Result<Vec<usize>, Vec<Fault>> {
    let Some(Node { at, value: Value::List(steps) }) = root.take("steps") else {
        return Ok(Vec::new());
    };
    let mut expansion =
        Expansion { faults: outside(root), room: Room(MOST_BYTES), rows: Vec::new() };
    let mut sources = Vec::new();
    let mut all: Vec<Node> = Vec::new();
    for (index, step) in steps.into_iter().enumerate() {
        let new = expansion.step(index, step, all.len());
        sources.extend(std::iter::repeat_n(index, new.len()));
        all.extend(new);
    }
    if all.len() > MOST_STEPS {
        expansion.faults.push(Fault::new(at, format!("a plan has at most {MOST_STEPS} steps")));
    }
    if expansion.rows.iter().any(|row| row.is_matrix) {
        expansion.refuse_indices(root);
    }
    expansion.resolve(&mut all, &sources);
    root.set("steps", Node::list(at, all));
    match expansion.faults.is_empty() {
        true => Ok(sources),
        false => Err(expansion.faults),
    }
}

/// Checks the references between the steps of a plan beside its options.
pub(super) fn check_references(root: &mut Node) -> Vec<Fault> {
    let commands = root.get("plan").and_then(|plan| plan.get("commands"));
    let count = commands.map_or(0, |commands| commands.items().len());
    let mut names = Names::default();
    let Some(options) = root.take("options") else { return Vec::new() };
    let steps = options.get("steps").map_or(&[][..], Node::items);
    for index in 0..count {
        names.add(index, steps.get(index).and_then(|step| step.get("name")));
    }
    for (index, step) in steps.iter().enumerate().take(count) {
        // The library takes names and indices as they are.
        names.resolve(index, &mut step.clone());
    }
    if let Some(step) = steps.get(count) {
        let text =
            format!("there are options for more steps than the {count} commands; remove them");
        names.faults.push(Fault::new(step.at, text));
    }
    root.set("options", options);
    names.faults
}

/// Steps that one of the file has become.
struct Row {
    name: Option<Node>,
    range: Range<usize>,
    is_matrix: bool,
}

struct Expansion {
    faults: Vec<Fault>,
    room: Room,
    rows: Vec<Row>,
}

impl Expansion {
    fn fault(&mut self, step: usize, field: &str, at: usize, text: impl Into<String>) {
        self.faults.push(Fault {
            at,
            step: Some(step),
            field: field.to_string(),
            text: text.into(),
        });
    }

    /// Returns the steps that one of the file becomes, of which `begin` is the first.
    fn step(&mut self, index: usize, mut step: Node, begin: usize) -> Vec<Node> {
        for Fault { at, field, text, .. } in short_inputs(&mut step) {
            self.fault(index, &field, at, text);
        }
        let matrix = step.take("matrix");
        let name = step.get("name").cloned();
        let new = match &matrix {
            None => {
                self.fill(index, &mut step, None);
                vec![step]
            }
            Some(matrix) => self.combinations(index, &step, matrix, begin),
        };
        let is_matrix = matrix.is_some();
        self.rows.push(Row { name, range: begin..begin + new.len(), is_matrix });
        new
    }

    fn combinations(
        &mut self,
        index: usize,
        step: &Node,
        matrix: &Node,
        begin: usize,
    ) -> Vec<Node> {
        if step.get("name").and_then(Node::as_text).is_none() {
            self.fault(
                index,
                "matrix",
                matrix.at,
                "the step needs a name for its combinations; add `name`",
            );
            return Vec::new();
        }
        let all = match combinations(matrix) {
            Ok(all) => all,
            Err(faults) => {
                let of_step = |it: Fault| Fault { step: Some(index), field: "matrix".into(), ..it };
                self.faults.extend(faults.into_iter().map(of_step));
                return Vec::new();
            }
        };
        if begin + all.len() > MOST_STEPS {
            let text = format!("the plan has more than {MOST_STEPS} steps with this matrix");
            self.fault(index, "matrix", matrix.at, format!("{text}; use fewer values"));
            return Vec::new();
        }
        let mut steps = Vec::with_capacity(all.len());
        for combination in &all {
            if !self.room.take(step.size()) {
                self.fault(index, "matrix", matrix.at, NO_ROOM);
                break;
            }
            steps.push(self.combination(index, step.clone(), combination));
        }
        steps
    }

    fn combination(&mut self, index: usize, mut step: Node, combination: &Combination) -> Node {
        let at = step.at;
        if let Some(name) = step.get("name")
            && let Some(text) = name.as_text()
            && !names_axis(text)
        {
            let full = format!("{text} {}", combination.label());
            step.set("name", Node::text(name.at, full));
        }
        self.fill(index, &mut step, Some(combination));
        let mut env = step.take("env").unwrap_or_else(|| Node::table(at, []));
        for (variable, value) in combination.variables() {
            if let Some(entry) = env.entry(&variable) {
                let text =
                    format!("{variable} is that of the matrix; name this variable otherwise");
                self.fault(index, "env", entry.at, text);
            }
            env.set(&variable, Node::text(at, value));
        }
        step.set("env", env);
        step
    }

    fn fill(&mut self, index: usize, step: &mut Node, combination: Option<&Combination>) {
        if let Err(faults) = fill(step, combination, &mut self.room) {
            let of_step = |it: Fault| Fault { step: Some(index), ..it };
            self.faults.extend(faults.into_iter().map(of_step));
        }
    }

    /// Refuses an order by indices, which would not say which combination is meant.
    fn refuse_indices(&mut self, root: &Node) {
        let strategy = root.get("strategy");
        if let Some(entry) = strategy.and_then(|strategy| strategy.entry("dependencies")) {
            let text = "indices do not say which combination of a matrix is meant; leave `strategy` out and \
                        use `after` with names";
            let field = "strategy".to_string();
            self.faults.push(Fault { field, ..Fault::new(entry.at, text) });
        }
    }

    fn resolve(&mut self, all: &mut [Node], sources: &[usize]) {
        let mut names = Names::default();
        for (index, Row { name, range, is_matrix }) in self.rows.iter().enumerate() {
            match name {
                Some(name) if *is_matrix => {
                    let steps = all.get(range.clone()).unwrap_or_default();
                    let own = steps.iter().filter_map(|step| step.get("name")?.as_text());
                    names.add_matrix(index, name, own.map(str::to_string).collect());
                }
                name => names.add(index, name.as_ref()),
            }
        }
        for (step, source) in all.iter_mut().zip(sources) {
            names.resolve(*source, step);
        }
        self.faults.append(&mut names.faults);
    }
}

/// Writes `env_from`, `stdin_from` and `files_from` as inputs. Returns what is wrong with them.
fn short_inputs(step: &mut Node) -> Vec<Fault> {
    let (mut more, mut faults) = (Vec::new(), Vec::new());
    if let Some(Node { value: Value::Table(entries), .. }) = step.take("env_from") {
        for Entry { key, at, node } in entries {
            let fields = [("type", Node::text(at, "env")), ("name", Node::text(at, key))];
            let to = Node::table(at, fields);
            more.push(Node::table(node.at, [("from", node), ("to", to)]));
        }
    }
    if let Some(node) = step.take("stdin_from") {
        let to = Node::text(node.at, "stdin");
        more.push(Node::table(node.at, [("from", node), ("to", to)]));
    }
    if let Some(node) = step.take("files_from") {
        for file in files(&node) {
            match file {
                Ok(input) => more.push(input),
                Err(fault) => faults.push(fault),
            }
        }
    }
    if more.is_empty() {
        return faults;
    }
    let at = more[0].at;
    let mut inputs = match step.take("inputs") {
        Some(Node { value: Value::List(inputs), .. }) => inputs,
        _ => Vec::new(),
    };
    inputs.append(&mut more);
    step.set("inputs", Node::list(at, inputs));
    faults
}

/// Returns the inputs of `files_from`: a text or a list of them, or a table of such by directories.
fn files(node: &Node) -> Vec<Result<Node, Fault>> {
    let of = |directory: Option<(usize, &str)>, node: &Node| {
        let all = if node.items().is_empty() { std::slice::from_ref(node) } else { node.items() };
        all.iter().map(|node| files_input(directory, node)).collect::<Vec<_>>()
    };
    match node.entries() {
        [] => of(None, node),
        entries => {
            let below = |entry: &Entry| of(Some((entry.at, &*entry.key)), &entry.node);
            entries.iter().flat_map(below).collect()
        }
    }
}

/// Returns the input of one `step:pattern`.
fn files_input(directory: Option<(usize, &str)>, node: &Node) -> Result<Node, Fault> {
    let at = node.at;
    let text = node.as_text().unwrap_or_default();
    let Some((from, pattern)) = text.split_once(':') else {
        let text = "write a step, a colon and a pattern, such as \"build:out/*\"".to_string();
        return Err(Fault { at, step: None, field: "files_from".to_string(), text });
    };
    let mut to =
        Node::table(at, [("type", Node::text(at, "files")), ("pattern", Node::text(at, pattern))]);
    if let Some((at, directory)) = directory {
        to.set("directory", Node::text(at, directory.strip_suffix('/').unwrap_or(directory)));
    }
    Ok(Node::table(at, [("from", Node::text(at, from)), ("to", to)]))
}

/// Returns the places outside of the steps that name an axis.
fn outside(root: &Node) -> Vec<Fault> {
    let mut faults = Vec::new();
    for Entry { key, node, .. } in root.entries() {
        look(key, node, &mut faults);
    }
    faults
}

fn look(field: &str, node: &Node, faults: &mut Vec<Fault>) {
    if node.as_text().is_some_and(names_axis) {
        let text = "${matrix..} stands for nothing here; only a step with a `matrix` has it";
        faults.push(Fault { field: field.to_string(), ..Fault::new(node.at, text) });
    }
    node.items().iter().for_each(|item| look(field, item, faults));
    node.entries().iter().for_each(|entry| look(field, &entry.node, faults));
}
