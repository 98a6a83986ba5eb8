//! Options of the verbs that start programs, for a fleet.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use execution_engine::{Artifact, ExecutionOptions, Requires, StdinSource};
use execution_engine_fleet::FleetBackend;

use crate::duration;
use crate::failure::Failure;
use crate::request::RequestOptions;
use crate::service::submit::label;

/// Options that count with `--on` alone.
#[derive(Debug, Default, Args)]
pub(crate) struct FleetRequestOptions {
    /// Run it in this pool of the fleet [without: the first that has what it requires]
    #[arg(long, value_name = "NAME", help_heading = FLEET)]
    requires_pool: Option<String>,
    /// Run it where workers have this label; may be repeated
    #[arg(long = "requires-label", value_name = "NAME=VALUE", value_parser = label, help_heading = FLEET)]
    requires_labels: Vec<(String, String)>,
    /// Start it up to N times, again where its worker was lost; each start has a higher EXECUTION_ENGINE_FENCE [without: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), help_heading = FLEET)]
    max_attempts: Option<u32>,
    /// Never start it later than this time from now
    #[arg(long, value_name = "TIME", value_parser = duration::parse_positive, help_heading = FLEET)]
    start_by: Option<Duration>,
    /// Place a file of this machine in the working directory, at its path or another one; may be repeated
    #[arg(long = "input", value_name = "FILE[=PATH]", value_parser = input, help_heading = FLEET)]
    inputs: Vec<InputFile>,
    /// Keep files below the working directory when the program has ended, as 'out/*.csv'; may be repeated. exeng fleet
    /// artifacts lists and fetches them
    #[arg(long = "collect", value_name = "PATTERN", value_parser = pattern, help_heading = FLEET)]
    collect: Vec<String>,
}

/// A value of `--input`.
#[derive(Debug, Clone)]
pub(crate) struct InputFile {
    file: PathBuf,
    path: String,
}

fn input(text: &str) -> Result<InputFile, String> {
    let (file, path) = text.split_once('=').unwrap_or((text, text));
    let file = PathBuf::from(file);
    if file.as_os_str().is_empty() || path.is_empty() {
        return Err("write a file, or FILE=PATH".to_owned());
    }
    if let Some(path) = plain(path) {
        return Ok(InputFile { file, path });
    }
    // The path of a file that lies elsewhere says nothing about its place there.
    match file.file_name().and_then(|name| name.to_str()) {
        Some(name) if !text.contains('=') => Ok(InputFile { path: name.to_owned(), file }),
        _ => Err(format!(
            "{path:?} is no file below the working directory; use a relative path without \"..\""
        )),
    }
}

fn pattern(text: &str) -> Result<String, String> {
    let files = text.trim_end_matches('/');
    match plain(text) {
        Some(pattern) => Ok(pattern),
        None if files != text && plain(files).is_some() => {
            Err(format!("names a directory; write {files}/** for all files below it"))
        }
        None => {
            Err("names nothing below the working directory; use a relative path without \"..\""
                .to_owned())
        }
    }
}

/// Returns the path of a file below the working directory in its plain form: `./out//a` is `out/a`.
fn plain(path: &str) -> Option<String> {
    let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let is_outside = path.starts_with('/') || parts.is_empty() || parts.contains(&"..");
    let is_file = !path.ends_with('/') && !path.ends_with("/.");
    (is_file && !is_outside).then(|| parts.join("/"))
}

const FLEET: &str = "In a fleet (with --on)";

/// Largest file of input, in bytes.
const MAX_STDIN: u64 = 512 * 1024;

impl FleetRequestOptions {
    /// Returns the option that was given, if one was.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let options = [
            (self.requires_pool.is_some(), "--requires-pool"),
            (!self.requires_labels.is_empty(), "--requires-label"),
            (self.max_attempts.is_some(), "--max-attempts"),
            (self.start_by.is_some(), "--start-by"),
            (!self.inputs.is_empty(), "--input"),
            (!self.collect.is_empty(), "--collect"),
        ];
        options.into_iter().find(|(is_given, _)| *is_given).map(|(_, name)| name)
    }
}

impl RequestOptions {
    /// Stores the files that are inputs, and names them in the options.
    ///
    /// # Errors
    /// A file cannot be read, or the fleet does not take it.
    pub(crate) async fn store_inputs(
        &self,
        backend: &FleetBackend,
        options: &mut ExecutionOptions,
    ) -> Result<(), Failure> {
        for InputFile { file, path } in &self.fleet.inputs {
            let failed = |why: String| Failure::new(format!("--input: {}: {why}", file.display()));
            // Before it is opened: a pipe would wait for a writer.
            let found = tokio::fs::metadata(file).await;
            let metadata = found.map_err(|error| failed(error.to_string()))?;
            if !metadata.is_file() {
                return Err(failed("is no regular file; name files".to_owned()));
            }
            let mut content =
                tokio::fs::File::open(file).await.map_err(|error| failed(error.to_string()))?;
            let executable = metadata.permissions().mode() & 0o111 != 0;
            let digest = backend.put_artifact(&mut content).await;
            let digest = digest.map_err(|error| failed(error.to_string()))?;
            options.inputs.push(Artifact { path: path.clone(), digest, executable });
        }
        Ok(())
    }

    /// Sets what a fleet is told beside the rest, and puts the input in the place of its file.
    ///
    /// # Errors
    /// The file cannot be read, or is too large.
    pub(crate) fn of_fleet(&self, options: &mut ExecutionOptions) -> Result<(), Failure> {
        let of = &self.fleet;
        if of.requires_pool.is_some() || !of.requires_labels.is_empty() {
            let mut requires = Requires::default();
            requires.pool.clone_from(&of.requires_pool);
            requires.labels.extend(of.requires_labels.iter().cloned());
            options.requires = Some(requires);
        }
        options.max_attempts = of.max_attempts;
        options.collect.clone_from(&of.collect);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        options.start_by_ms = of.start_by.map(millis);
        if let StdinSource::File { path } = &options.stdin {
            let failed = |why: String| Failure::new(format!("--stdin: {}: {why}", path.display()));
            let mut bytes = Vec::new();
            let read =
                File::open(path).and_then(|file| file.take(MAX_STDIN + 1).read_to_end(&mut bytes));
            read.map_err(|error| failed(error.to_string()))?;
            if bytes.len() as u64 > MAX_STDIN {
                return Err(failed(
                    "has more than 512 KiB; pass it to `exeng run`, or use --stdin pipe and exeng input".to_owned(),
                ));
            }
            options.stdin = StdinSource::bytes(bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_patterns_have_a_plain_form_or_are_refused() {
        for (text, expected) in [
            ("out/*.csv", "out/*.csv"),
            ("./out/*.csv", "out/*.csv"),
            ("out//x", "out/x"),
            ("././**", "**"),
        ] {
            assert_eq!(pattern(text).as_deref(), Ok(expected));
            assert_eq!(input(&format!("/etc/file={text}")).unwrap().path, expected);
        }
        for (text, fix) in [
            ("/out/x", "relative"),
            ("//out", "relative"),
            ("out/../x", "without"),
            (".", "relative"),
            ("", "relative"),
            ("out/", "write out/** for"),
            ("./out//", "write ./out/** for"),
        ] {
            let refused = pattern(text).unwrap_err();
            assert!(refused.contains(fix), "{text}: {refused}");
            assert!(input(&format!("file={text}")).is_err(), "{text}");
        }
        // Without a path it is the name of a file that lies elsewhere.
        for file in ["/srv/data/a.csv", "../a.csv", "./a.csv"] {
            assert_eq!(input(file).unwrap().path, "a.csv", "{file}");
        }
    }
}
