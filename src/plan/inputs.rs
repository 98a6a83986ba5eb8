//! The output of one step as input of another. Pure.

use bytes::Bytes;

use crate::types::{InputTarget, StepInput, Trim};

const MOST_STDIN_BYTES: usize = 1024 * 1024;
/// Linux takes 128 KiB for one variable, its name included.
const MOST_ENV_BYTES: usize = 64 * 1024;

/// A [`StepInput`] with everything decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResolvedInput {
    pub(super) from: usize,
    pub(super) to: InputTarget,
    trim: Trim,
    max_bytes: usize,
}

impl ResolvedInput {
    pub(super) fn new(from: usize, input: &StepInput) -> Self {
        let (trim, max_bytes) = match input.to {
            InputTarget::Stdin => (Trim::Nothing, MOST_STDIN_BYTES),
            InputTarget::Env(_) => (Trim::WhiteSpace, MOST_ENV_BYTES),
        };
        Self {
            from,
            to: input.to.clone(),
            trim: input.trim.unwrap_or(trim),
            max_bytes: input.max_bytes.unwrap_or(max_bytes),
        }
    }

    /// What is handed on of an output of which so much was seen and this was kept, or why it cannot
    /// be.
    pub(super) fn take(&self, kept: &Bytes, seen: u64) -> Result<Bytes, String> {
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
        ResolvedInput::new(0, input).take(&output, output.len() as u64)
    }

    #[test]
    fn each_target_has_its_way_of_trimming() {
        let output = b"  a b\r\n\n";
        assert_eq!(taken(&StepInput::stdin(0), output).unwrap(), &output[..]);
        assert_eq!(taken(&env(), output).unwrap(), "a b");
        assert_eq!(taken(&env().trim(Trim::LineEndings), output).unwrap(), "  a b");
        assert_eq!(taken(&env().trim(Trim::LineEndings), b"\n\n").unwrap(), "");
        assert_eq!(taken(&env(), b"").unwrap(), "");
    }

    #[test]
    fn the_limit_is_exact_and_counts_what_is_handed_on() {
        let limited = || env().max_bytes(3);
        assert_eq!(taken(&limited(), b"abc\n\n\n").unwrap(), "abc");
        let error = taken(&limited(), b"abcd").unwrap_err();
        assert!(error.contains("4 bytes") && error.contains("limit is 3"), "{error}");
    }

    #[test]
    fn half_an_output_is_none() {
        let error = ResolvedInput::new(0, &env()).take(&Bytes::from_static(b"abc"), 9).unwrap_err();
        assert!(error.contains("9 bytes") && error.contains("max_output_size_bytes"), "{error}");
    }

    #[test]
    fn a_nul_byte_fits_into_stdin_only() {
        assert!(taken(&env(), b"a\0b").is_err());
        assert_eq!(taken(&StepInput::stdin(0), b"a\0b").unwrap(), &b"a\0b"[..]);
    }
}
