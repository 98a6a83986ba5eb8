//! Reads TOML with the place of each value.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::node::{Entry, Node, Value};

/// Reads a text. Its parser refuses duplicate keys and deep nesting.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let table = DeTable::parse(text).map_err(|error| {
        // Without a place it is about the end.
        let at = error.span().map_or(text.len(), |span| span.start);
        Fault::new(at, format!("{}; correct the TOML", error.message()))
    })?;
    Ok(Node { at: table.span().start, value: fields(table.get_ref()) })
}

fn node(value: &Spanned<DeValue<'_>>) -> Node {
    let at = value.span().start;
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Foreign("a number that is too large"), Value::Integer),
        DeValue::Float(_) => Value::Foreign("a number with a fraction"),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(_) => Value::Foreign("a date or a time"),
        DeValue::Array(items) => Value::List(items.iter().map(node).collect()),
        DeValue::Table(table) => fields(table),
    };
    Node { at, value }
}

/// Returns the fields in the order of the file: the parser sorts them by name.
fn fields(table: &DeTable<'_>) -> Value {
    let entry = |(key, value): (&Spanned<_>, _)| Entry {
        key: ToString::to_string(key.get_ref() as &std::borrow::Cow<'_, str>),
        at: key.span().start,
        node: node(value),
    };
    let mut entries: Vec<Entry> = table.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.at);
    Value::Table(entries)
}
