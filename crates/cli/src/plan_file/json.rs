//! Reads JSON with the place of each value. The parser is serde_json, so the syntax is exactly its: it
//! returns each value as the part of the text that it is.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fault::Fault;
use super::node::{Entry, MOST_LEVELS, Node, Value};

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    // Editors of Windows begin a file with this mark, which the other two parsers leave out by themselves.
    let content = text.strip_prefix('\u{feff}').unwrap_or(text);
    let raw: &RawValue = serde_json::from_str(content).map_err(|error| {
        let message = error.to_string();
        let what = message.split(" at line ").next().unwrap_or_default();
        let at = offset_of(content, error.line(), error.column()) + text.len() - content.len();
        Fault::new(at, format!("{what}; correct the JSON"))
    })?;
    JsonReader { text }.node(raw, 0)
}

/// Returns the offset of a place that serde_json names: a line from 1 and a column in bytes.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before = text.split_inclusive('\n').take(line.saturating_sub(1));
    before.map(str::len).sum::<usize>() + column.saturating_sub(1)
}

struct JsonReader<'a> {
    text: &'a str,
}

impl<'a> JsonReader<'a> {
    fn offset(&self, part: &str) -> usize {
        part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr())
    }

    fn node(&self, raw: &'a RawValue, level: usize) -> Result<Node, Fault> {
        let part = raw.get();
        let at = self.offset(part);
        if level > MOST_LEVELS {
            return Err(Fault::new(at, "is nested too deeply; a plan needs no such depth"));
        }
        let wrong = |error: serde_json::Error| {
            let message = error.to_string();
            let what = message.split(" at line ").next().unwrap_or_default();
            Fault::new(at, format!("{what}; correct the JSON"))
        };
        let value = match part.as_bytes().first() {
            Some(b'n') => Value::Null,
            Some(b't') => Value::Flag(true),
            Some(b'f') => Value::Flag(false),
            Some(b'"') => Value::Text(serde_json::from_str(part).map_err(wrong)?),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(part).map_err(wrong)?;
                let nodes = items.into_iter().map(|item| self.node(item, level + 1));
                Value::List(nodes.collect::<Result<_, _>>()?)
            }
            Some(b'{') => {
                let mut parser = serde_json::Deserializer::from_str(part);
                let fields = parser.deserialize_map(Fields).map_err(wrong)?;
                Value::Table(self.entries(fields, level)?)
            }
            _ => part.parse().map_or(Value::Foreign("a number with a fraction"), Value::Integer),
        };
        Ok(Node { at, value })
    }

    fn entries(
        &self,
        fields: Vec<(&'a RawValue, &'a RawValue)>,
        level: usize,
    ) -> Result<Vec<Entry>, Fault> {
        let mut seen = std::collections::HashSet::new();
        let mut entries = Vec::with_capacity(fields.len());
        for (key, raw) in fields {
            let at = self.offset(key.get());
            let key: String = serde_json::from_str(key.get())
                .map_err(|_| Fault::new(at, "this key is no text; correct the JSON"))?;
            if !seen.insert(key.clone()) {
                return Err(super::duplicate_key(at, &key));
            }
            entries.push(Entry { key, at, node: self.node(raw, level + 1)? });
        }
        Ok(entries)
    }
}

/// Reads an object with all its fields, also those of the same name.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}
