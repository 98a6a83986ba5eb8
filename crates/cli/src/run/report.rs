//! The result of `run` as JSON.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use execution_engine::ExecutionResult;
use serde_json::{Map, Value};

use super::relay::Bytes;

/// Where the result goes. It is opened before the program is started.
#[derive(Debug)]
pub(super) enum ReportTarget {
    Stdout,
    File(File, PathBuf),
}

impl ReportTarget {
    /// Opens the file, or stands for stdout (`-`).
    ///
    /// # Errors
    /// Names the file, and why it cannot be written.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdout);
        }
        let failed = |error| format!("--json: {} cannot be written: {error}", path.display());
        Ok(Self::File(File::create(path).map_err(failed)?, path.to_path_buf()))
    }

    /// Writes the result as one document and a newline.
    ///
    /// # Errors
    /// Names the file, and why it could not be written.
    pub(super) fn write(&mut self, result: &ExecutionResult, bytes: Bytes) -> Result<(), String> {
        let mut text = serde_json::to_string(&report(result, bytes)).map_err(|e| e.to_string())?;
        text.push('\n');
        let failed =
            |name: &str, error: io::Error| format!("--json: {name} cannot be written: {error}");
        match self {
            Self::Stdout => {
                let written = io::stdout().lock().write_all(text.as_bytes());
                written.map_err(|error| failed("stdout", error))
            }
            Self::File(file, path) => {
                let written = file.write_all(text.as_bytes());
                written.map_err(|error| failed(&path.display().to_string(), error))
            }
        }
    }
}

/// Fields of a result that say what became of output which this process has passed on.
const OF_OUTPUT: [&str; 7] = [
    "stdout",
    "stderr",
    "stdout_overflow_file",
    "stderr_overflow_file",
    "stdout_stats",
    "stderr_stats",
    "truncated",
];

/// Returns the result as the service shows an execution: the fields of the engine, and the number of
/// bytes of each stream in place of the output.
pub(crate) fn report(result: &ExecutionResult, bytes: Bytes) -> Value {
    let mut fields = match serde_json::to_value(result) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    remove_output(&mut fields);
    if let Some(Value::Array(attempts)) = fields.get_mut("earlier_attempts") {
        attempts.iter_mut().filter_map(Value::as_object_mut).for_each(remove_output);
    }
    fields.insert("bytes".into(), serde_json::json!(bytes));
    Value::Object(fields)
}

fn remove_output(fields: &mut Map<String, Value>) {
    for name in OF_OUTPUT {
        fields.remove(name);
    }
}
