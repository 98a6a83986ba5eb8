//! Holds the values of a file to their forms: unknown fields, missing ones, and what is of another kind.

use execution_engine::ContentDigest;

use super::fault::{Fault, MOST_SUGGESTIONS, did_you_mean, listed, nearest};
use super::form::{Field, Form, Found, Key, Presence, Tagged, find, keys};
use super::node::{Entry, Node, Value};
use crate::duration;

/// Returns all that is wrong with a value.
pub(super) fn check(node: &Node, form: &'static Form) -> Vec<Fault> {
    let mut checker = Checker { path: Vec::new(), faults: Vec::new() };
    checker.value(node, form);
    checker.faults
}

/// Part of the way to a value.
#[derive(Debug, Clone)]
enum Segment {
    Key(String),
    Index(usize),
}

struct Checker {
    path: Vec<Segment>,
    faults: Vec<Fault>,
}

impl Checker {
    fn fault(&mut self, at: usize, text: impl Into<String>) {
        let (step, field) = place(&self.path);
        self.faults.push(Fault { at, step, field, text: text.into() });
    }

    fn within(&mut self, segment: Segment, check: impl FnOnce(&mut Self)) {
        self.path.push(segment);
        check(self);
        self.path.pop();
    }

    fn value(&mut self, node: &Node, form: &'static Form) {
        match (form, &node.value) {
            (Form::OneOf(forms), _) => match forms.iter().find(|form| has_kind(node, form)) {
                Some(form) => self.value(node, form),
                None => self.wrong_kind(node, form),
            },
            (Form::Text, Value::Text(_)) | (Form::Flag, Value::Flag(_)) => {}
            (Form::Filled | Form::Step, Value::Text(text)) => {
                if text.trim().is_empty() {
                    self.fault(node.at, "is blank; write something, or leave it out");
                }
            }
            (Form::Id, Value::Text(text)) => {
                if uuid::Uuid::parse_str(text).is_err() {
                    self.fault(node.at, "is no UUID; leave it out to get a new one each time");
                }
            }
            (Form::Digest, Value::Text(text)) => {
                if text.parse::<ContentDigest>().is_err() {
                    self.fault(node.at, format!("is not {}", Form::Digest.expected()));
                }
            }
            (Form::Choice(words), Value::Text(text)) => self.choice(node.at, text, words),
            (Form::Integer(least, most), Value::Integer(number)) => {
                self.number(node.at, *number, *least, *most);
            }
            (Form::Millis(least), Value::Integer(number)) => {
                self.number(node.at, *number, i128::from(*least), i128::from(u64::MAX));
            }
            (Form::Step, Value::Integer(number)) => {
                self.number(node.at, *number, 0, i128::from(u64::MAX));
            }
            (Form::List(of, least), Value::List(items)) => self.list(node.at, items, of, *least),
            (Form::Map(key, of), Value::Table(entries)) => self.map(entries, *key, of),
            (Form::Object(object), Value::Table(entries)) => {
                self.fields(node.at, entries, object.fields, object.name);
            }
            (Form::Tagged(tagged), Value::Table(_)) => self.tagged(node, tagged),
            (Form::Tagged(tagged), Value::Text(word)) if tagged.has_words => {
                self.word(node.at, word, tagged);
            }
            _ => self.wrong_kind(node, form),
        }
    }

    fn wrong_kind(&mut self, node: &Node, form: &Form) {
        let fix = match (&node.value, form) {
            (Value::Integer(_) | Value::Flag(_) | Value::Foreign(_), form) if takes_text(form) => {
                "; put it in quotes, so that it stays as it is written"
            }
            (Value::Text(_), Form::Integer(..) | Form::Millis(_) | Form::Flag) => {
                "; write it without quotes"
            }
            (Value::Null, _) => "; write one, or leave the field out",
            _ => "",
        };
        let found = match &node.value {
            Value::Null => "nothing",
            Value::Flag(_) => "true or false",
            Value::Integer(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Foreign(what) => what,
        };
        self.fault(node.at, format!("expected {}, found {found}{fix}", form.expected()));
    }

    fn number(&mut self, at: usize, number: i128, least: i128, most: i128) {
        if !(least..=most).contains(&number) {
            self.fault(at, format!("must be {least} to {most}; write such a number"));
        }
    }

    fn choice(&mut self, at: usize, text: &str, words: &'static [&'static str]) {
        if !words.contains(&text) {
            let fix = self.suggestion(text, words.iter().copied());
            self.fault(at, format!("there is no such word here; {fix}"));
        }
    }

    fn list(&mut self, at: usize, items: &[Node], of: &'static Form, least: usize) {
        if items.len() < least {
            self.fault(at, "the list is empty; add at least one");
        }
        for (index, item) in items.iter().enumerate() {
            self.within(Segment::Index(index), |this| this.value(item, of));
        }
    }

    fn map(&mut self, entries: &[Entry], key: Key, of: &'static Form) {
        for entry in entries {
            let fault = match key {
                // What follows `=` may be a value.
                Key::Variable if entry.key.is_empty() || entry.key.contains(['=', '\0']) => {
                    Some("is no name of a variable: it is empty, or has `=` in it; change it")
                }
                Key::Index if entry.key.parse::<usize>().is_err() => {
                    Some("is no index of a command; write a number from 0")
                }
                _ => None,
            };
            if let Some(fault) = fault {
                let shown = entry.key.split(['=', '\0']).next().unwrap_or_default();
                self.fault(entry.at, format!("`{shown}` {fault}"));
                continue;
            }
            self.within(Segment::Key(entry.key.clone()), |this| this.value(&entry.node, of));
        }
    }

    fn tagged(&mut self, node: &Node, tagged: &'static Tagged) {
        let types = tagged.types.iter().map(|(name, _)| *name);
        let Some(tag) = node.entry("type") else {
            let all = listed(types);
            self.fault(node.at, format!("has no `type`; add one of {all}"));
            return;
        };
        let Some(word) = tag.node.as_text() else {
            self.within(Segment::Key("type".into()), |this| {
                this.wrong_kind(&tag.node, &Form::Text);
            });
            return;
        };
        match tagged.types.iter().find(|(name, _)| *name == word) {
            Some((name, fields)) => {
                let entries = node.entries().iter().filter(|entry| entry.key != "type");
                self.fields(node.at, entries, fields, name);
            }
            None => {
                let fix = self.suggestion(word, types);
                self.fault(tag.node.at, format!("there is no such `type` here; {fix}"));
            }
        }
    }

    /// Checks a type that is written as a word alone.
    fn word(&mut self, at: usize, word: &str, tagged: &'static Tagged) {
        match tagged.types.iter().find(|(name, _)| *name == word) {
            None => {
                let fix = self.suggestion(word, tagged.types.iter().map(|(name, _)| *name));
                self.fault(at, format!("there is no such `type` here; {fix}"));
            }
            Some((_, fields)) => {
                for field in fields.iter().filter(|field| field.presence == Presence::Required) {
                    let name = field.name;
                    let text =
                        format!("{word} needs `{name}`; write a table with `type` and `{name}`");
                    self.fault(at, text);
                }
            }
        }
    }

    fn fields<'n>(
        &mut self,
        at: usize,
        entries: impl IntoIterator<Item = &'n Entry>,
        fields: &'static [Field],
        what: &str,
    ) {
        let mut seen = Vec::new();
        for entry in entries {
            let Some(found) = find(fields, &entry.key) else {
                // A field that is only misspelt is not missing as well.
                seen.extend(self.unknown_field(entry, fields, what));
                continue;
            };
            let (Found::Field(field) | Found::Time(field)) = found;
            if seen.contains(&field.name) {
                let text = "the same time is given twice; leave one of the two out";
                self.within(Segment::Key(entry.key.clone()), |this| this.fault(entry.at, text));
            }
            seen.push(field.name);
            self.within(Segment::Key(entry.key.clone()), |this| this.field(&entry.node, found));
        }
        let missing =
            |field: &&Field| field.presence == Presence::Required && !seen.contains(&field.name);
        for field in fields.iter().filter(missing) {
            let Field { name, about, .. } = field;
            self.fault(at, format!("there is no `{name}`; add it: {}", lower(about)));
        }
    }

    fn field(&mut self, node: &Node, found: Found) {
        match found {
            Found::Field(field) => {
                let may_be_null = field.presence == Presence::Nullable;
                if !(may_be_null && matches!(node.value, Value::Null)) {
                    self.value(node, &field.form);
                }
            }
            Found::Time(field) => match time(node, field) {
                Ok(_) => {}
                Err(text) => self.fault(node.at, text),
            },
        }
    }

    /// Returns the field that is probably meant.
    fn unknown_field(
        &mut self,
        entry: &Entry,
        fields: &'static [Field],
        what: &str,
    ) -> Option<&'static str> {
        let key = &*entry.key;
        let near = if self.suggests() { nearest(key, keys(fields)) } else { None };
        let inner = fields.iter().find(|field| {
            let object = field.form.object();
            object.is_some_and(|object| find(object.fields, key).is_some())
        });
        let fix = match (near, inner) {
            (None, Some(Field { name, .. })) => {
                format!("write it into `{name}`: {name} = {{ {key} = .. }}")
            }
            _ => self.suggestion(key, keys(fields)),
        };
        self.within(Segment::Key(entry.key.clone()), |this| {
            this.fault(entry.at, format!("{what} has no such field; {fix}"));
        });
        near
    }

    /// Returns `false` once there are so many mistakes that no user reads what may be meant, which takes
    /// long to find.
    fn suggests(&self) -> bool {
        self.faults.len() < MOST_SUGGESTIONS
    }

    fn suggestion(&self, name: &str, known: impl IntoIterator<Item = &'static str>) -> String {
        if !self.suggests() {
            return "correct it, or remove it".to_string();
        }
        let known: Vec<&str> = known.into_iter().collect();
        did_you_mean(name, known.iter().copied()).unwrap_or_else(|| match known.is_empty() {
            true => "remove it".to_string(),
            false => format!("there are {}", listed(known)),
        })
    }
}

/// Reads the time that a person has written, in milliseconds, rounded up.
pub(super) fn time(node: &Node, field: &Field) -> Result<u64, String> {
    let written = node.as_text().ok_or_else(|| {
        format!(
            "expected a time as text, such as \"30s\"; or write `{}` = milliseconds",
            field.name
        )
    })?;
    let time = duration::parse(written)?;
    let millis = u64::try_from(time.as_nanos().div_ceil(1_000_000));
    let millis = millis.map_err(|_| "is too long; write a shorter time".to_string())?;
    match field.form {
        Form::Millis(least) if millis < least => {
            Err("must be longer than 0; leave it out for no limit".to_string())
        }
        _ => Ok(millis),
    }
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

fn takes_text(form: &Form) -> bool {
    match form {
        Form::Text | Form::Filled | Form::Choice(_) | Form::Step | Form::Id | Form::Digest => true,
        Form::Tagged(tagged) => tagged.has_words,
        Form::OneOf(forms) => forms.iter().any(takes_text),
        _ => false,
    }
}

fn has_kind(node: &Node, form: &Form) -> bool {
    match node.value {
        Value::Text(_) => takes_text(form),
        Value::Integer(_) => {
            matches!(form, Form::Integer(..) | Form::Millis(_) | Form::Step)
        }
        Value::Flag(_) => matches!(form, Form::Flag),
        Value::List(_) => matches!(form, Form::List(..)),
        Value::Table(_) => matches!(form, Form::Object(_) | Form::Tagged(_) | Form::Map(..)),
        Value::Null | Value::Foreign(_) => false,
    }
}

/// Returns the step that a place is in, and the rest of the way.
fn place(path: &[Segment]) -> (Option<usize>, String) {
    use Segment::{Index, Key};
    let (step, rest) = match path {
        [Key(steps), Index(step), rest @ ..] if steps == "steps" => (Some(*step), rest),
        [Key(a), Key(b), Index(step), rest @ ..]
            if (&**a, &**b) == ("plan", "commands") || (&**a, &**b) == ("options", "steps") =>
        {
            (Some(*step), rest)
        }
        _ => (None, path),
    };
    let mut field = String::new();
    for segment in rest {
        match segment {
            Key(key) if field.is_empty() => field.push_str(key),
            Key(key) => field.extend([".", key]),
            Index(index) => field.push_str(&format!("[{index}]")),
        }
    }
    (step, field)
}
