//! An export as lines of JSON: `version`, `execution` as `exeng show --json` has it, and `stdout` and `stderr`, each
//! `{"text": ".."}`, or `{"base64": ".."}` for what is no UTF-8, or null if it is no longer kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use execution_engine::OutputStream;
use execution_engine_server::ExecutionView;
use execution_engine_server::client::{Client, ClientError, OutputReader};
use uuid::Uuid;

use super::archive::VERSION;
use super::is_output_gone;
use super::target::Target;
use crate::failure::Failure;

/// The line of an execution of which nothing is written, but all is being read: what is removed from now on leaves no
/// part of a line.
pub(super) struct Line<'a> {
    execution: ExecutionView,
    /// Its streams; None for what is no longer kept.
    outputs: Vec<(OutputStream, Option<Output<'a>>)>,
}

/// Output of a stream, as much as there was when it was first looked at.
struct Output<'a> {
    reader: OutputReader<'a>,
    length: u64,
    is_text: bool,
}

/// Begins to read an execution and its output.
///
/// # Errors
/// It was removed.
pub(super) async fn open(client: &Client, id: Uuid) -> Result<Line<'_>, ClientError> {
    let id = id.to_string();
    let execution = client.get(&id).await?;
    let mut outputs = Vec::new();
    for stream in [OutputStream::Stdout, OutputStream::Stderr] {
        let output = match open_output(client, &id, stream).await {
            Err(error) if is_output_gone(&error) => None,
            output => Some(output?),
        };
        outputs.push((stream, output));
    }
    Ok(Line { execution, outputs })
}

/// Reads the output of a stream once, because what it is written as depends on all of it, and begins to read it again.
async fn open_output<'a>(
    client: &'a Client,
    id: &str,
    stream: OutputStream,
) -> Result<Output<'a>, ClientError> {
    let output = client.output(id, Some(stream), None).await?;
    let length = output.length();
    let mut check = Utf8::default();
    each_piece(output, length, |piece| {
        check.add(piece);
        Ok::<_, ClientError>(())
    })
    .await?;
    let reader = client.output(id, Some(stream), None).await?;
    Ok(Output { reader, length, is_text: check.is_whole() })
}

impl Line<'_> {
    /// Writes it.
    ///
    /// # Errors
    /// As [`Target::write`], or the output cannot be read to its end.
    pub(super) async fn write(self, out: &mut Target) -> Result<(), Failure> {
        let execution = serde_json::to_string(&self.execution).map_err(Failure::new)?;
        out.write(format!("{{\"version\":{VERSION},\"execution\":{execution}").as_bytes())?;
        for (stream, output) in self.outputs {
            out.write(format!(",\"{stream}\":").as_bytes())?;
            match output {
                None => out.write(b"null")?,
                Some(output) => output.write(out).await?,
            }
        }
        out.write(b"}\n")
    }
}

impl Output<'_> {
    /// Writes it, in pieces.
    async fn write(self, out: &mut Target) -> Result<(), Failure> {
        let Self { reader, length, is_text } = self;
        if is_text {
            out.write(b"{\"text\":\"")?;
            let mut text = Text::default();
            each_piece(reader, length, |piece| out.write(text.add(piece).as_bytes())).await?;
        } else {
            out.write(b"{\"base64\":\"")?;
            let mut bytes = Vec::new();
            each_piece(reader, length, |piece| {
                bytes.extend_from_slice(piece);
                // Three bytes are four digits.
                let rest = bytes.split_off(bytes.len() / 3 * 3);
                out.write(STANDARD.encode(std::mem::replace(&mut bytes, rest)).as_bytes())
            })
            .await?;
            out.write(STANDARD.encode(bytes).as_bytes())?;
        }
        out.write(b"\"}")
    }
}

/// Gives the first bytes of an output to a function, piece by piece.
async fn each_piece<E: From<ClientError>>(
    mut output: OutputReader<'_>,
    length: u64,
    mut give: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut left = usize::try_from(length).unwrap_or(usize::MAX);
    while left > 0
        && let Some(piece) = output.next().await?
    {
        let piece = &piece[..piece.len().min(left)];
        left -= piece.len();
        give(piece)?;
    }
    Ok(())
}

/// Bytes that come in pieces, as text. What begins a character waits for its rest.
#[derive(Default)]
struct Utf8 {
    pending: Vec<u8>,
    is_other: bool,
}

impl Utf8 {
    /// Adds a piece, and returns the text that is whole now.
    fn add(&mut self, piece: &[u8]) -> String {
        self.pending.extend_from_slice(piece);
        let whole = match str::from_utf8(&self.pending) {
            Ok(_) => self.pending.len(),
            Err(error) => {
                self.is_other |= error.error_len().is_some();
                error.valid_up_to()
            }
        };
        let rest = if self.is_other { Vec::new() } else { self.pending.split_off(whole) };
        let text = std::mem::replace(&mut self.pending, rest);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Returns `true` if all of it was text.
    fn is_whole(&self) -> bool {
        !self.is_other && self.pending.is_empty()
    }
}

/// Text that comes in pieces, as the inside of a string of JSON.
#[derive(Default)]
struct Text(Utf8);

impl Text {
    fn add(&mut self, piece: &[u8]) -> String {
        let quoted = serde_json::Value::String(self.0.add(piece)).to_string();
        quoted[1..quoted.len() - 1].to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_however_it_is_cut() {
        let text = "a\u{e4}\u{20ac}\u{1f600}\"\\\n\u{0}b";
        for size in 1..=text.len() {
            let (mut check, mut quoted, mut all) =
                (Utf8::default(), Text::default(), String::new());
            for piece in text.as_bytes().chunks(size) {
                check.add(piece);
                all.push_str(&quoted.add(piece));
            }
            assert!(check.is_whole(), "{size}");
            let read: String = serde_json::from_str(&format!("\"{all}\"")).unwrap();
            assert_eq!(read, text, "{size}");
        }
    }

    #[test]
    fn what_is_no_text_is_told() {
        for bytes in [&b"\xff"[..], b"a\xc3", b"\xe2\x82x", b"ok\x80ok"] {
            for size in 1..=bytes.len() {
                let mut check = Utf8::default();
                bytes.chunks(size).for_each(|piece| drop(check.add(piece)));
                assert!(!check.is_whole(), "{bytes:?} in pieces of {size}");
            }
        }
    }
}
