//! Output of one step as input of another one: trimmed, and refused where it is too long,
//! incomplete, or impossible as a variable. Pure.

use bytes::Bytes;

use super::validate::label;
use crate::types::{
    ExecutionOptions, ExecutionRequest, InputTarget, PlanOptions, SkipReason, StdinSource,
    StepInput, Trim,
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

/// Adds to the request of a step what the plan shares, and the outputs that the step takes. `output`
/// returns the bytes that were kept of the output of a step, and how many it has written. Returns
/// options if they differ from those of the step.
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
    for input in inputs {
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
        }
    }
    Ok(changed)
}

impl ResolvedInput {
    pub(super) fn new(from: usize, input: &StepInput) -> Self {
        let (trim, max_bytes) = match input.to {
            InputTarget::Stdin => (Trim::Nothing, MAX_STDIN_BYTES),
            InputTarget::Env(_) => (Trim::WhiteSpace, MAX_ENV_BYTES),
        };
        Self {
            from,
            to: input.to.clone(),
            trim: input.trim.unwrap_or(trim),
            max_bytes: input.max_bytes.unwrap_or(max_bytes),
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
