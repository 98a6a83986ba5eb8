//! The tables of plan files against the library and against the schema: each field is in all three, and each
//! takes the same values.

use std::collections::BTreeSet;

use execution_engine::{PlanError, PlanSpec};
use serde_json::{Map, Value, json};

use super::super::check::check;
use super::super::form::{Field, Form, Key, Object, Presence, Tagged};
use super::super::forms::{PLAN_AND_OPTIONS, STEPS_PLAN};
use super::super::json;
use super::schema;

/// Values of every kind.
fn probes() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(-7),
        json!(7),
        json!(1.5),
        json!("x"),
        json!(["x"]),
        json!([7]),
        json!([[7]]),
        json!([true]),
        json!({"ZZZ": "x"}),
        json!({"ZZZ": 7}),
        json!({"ZZZ": [7]}),
        json!(5_000_000_000_u64),
        json!(u64::MAX),
    ]
}

/// Returns a value that a form takes.
fn sample(form: &'static Form) -> Value {
    match form {
        Form::Text | Form::Filled | Form::Step => json!("x"),
        Form::Id => json!("0196f0f1-0000-7000-8000-000000000000"),
        Form::Digest => json!(format!("{}/1", "0a".repeat(32))),
        Form::Flag => json!(true),
        Form::Integer(least, most) => json!(i64::try_from((*least).max(1).min(*most)).unwrap()),
        Form::Millis(_) => json!(1),
        Form::Choice(words) => json!(words[0]),
        Form::List(of, _) => json!([sample(of)]),
        Form::Map(Key::Index, of) => json!({"0": sample(of)}),
        Form::Map(_, of) => json!({"X": sample(of)}),
        Form::Object(object) => with_required(object.fields, Map::new()),
        Form::Tagged(tagged) => typed(tagged.types[0]),
        Form::OneOf(forms) => sample(&forms[0]),
    }
}

fn typed((tag, fields): (&'static str, &'static [Field])) -> Value {
    with_required(fields, Map::from_iter([("type".to_string(), tag.into())]))
}

fn with_required(fields: &'static [Field], mut table: Map<String, Value>) -> Value {
    for field in fields.iter().filter(|field| field.presence == Presence::Required) {
        table.insert(field.name.to_string(), sample(&field.form));
    }
    table.into()
}

/// Builds a whole plan around a value.
type Wrap<'a> = &'a dyn Fn(Value) -> Value;

/// Calls a function for each table of fields that a plan may have, with a way to put one into a plan.
fn each_table(form: &'static Form, wrap: Wrap<'_>, visit: &mut Visit<'_>) {
    match form {
        Form::OneOf(forms) => forms.iter().for_each(|form| each_table(form, wrap, visit)),
        Form::List(of, _) => each_table(of, &|inner| wrap(json!([inner])), visit),
        Form::Map(_, of) => each_table(of, &|inner| wrap(json!({"X": inner})), visit),
        Form::Object(Object { fields, .. }) => {
            visit(fields, None, &|table| wrap(table.into()));
            each_field(fields, &|table| wrap(table.into()), visit);
        }
        Form::Tagged(Tagged { types, .. }) => {
            for (tag, fields) in *types {
                let wrap = |mut table: Map<String, Value>| {
                    table.insert("type".to_string(), json!(tag));
                    wrap(table.into())
                };
                visit(fields, Some(types), &wrap);
                each_field(fields, &wrap, visit);
            }
        }
        _ => {}
    }
}

type WrapTable<'a> = &'a dyn Fn(Map<String, Value>) -> Value;
type Types = &'static [(&'static str, &'static [Field])];
type Visit<'a> = dyn FnMut(&'static [Field], Option<Types>, WrapTable<'_>) + 'a;

fn each_field(fields: &'static [Field], wrap: WrapTable<'_>, visit: &mut Visit<'_>) {
    for field in fields.iter().filter(|field| field.presence != Presence::OfFiles) {
        let inner = |value: Value| wrap(with_field(fields, field.name, value));
        each_table(&field.form, &inner, visit);
    }
}

/// Returns a table with what it needs, and with this field.
fn with_field(fields: &'static [Field], name: &str, value: Value) -> Map<String, Value> {
    let Value::Object(mut table) = with_required(fields, Map::new()) else { unreachable!() };
    table.insert(name.to_string(), value);
    table
}

fn all_tables(visit: &mut Visit<'_>) {
    static ROOTS: [Form; 2] = [Form::Object(&STEPS_PLAN), Form::Object(&PLAN_AND_OPTIONS)];
    ROOTS.iter().for_each(|root| each_table(root, &|plan| plan, visit));
}

fn library(plan: &Value) -> Result<PlanSpec, String> {
    serde_json::from_value(plan.clone()).map_err(|error| error.to_string())
}

/// Checks the bounds of values, which the library does after it has read them.
fn bounds(spec: &PlanSpec) -> Result<(), String> {
    match spec.check() {
        Err(error @ (PlanError::InvalidStep { .. } | PlanError::InvalidOption { .. })) => {
            Err(error.to_string())
        }
        _ => Ok(()),
    }
}

/// Returns the words in back quotes after `expected`.
fn expected(error: &str) -> BTreeSet<String> {
    let (_, list) = error.split_once("expected").unwrap_or_default();
    list.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

fn ours_takes(plan: &Value) -> bool {
    let node = json::parse(&plan.to_string()).unwrap();
    let form = super::super::form_of(&node);
    form.is_ok_and(|form| check(&node, form).is_empty())
}

/// Returns `true` if a list stands where a table belongs.
fn is_nameless(form: &Form, value: &Value) -> bool {
    match (form, value) {
        (Form::Object(_), Value::Array(_)) => true,
        (Form::List(of, _), Value::Array(items)) => items.iter().any(|it| is_nameless(of, it)),
        (Form::OneOf(forms), _) => forms.iter().all(|form| is_nameless(form, value)),
        _ => false,
    }
}

#[test]
fn every_field_of_the_library_is_known_and_the_other_way_round() {
    let mut seen = 0;
    all_tables(&mut |fields, types, wrap| {
        let error = library(&wrap(with_field(fields, "zzz", json!(1)))).unwrap_err();
        let known = fields.iter().filter(|field| field.presence != Presence::OfFiles);
        let known: BTreeSet<String> = known.map(|field| field.name.to_string()).collect();
        let is_about = error.contains("unknown field `zzz`");
        let theirs: BTreeSet<String> =
            expected(&error).into_iter().filter(|it| it != "type").collect();
        // The two forms of a whole plan have their fields in one list.
        let is_whole = theirs.contains("plan");
        assert!(
            is_about && (theirs == known || (is_whole && theirs.is_superset(&known))),
            "{error}: {known:?}"
        );
        if is_whole {
            let both = STEPS_PLAN.fields.iter().chain(PLAN_AND_OPTIONS.fields);
            assert_eq!(theirs, both.map(|field| field.name.to_string()).collect());
        }
        if let Some(types) = types {
            let table = Map::new();
            let mut plan = wrap(table).to_string();
            for (tag, _) in types {
                plan =
                    plan.replacen(&format!("\"type\":\"{tag}\""), "\"type\":\"zzz\"", usize::MAX);
            }
            let error = library(&serde_json::from_str(&plan).unwrap()).unwrap_err();
            let known: BTreeSet<String> = types.iter().map(|(tag, _)| (*tag).to_string()).collect();
            assert!(
                expected(&error).is_superset(&known) || !error.contains("zzz"),
                "{error}: {known:?}"
            );
        }
        seen += 1;
    });
    assert!(seen > 50, "only {seen} tables");
}

#[test]
fn every_field_takes_the_values_that_the_library_takes() {
    let schema = schema();
    all_tables(&mut |fields, _, wrap| {
        for field in fields {
            for value in probes().into_iter().chain([sample(&field.form)]) {
                // serde also reads the fields of a table as a list without names, which is no form of ours.
                let is_nameless = is_nameless(&field.form, &value);
                let plan = wrap(with_field(fields, field.name, value));
                let ours = ours_takes(&plan);
                assert_eq!(schema.is_valid(&plan), ours, "the schema: {plan}");
                if field.presence == Presence::OfFiles {
                    continue;
                }
                let theirs = library(&plan).and_then(|spec| bounds(&spec));
                assert!(!(ours && is_nameless), "{plan}");
                assert!(is_nameless || ours == theirs.is_ok(), "{plan}: {theirs:?}");
            }
        }
    });
}

#[test]
fn every_field_that_is_needed_is_needed_by_the_library() {
    let schema = schema();
    all_tables(&mut |fields, _, wrap| {
        for field in fields {
            let Value::Object(mut table) = with_required(fields, Map::new()) else {
                unreachable!()
            };
            table.remove(field.name);
            let plan = wrap(table);
            let is_needed = field.presence == Presence::Required;
            assert_eq!(ours_takes(&plan), !is_needed, "{plan}");
            assert_eq!(schema.is_valid(&plan), !is_needed, "{plan}");
            // Without both of its forms a plan is of none.
            let name = field.name;
            assert_eq!(library(&plan).is_ok(), !is_needed, "{name}: {plan}");
        }
    });
}

#[test]
fn every_word_is_one_of_the_library() {
    all_tables(&mut |fields, _, wrap| {
        for field in fields.iter().filter(|field| field.presence != Presence::OfFiles) {
            let words = |form: &Form| match form {
                Form::Choice(words) => words.to_vec(),
                _ => Vec::new(),
            };
            let of_form = match field.form {
                Form::OneOf(forms) => forms.iter().flat_map(words).collect(),
                ref form => words(form),
            };
            if of_form.is_empty() {
                continue;
            }
            for word in &of_form {
                assert!(
                    library(&wrap(with_field(fields, field.name, json!(word)))).is_ok(),
                    "{word}"
                );
            }
            let error = library(&wrap(with_field(fields, field.name, json!("zzz")))).unwrap_err();
            let ours: BTreeSet<String> = of_form.into_iter().map(str::to_string).collect();
            assert_eq!(expected(&error), ours, "{error}");
        }
    });
}
