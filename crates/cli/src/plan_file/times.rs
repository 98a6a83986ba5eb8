//! Times as people write them (`timeout = "30s"`) become the fields in milliseconds of the library.

use super::check;
use super::form::{Field, Form, Found, Tagged, find};
use super::node::{Node, Value};

/// Replaces all times of a value that has been checked.
pub(super) fn replace(node: &mut Node, form: &'static Form) {
    match (form, &mut node.value) {
        (Form::OneOf(forms), _) => {
            // Tables alone have times, and at most one of the forms is one.
            let tables = |form: &&Form| matches!(form, Form::Object(_) | Form::Tagged(_));
            if let Some(form) = forms.iter().find(tables) {
                replace(node, form);
            }
        }
        (Form::List(of, _), Value::List(items)) => {
            items.iter_mut().for_each(|item| replace(item, of));
        }
        (Form::Object(object), Value::Table(_)) => fields(node, object.fields),
        (Form::Tagged(tagged), Value::Table(_)) => {
            if let Some(own) = fields_of(node, tagged) {
                fields(node, own);
            }
        }
        _ => {}
    }
}

fn fields_of(node: &Node, tagged: &'static Tagged) -> Option<&'static [Field]> {
    let tag = node.get("type")?.as_text()?;
    tagged.types.iter().find(|(name, _)| *name == tag).map(|(_, fields)| *fields)
}

fn fields(node: &mut Node, own: &'static [Field]) {
    let Value::Table(entries) = &mut node.value else { return };
    for entry in entries {
        match find(own, &entry.key) {
            Some(Found::Field(field)) => replace(&mut entry.node, &field.form),
            Some(Found::Time(field)) => {
                if let Ok(millis) = check::time(&entry.node, field) {
                    entry.key = field.name.to_string();
                    entry.node.value = Value::Integer(i128::from(millis));
                }
            }
            None => {}
        }
    }
}
