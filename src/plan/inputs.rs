//! Output of one step as input of another one: trimmed, and refused where it is too long,
//! incomplete, or impossible as a variable. Files that one step has collected as inputs of another one. Pure.

use std::collections::HashMap;

use bytes::Bytes;

use super::validate::label;
use crate::types::{
    Artifact, ExecutionOptions, ExecutionRequest, InputTarget, PlanOptions, SkipReason,
    StdinSource, StepInput, Trim, path_matches,
};

/// Default limit of an input that becomes standard input.
const MAX_STDIN_BYTES: usize = 1024 * 1024;
/// Default limit of an input that becomes a variable. Linux takes 128 KiB for one, its name
/// included.
const MAX_ENV_BYTES: usize = 64 * 1024;

/// A [`StepInput`] with its source and all defaults resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResolvedInput {
    pub(super) from: usize,
    pub(super) to: InputTarget,
    trim: Trim,
    pub(super) max_bytes: usize,
}

/// Adds to the request of a step what the plan shares, and the outputs that the step takes; files are for
/// [`place_files`]. `output` returns the bytes that were kept of the output of a step, and how many it has
/// written. Returns options if they differ from those of the step.
///
/// # Errors
/// The reason why the step cannot run.
pub(super) fn prepare(
    request: &mut ExecutionRequest,
    step: usize,
    options: &PlanOptions,
    inputs: &[ResolvedInput],
    output: impl Fn(usize) -> Result<(Bytes, u64), String>,
) -> Result<Option<ExecutionOptions>, SkipReason> {
    options.apply_shared(&mut request.env, &mut request.working_dir);
    let mut changed = None;
    for input in inputs.iter().filter(|input| input.files().is_none()) {
        let skipped = |reason| SkipReason::Input { from: label(options, input.from), reason };
        let (kept, seen) = output(input.from).map_err(skipped)?;
        let bytes = input.extract(&kept, seen).map_err(skipped)?;
        match &input.to {
            InputTarget::Env(name) => {
                let text = String::from_utf8(bytes.to_vec()).map_err(|_| {
                    skipped("it is not UTF-8, which a variable has to be here".to_string())
                })?;
                request.env.insert(name.clone(), text);
            }
            InputTarget::Stdin => {
                let own = options.effective_options(step).clone();
                changed = Some(own.stdin(StdinSource::bytes(bytes)));
            }
            InputTarget::Files { .. } => {}
        }
    }
    Ok(changed)
}

/// Adds to the files that a step gets those that it takes from others. `collected` returns what a step has
/// collected.
///
/// # Errors
/// The reason why the step cannot start.
pub(super) fn place_files(
    files: &mut Vec<Artifact>,
    options: &PlanOptions,
    inputs: &[ResolvedInput],
    collected: impl Fn(usize) -> Result<Vec<Artifact>, String>,
) -> Result<(), String> {
    let mut places: HashMap<String, Artifact> =
        files.iter().map(|file| (file.path.clone(), file.clone())).collect();
    for (from, pattern, directory) in inputs.iter().filter_map(ResolvedInput::files) {
        let failed = |reason: String| format!("files of {}: {reason}", label(options, from));
        let collected = collected(from).map_err(failed)?;
        let count = collected.len();
        let mut has_one = false;
        for mut file in collected.into_iter().filter(|file| path_matches(pattern, &file.path)) {
            has_one = true;
            if let Some(directory) = directory {
                file.path = format!("{directory}/{}", file.path);
            }
            match places.get(&file.path) {
                Some(other) if *other == file => {}
                Some(_) => {
                    return Err(failed(format!(
                        "{} is another file than one that goes to the same place; give one of them a directory",
                        file.path
                    )));
                }
                None => {
                    places.insert(file.path.clone(), file.clone());
                    files.push(file);
                }
            }
        }
        if !has_one {
            return Err(failed(format!(
                "none of the {count} that it has collected matches {pattern:?}; correct the pattern, or what is collected"
            )));
        }
    }
    Ok(())
}

impl ResolvedInput {
    pub(super) fn new(from: usize, input: &StepInput) -> Self {
        let (trim, max_bytes) = match input.to {
            InputTarget::Stdin => (Trim::Nothing, MAX_STDIN_BYTES),
            InputTarget::Env(_) => (Trim::WhiteSpace, MAX_ENV_BYTES),
            InputTarget::Files { .. } => (Trim::Nothing, 0),
        };
        Self {
            from,
            to: input.to.clone(),
            trim: input.trim.unwrap_or(trim),
            max_bytes: input.max_bytes.unwrap_or(max_bytes),
        }
    }

    /// Returns the step, the pattern and the directory of an input that is files.
    pub(super) fn files(&self) -> Option<(usize, &str, Option<&str>)> {
        match &self.to {
            InputTarget::Files { pattern, directory } => {
                Some((self.from, pattern, directory.as_deref()))
            }
            InputTarget::Stdin | InputTarget::Env(_) => None,
        }
    }

    /// Returns the bytes to pass on of an output of `seen` bytes, of which `kept` are in memory.
    ///
    /// # Errors
    /// The reason why this output cannot be the input, and what to do.
    pub(super) fn extract(&self, kept: &Bytes, seen: u64) -> Result<Bytes, String> {
        if seen > kept.len() as u64 {
            return Err(format!(
                "it has {seen} bytes, of which {} were kept in memory; raise max_output_size_bytes",
                kept.len()
            ));
        }
        let trimmed = self.trim.apply(kept);
        if trimmed.len() > self.max_bytes {
            return Err(format!(
                "it has {} bytes, and the limit is {}; raise max_bytes of the input",
                trimmed.len(),
                self.max_bytes
            ));
        }
        if matches!(self.to, InputTarget::Env(_)) && trimmed.contains(&0) {
            return Err("it contains a NUL byte, which no variable can hold".to_string());
        }
        Ok(kept.slice_ref(trimmed))
    }
}

impl Trim {
    fn apply(self, bytes: &[u8]) -> &[u8] {
        match self {
            Self::Nothing => bytes,
            Self::WhiteSpace => bytes.trim_ascii(),
            Self::LineEndings => {
                let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'));
                &bytes[..end.map_or(0, |last| last + 1)]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ContentDigest;

    fn file(path: &str, content: u8) -> Artifact {
        let digest = ContentDigest { sha256: [content; 32], size: 1 };
        Artifact { path: path.to_string(), digest, executable: content == 9 }
    }

    /// Returns the paths that a step has then, which has one file before.
    fn placed(inputs: &[StepInput]) -> Result<Vec<String>, String> {
        let steps = [
            vec![file("out/a.csv", 1), file("out/b.csv", 9), file("out/deep/c", 3)],
            vec![file("out/a.csv", 2), file("out/b.csv", 9), file("own", 7)],
        ];
        let resolved = inputs.iter().map(|input| match input.from {
            crate::types::StepRef::Index(from) => ResolvedInput::new(from, input),
            crate::types::StepRef::Name(_) => unreachable!("these have indices"),
        });
        let (resolved, mut files) = (resolved.collect::<Vec<_>>(), vec![file("own", 7)]);
        let collected = |from: usize| steps.get(from).cloned().ok_or("it never ran".to_string());
        place_files(&mut files, &PlanOptions::default(), &resolved, collected)?;
        assert!(files.iter().all(|file| file.executable == file.path.ends_with("b.csv")));
        Ok(files.into_iter().map(|file| file.path).collect())
    }

    #[test]
    fn files_keep_their_paths_and_go_to_one_place_once() {
        let paths = placed(&[StepInput::files(0, "out/*.csv")]).unwrap();
        assert_eq!(paths, ["own", "out/a.csv", "out/b.csv"]);
        let paths = placed(&[StepInput::files_below("in", 0, "**"), StepInput::files(1, "**")]);
        let below = ["in/out/a.csv", "in/out/b.csv", "in/out/deep/c", "out/a.csv", "out/b.csv"];
        assert_eq!(paths.unwrap(), [&["own"][..], &below].concat(), "one is there already");
        let same = placed(&[StepInput::files(0, "out/b.*"), StepInput::files(1, "out/b.*")]);
        assert_eq!(same.unwrap(), ["own", "out/b.csv"]);
    }

    #[test]
    fn files_that_are_not_there_or_differ_are_refused() {
        let error = placed(&[StepInput::files(0, "*.csv")]).unwrap_err();
        assert!(error.contains("step 0: none of the 3") && error.contains("\"*.csv\""), "{error}");
        let both = [StepInput::files(0, "out/*"), StepInput::files(1, "out/*")];
        let error = placed(&both).unwrap_err();
        assert!(error.contains("step 1: out/a.csv is another file"), "{error}");
        let error = placed(&[StepInput::files(2, "**")]).unwrap_err();
        assert_eq!(error, "files of step 2: it never ran");
    }

    fn env() -> StepInput {
        StepInput::env("X", 0)
    }

    fn taken(input: &StepInput, output: &'static [u8]) -> Result<Bytes, String> {
        let output = Bytes::from_static(output);
        ResolvedInput::new(0, input).extract(&output, output.len() as u64)
    }

    #[test]
    fn each_target_has_its_default_of_trimming() {
        let output = b"  a b\r\n\n";
        assert_eq!(taken(&StepInput::stdin(0), output).unwrap(), &output[..]);
        assert_eq!(taken(&env(), output).unwrap(), "a b");
        assert_eq!(taken(&env().trim(Trim::LineEndings), output).unwrap(), "  a b");
        assert_eq!(taken(&env().trim(Trim::LineEndings), b"\n\n").unwrap(), "");
        assert_eq!(taken(&env(), b"").unwrap(), "");
    }

    #[test]
    fn the_limit_is_exact_and_counts_what_is_passed_on() {
        let limited = || env().max_bytes(3);
        assert_eq!(taken(&limited(), b"abc\n\n\n").unwrap(), "abc");
        let error = taken(&limited(), b"abcd").unwrap_err();
        assert!(error.contains("4 bytes") && error.contains("limit is 3"), "{error}");
    }

    #[test]
    fn an_incomplete_output_is_refused() {
        let error =
            ResolvedInput::new(0, &env()).extract(&Bytes::from_static(b"abc"), 9).unwrap_err();
        assert!(error.contains("9 bytes") && error.contains("max_output_size_bytes"), "{error}");
    }

    #[test]
    fn a_nul_byte_fits_into_stdin_only() {
        assert!(taken(&env(), b"a\0b").is_err());
        assert_eq!(taken(&StepInput::stdin(0), b"a\0b").unwrap(), &b"a\0b"[..]);
    }
}
