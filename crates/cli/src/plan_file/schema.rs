//! The tables of a plan file as a JSON Schema, for editors and other programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::form::{Field, Form, Key, Object, Presence, Tagged};
use super::forms::{PLAN_AND_OPTIONS, STEPS_PLAN};

/// A time as people write it.
const TIME: &str =
    r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ms|s|m|h|d)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ms|s|m|h|d))*$";

/// SHA-256 and size of a content.
const DIGEST: &str = "^[0-9a-fA-F]{64}/[0-9]{1,19}$";
/// A UUID in the forms that are read.
const UUID: &str = concat!(
    r"^([0-9a-fA-F]{32}|(urn:uuid:)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    r"|\{[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\})$",
);

/// Returns the schema.
pub(crate) fn schema() -> Value {
    let mut writer = Writer { definitions: BTreeMap::new() };
    let steps = writer.object(&STEPS_PLAN);
    let plan = writer.object(&PLAN_AND_OPTIONS);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Plan for exeng",
        "description": "Commands as one piece of work: steps and what they share, or a plan and its options",
        "type": "object",
        // Not `oneOf`: with it an editor could not say which of the two is meant.
        "if": {"anyOf": [{"required": ["plan"]}, {"required": ["options"]}]},
        "then": plan,
        "else": steps,
        "$defs": writer.definitions,
    })
}

struct Writer {
    definitions: BTreeMap<&'static str, Value>,
}

impl Writer {
    fn form(&mut self, form: &'static Form) -> Value {
        match form {
            Form::Text => json!({"type": "string"}),
            Form::Filled => json!({"type": "string", "pattern": "\\S"}),
            Form::Id => json!({"type": "string", "pattern": UUID}),
            Form::Digest => json!({"type": "string", "pattern": DIGEST}),
            Form::Flag => json!({"type": "boolean"}),
            Form::Integer(least, most) => integer(*least, *most),
            Form::Millis(least) => integer(i128::from(*least), i128::from(u64::MAX)),
            Form::Choice(words) => json!({"enum": words}),
            Form::Step => json!({"anyOf": [
                {"type": "string", "pattern": "\\S"},
                {"type": "integer", "minimum": 0},
            ]}),
            Form::List(of, 0) => json!({"type": "array", "items": self.form(of)}),
            Form::List(of, least) => {
                json!({"type": "array", "items": self.form(of), "minItems": least})
            }
            Form::Map(key, of) => self.map(*key, of),
            Form::Object(object) => self.object(object),
            Form::Tagged(tagged) => self.tagged(tagged),
            Form::OneOf(forms) => {
                let forms: Vec<Value> = forms.iter().map(|form| self.form(form)).collect();
                json!({"anyOf": forms})
            }
        }
    }

    fn map(&mut self, key: Key, of: &'static Form) -> Value {
        let values = self.form(of);
        match key {
            Key::Text => json!({"type": "object", "additionalProperties": values}),
            Key::Variable => json!({
                "type": "object",
                "propertyNames": {"pattern": "^[^=]+$"},
                "additionalProperties": values,
            }),
            Key::Index => json!({
                "type": "object",
                "propertyNames": {"pattern": "^[0-9]+$"},
                "additionalProperties": values,
            }),
        }
    }

    fn object(&mut self, object: &'static Object) -> Value {
        if !self.definitions.contains_key(object.name) {
            let definition = self.fields(object.fields, None);
            self.definitions.insert(object.name, definition);
        }
        json!({"$ref": format!("#/$defs/{}", object.name)})
    }

    fn tagged(&mut self, tagged: &'static Tagged) -> Value {
        if !self.definitions.contains_key(tagged.name) {
            let types = tagged.types.iter().map(|(name, fields)| self.fields(fields, Some(name)));
            let mut forms: Vec<Value> = types.collect();
            let needs_none =
                |fields: &[Field]| fields.iter().all(|field| field.presence != Presence::Required);
            let words = tagged.types.iter().filter(|(_, fields)| needs_none(fields));
            let words: Vec<&str> = words.map(|(name, _)| *name).collect();
            if tagged.has_words && !words.is_empty() {
                forms.push(json!({"enum": words}));
            }
            self.definitions.insert(tagged.name, json!({"anyOf": forms}));
        }
        json!({"$ref": format!("#/$defs/{}", tagged.name)})
    }

    /// Returns the schema of a table with these fields, and with a `type` if it has one.
    fn fields(&mut self, fields: &'static [Field], tag: Option<&str>) -> Value {
        let mut properties = serde_json::Map::new();
        let (mut required, mut not_both) = (Vec::new(), Vec::new());
        if let Some(tag) = tag {
            properties.insert("type".to_string(), json!({"const": tag}));
            required.push("type");
        }
        for field in fields {
            let mut schema = self.form(&field.form);
            if field.presence == Presence::Nullable {
                schema = json!({"anyOf": [schema, {"type": "null"}]});
            }
            if field.presence == Presence::Required {
                required.push(field.name);
            }
            let mut about = field.about.to_string();
            if let Some(name) = field.time_name() {
                let time = format!("{about}: 300ms, 30s, 5m, 2h, 1h30m");
                let time = json!({"type": "string", "pattern": TIME, "description": time});
                properties.insert(name.to_string(), time);
                not_both.push(json!({"not": {"required": [name, field.name]}}));
                about.push_str(", in milliseconds");
            }
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("description".to_string(), about.into());
            }
            properties.insert(field.name.to_string(), schema);
        }
        let mut table = json!({
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        });
        if !required.is_empty() {
            table["required"] = json!(required);
        }
        if !not_both.is_empty() {
            table["allOf"] = json!(not_both);
        }
        table
    }
}

fn integer(least: i128, most: i128) -> Value {
    let bound =
        |number: i128| serde_json::Number::from_i128(number).map_or(Value::Null, Value::Number);
    match most == i128::from(u64::MAX) {
        // Many programs read such a number as one with a fraction, and round it.
        true => json!({"type": "integer", "minimum": bound(least)}),
        false => json!({"type": "integer", "minimum": bound(least), "maximum": bound(most)}),
    }
}
