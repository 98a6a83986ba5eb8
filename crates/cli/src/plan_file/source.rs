//! Where a plan comes from, and the format it is in.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::ValueEnum;

use crate::failure::Failure;

/// Format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Toml,
    Yaml,
    Json,
}

/// Bytes that a file may have.
const MOST_BYTES: u64 = 16 << 20;

/// Content of a file.
#[derive(Debug)]
pub(super) struct Source {
    /// The file as it was given; `stdin` for the standard input.
    pub(super) name: String,
    pub(super) format: Format,
    pub(super) bytes: Vec<u8>,
}

impl Source {
    /// Reads a file, or stdin if the path is `-`.
    ///
    /// # Errors
    /// Why it cannot be read, and the fix.
    pub(super) fn open(path: &Path, format: Option<Format>) -> Result<Self, Failure> {
        let is_stdin = path == Path::new("-");
        let name = if is_stdin { "stdin".to_string() } else { path.display().to_string() };
        let by_name = || if is_stdin { None } else { of_name(path) };
        let format = format.or_else(by_name).ok_or_else(|| {
            Failure::new(format!(
                "the format of {name} is not known; add --format toml, yaml or json"
            ))
        })?;
        let bytes = match is_stdin {
            true => up_to_limit(std::io::stdin().lock()),
            false => File::open(path).and_then(up_to_limit),
        };
        let bytes = bytes
            .map_err(|error| Failure::new(format!("the plan {name} cannot be read: {error}")))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(Failure::new(format!(
                "the plan {name} has more than 16 MiB; make several plans of it"
            )));
        }
        Ok(Self { name, format, bytes })
    }
}

fn up_to_limit(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn of_name(path: &Path) -> Option<Format> {
    match &*path.extension()?.to_str()?.to_ascii_lowercase() {
        "toml" => Some(Format::Toml),
        "yaml" | "yml" => Some(Format::Yaml),
        "json" => Some(Format::Json),
        _ => None,
    }
}
