//! Content of a plan file, whatever its format: values, and where each of them stands.

use serde_json::{Map, Number};

/// Value with its place in the file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Offset of its first byte.
    pub(super) at: usize,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Flag(bool),
    Integer(i128),
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// What no field of a plan takes: a description of it.
    Foreign(&'static str),
}

/// Field of a table.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Offset of the first byte of the key.
    pub(super) at: usize,
    pub(super) node: Node,
}

/// Levels of lists and tables within each other. A plan needs six.
pub(super) const MOST_LEVELS: usize = 64;

impl Node {
    pub(super) fn text(at: usize, text: impl Into<String>) -> Self {
        Self { at, value: Value::Text(text.into()) }
    }

    pub(super) fn list(at: usize, items: Vec<Self>) -> Self {
        Self { at, value: Value::List(items) }
    }

    pub(super) fn table(at: usize, fields: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        let entry = |(key, node): (&str, Self)| Entry { key: key.to_string(), at: node.at, node };
        Self { at, value: Value::Table(fields.into_iter().map(entry).collect()) }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the items of a list; none of anything else.
    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Returns the fields of a table; none of anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// Takes a field out of a table.
    pub(super) fn take(&mut self, key: &str) -> Option<Self> {
        let Value::Table(entries) = &mut self.value else { return None };
        let index = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(index).node)
    }

    /// Adds a field to a table, or replaces it.
    pub(super) fn set(&mut self, key: &str, node: Self) {
        let Value::Table(entries) = &mut self.value else { return };
        match entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.node = node,
            None => entries.push(Entry { key: key.to_string(), at: node.at, node }),
        }
    }

    /// Returns about how many bytes a copy of it takes.
    pub(super) fn size(&self) -> usize {
        let inner: usize = match &self.value {
            Value::Text(text) => text.len(),
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Table(entries) => {
                entries.iter().map(|entry| entry.key.len() + entry.node.size()).sum()
            }
            _ => 0,
        };
        inner + size_of::<Entry>()
    }

    /// Returns it without places.
    pub(super) fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Flag(flag) => (*flag).into(),
            Value::Integer(number) => {
                Number::from_i128(*number).map_or(serde_json::Value::Null, Into::into)
            }
            Value::Text(text) => text.as_str().into(),
            // Checked files have none; a fraction fits no field either.
            Value::Foreign(_) => 0.5.into(),
            Value::List(items) => items.iter().map(Self::json).collect(),
            Value::Table(entries) => {
                let entries = entries.iter().map(|entry| (entry.key.clone(), entry.node.json()));
                serde_json::Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }
}
