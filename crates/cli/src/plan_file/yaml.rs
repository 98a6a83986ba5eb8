//! Reads YAML 1.2 with the place of each value. What YAML 1.1 reads otherwise (`no`, `010`, `12:30`) is no
//! text unless it is quoted, so that nothing is changed silently.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::fault::Fault;
use super::node::{Entry, MOST_LEVELS, Node, Value};

/// Bytes that all aliases together may repeat: a few lines of them could otherwise fill the memory.
const MOST_REPEATED: usize = 16 << 20;

/// Reads a text with one document.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let options = granit_parser::options! { emit_comments: false };
    let mut tree = Tree { text, ..Tree::default() };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let at = offset(text, error.marker());
            Fault::new(at, format!("{}; correct the YAML", error.kind()))
        })?;
        tree.take(event, offset(text, &span.start))?;
    }
    tree.root.ok_or_else(|| Fault::new(0, "the file is empty; write a plan with `steps`"))
}

fn offset(text: &str, marker: &Marker) -> usize {
    let by_characters = || text.char_indices().nth(marker.index()).map(|(offset, _)| offset);
    marker.byte_offset().or_else(by_characters).unwrap_or(text.len())
}

/// List or table whose end has not been read yet.
struct Open {
    node: Node,
    anchor: usize,
    /// Key whose value comes next.
    key: Option<(String, usize)>,
    keys: HashSet<String>,
}

#[derive(Default)]
struct Tree<'a> {
    text: &'a str,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    repeated: usize,
    root: Option<Node>,
}

impl Tree<'_> {
    fn take(&mut self, event: Event<'_>, at: usize) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, tag.as_deref(), at)?;
                self.put(node, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(at, Value::List(Vec::new()), anchor, tag.as_deref(), "seq")
            }
            Event::MappingStart(_, anchor, tag) => {
                self.begin(at, Value::Table(Vec::new()), anchor, tag.as_deref(), "map")
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { node, anchor, .. }) => self.put(node, anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Fault::new(at, "a second document begins here; a file has one plan"))
            }
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        at: usize,
        value: Value,
        anchor: usize,
        tag: Option<&Tag>,
        own_tag: &str,
    ) -> Result<(), Fault> {
        if self.open.len() >= MOST_LEVELS {
            return Err(Fault::new(at, "is nested too deeply; a plan needs no such depth"));
        }
        if self.open.last().is_some_and(Open::waits_for_key) {
            return Err(Fault::new(at, "a key must be text; correct the YAML"));
        }
        refuse_tag(tag, own_tag, at)?;
        self.open.push(Open { node: Node { at, value }, anchor, key: None, keys: HashSet::new() });
        Ok(())
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        at: usize,
    ) -> Result<Node, Fault> {
        refuse_tag(tag, "str", at)?;
        let is_key = self.open.last().is_some_and(Open::waits_for_key);
        let is_text = is_key || tag.is_some() || !matches!(style, ScalarStyle::Plain);
        let value = if is_text { Value::Text(text.to_string()) } else { plain(text) };
        Ok(Node { at, value })
    }

    fn alias(&mut self, anchor: usize, at: usize) -> Result<(), Fault> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Fault::new(at, "this alias is within what it repeats; write the value"));
        };
        self.repeated += node.size();
        if self.repeated > MOST_REPEATED {
            return Err(Fault::new(at, "the aliases repeat more than 16 MiB; write fewer of them"));
        }
        let node = node.clone();
        self.put(node, 0)
    }

    /// Adds a whole value where it belongs.
    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        if anchor != 0 {
            self.repeated += node.size();
            if self.repeated > MOST_REPEATED {
                let text = "what has an anchor is longer than 16 MiB; write it without one";
                return Err(Fault::new(node.at, text));
            }
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.value {
            Value::List(items) => items.push(node),
            Value::Table(entries) => match open.key.take() {
                Some((key, at)) => entries.push(Entry { key, at, node }),
                None => open.key = Some(key(node, &mut open.keys, self.text)?),
            },
            _ => {}
        }
        Ok(())
    }
}

impl Open {
    fn waits_for_key(&self) -> bool {
        matches!(self.node.value, Value::Table(_)) && self.key.is_none()
    }
}

fn key(node: Node, seen: &mut HashSet<String>, text: &str) -> Result<(String, usize), Fault> {
    let at = node.at.min(text.len());
    let Value::Text(key) = node.value else {
        return Err(Fault::new(at, "a key must be text; put it in quotes"));
    };
    if key == "<<" {
        let text = "keys cannot be merged with `<<`; write the fields, or what all steps share into \
                    `env`, `working_dir` and `defaults` of the plan";
        return Err(Fault::new(at, text));
    }
    match seen.insert(key.clone()) {
        true => Ok((key, at)),
        false => Err(super::duplicate_key(at, &key)),
    }
}

/// Refuses a tag other than the one that says what the value is anyway.
fn refuse_tag(tag: Option<&Tag>, own: &str, at: usize) -> Result<(), Fault> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema_tag(own) => {
            Err(Fault::new(at, "tags have no meaning in a plan; remove it, or put text in quotes"))
        }
        _ => Ok(()),
    }
}

/// Returns what an unquoted word means.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Flag(true),
        "false" | "False" | "FALSE" => return Value::Flag(false),
        _ => {}
    }
    if ["y", "n", "yes", "no", "on", "off"].contains(&&*text.to_ascii_lowercase()) {
        return Value::Foreign("a word that some readers of YAML take for true or false");
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Value::Text(text.to_string());
    }
    number(text, digits).unwrap_or_else(|| Value::Text(text.to_string()))
}

/// Returns what a word means that begins like a number; None if it is text.
fn number(text: &str, digits: &str) -> Option<Value> {
    let is_all = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || more.contains(c))
    };
    if is_all(digits, "") {
        let is_plain = digits == "0" || !digits.starts_with('0');
        return Some(match text.parse() {
            Ok(number) if is_plain => Value::Integer(number),
            Ok(_) => Value::Foreign("a number that some readers of YAML take for an octal one"),
            Err(_) => Value::Foreign("a number that is too large"),
        });
    }
    let lower = digits.to_ascii_lowercase();
    let is_based = ["0x", "0o", "0b"].iter().any(|base| lower.starts_with(base));
    if is_based && lower[2..].chars().all(|c| c.is_ascii_hexdigit() || c == '_') {
        return Some(Value::Foreign("a number that is not decimal"));
    }
    if [".inf", ".nan"].contains(&&*lower) {
        return Some(Value::Foreign("a number with a fraction"));
    }
    if is_all(digits, "_") {
        return Some(Value::Foreign("a number with underscores"));
    }
    if digits.matches(':').count() > 0 && is_all(digits, ":.") && digits != ":" {
        return Some(Value::Foreign("a time, which some readers of YAML take for a number"));
    }
    let date = digits.get(..10).unwrap_or_default();
    if is_all(date, "-") && date.matches('-').count() == 2 && digits == text {
        return Some(Value::Foreign("a date"));
    }
    let is_fraction = digits.contains(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok();
    is_fraction.then_some(Value::Foreign("a number with a fraction"))
}
