//! Keeps the TypeScript types in `guest-js/types.ts` in step with the Rust types. Sample values are
//! checked here against the Rust types, and written to `guest-js/test/samples.ts`, which the
//! TypeScript compiler checks against its own (`npm test`). So a field or a variant that only one
//! side has is found.
//!
//! `BLESS=1 cargo test` writes the samples again.

mod samples;
mod values;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// TypeScript source under construction, with all samples.
struct Samples(String);

impl Samples {
    /// Adds a type that Rust reads and writes: each sample must be equal after a round trip, and
    /// have each variant and field.
    fn add<T: Serialize + DeserializeOwned>(&mut self, name: &str, samples: &[Value]) {
        for sample in samples {
            let read: T = serde_json::from_value(sample.clone())
                .unwrap_or_else(|error| panic!("{name}: {error}: {sample}"));
            assert_eq!(serde_json::to_value(&read).unwrap(), *sample, "{name}");
        }
        if let Some(tags) = expected::<T>("variant", &json!({ "type": "?" })) {
            let present: BTreeSet<_> =
                samples.iter().map(|sample| sample["type"].as_str().unwrap().to_string()).collect();
            assert_eq!(present, tags, "{name}: a variant has no sample");
            self.keys(&format!("{name}[\"type\"]"), &tags);
        }
        self.fields::<T>(name, samples);
        self.write(name, samples);
    }

    /// Adds a type that Rust only reads.
    fn add_input<T: DeserializeOwned>(&mut self, name: &str, samples: &[Value]) {
        for sample in samples {
            assert!(serde_json::from_value::<T>(sample.clone()).is_ok(), "{name}: {sample}");
        }
        self.fields::<T>(name, samples);
        self.write(name, samples);
    }

    /// Adds an enum of strings.
    fn add_strings<T: Serialize + DeserializeOwned>(&mut self, name: &str) {
        let strings = expected::<T>("variant", &json!("?")).unwrap();
        for string in &strings {
            let read: T = serde_json::from_value(json!(string)).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), json!(string));
        }
        self.keys(name, &strings);
    }

    /// Checks that each sample has all fields. Rust lists the known fields in its error about an
    /// unknown one.
    fn fields<T: DeserializeOwned>(&self, name: &str, samples: &[Value]) {
        for sample in samples {
            let mut with_unknown = sample.clone();
            with_unknown["?"] = json!(0);
            let Some(fields) = expected::<T>("field", &with_unknown) else { continue };
            let mut present: BTreeSet<_> = sample.as_object().unwrap().keys().cloned().collect();
            // Serde removes the tag of an enum before it reads the fields.
            if !fields.contains("type") {
                present.remove("type");
            }
            assert_eq!(present, fields, "{name}: a field has no sample");
        }
    }

    fn write(&mut self, name: &str, samples: &[Value]) {
        let list = serde_json::to_string_pretty(samples).unwrap();
        let variable = lower(name);
        writeln!(self.0, "\nexport const {variable}: Required<types.{name}>[] = {list};").unwrap();
    }

    /// Writes a `Record` with these strings as keys. TypeScript requires each key and allows no
    /// other.
    fn keys(&mut self, name: &str, strings: &BTreeSet<String>) {
        let variable = lower(&name.replace("[\"type\"]", "Tags"));
        let all: Vec<_> = strings.iter().map(|string| format!("{string}: true")).collect();
        let all = all.join(", ");
        writeln!(
            self.0,
            "\nexport const {variable}: Record<Extract<types.{name}, string>, true> = {{ {all} }};"
        )
        .unwrap();
    }
}

fn lower(name: &str) -> String {
    name[..1].to_lowercase() + &name[1..]
}

/// Returns the names that serde lists in its error about an unknown variant or field.
fn expected<T: DeserializeOwned>(kind: &str, value: &Value) -> Option<BTreeSet<String>> {
    let error = serde_json::from_value::<T>(value.clone()).err()?.to_string();
    if !error.starts_with(&format!("unknown {kind}")) {
        return None;
    }
    // unknown variant `?`, expected one of `a`, `b`
    Some(error.split('`').skip(3).step_by(2).map(str::to_string).collect())
}

#[test]
fn the_committed_samples_match_the_rust_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest-js/test/samples.ts");
    let samples = samples::all();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &samples).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == samples,
        "the types have changed: run BLESS=1 cargo test, then adapt types.ts (npm test)"
    );
}
