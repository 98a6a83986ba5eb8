//! Input that clients write to a program.
//!
//! Of each execution at most one piece waits until the program's pipe has taken it; no call waits for that, because the
//! calls of a client are counted. A notice tells when there is room again.

use std::collections::VecDeque;
use std::sync::Arc;

use execution_engine::ExecutionError;
use uuid::Uuid;

use super::calls::control_failed;
use super::execution::{Execution, Refusal};
use super::keeper::Keeper;
use crate::protocol::{Answer, ErrorCode};
use crate::{InputPiece, InputTaken, MAX_INPUT_PIECE, Notice};

/// Writers of which it is known what they have written last.
const MAX_WRITERS: usize = 16;

/// Input of one execution, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// End of what was taken over.
    end: u64,
    /// End of what the program's pipe has taken, or will never take.
    passed: u64,
    is_closed: bool,
    /// What each of the last writers has written last, the latest at the end. One entry for each.
    written: VecDeque<Written>,
    /// End of what writers have written of whom there is no entry any more.
    forgotten: u64,
}

/// What one writer has written last, in one piece.
#[derive(Debug)]
struct Written {
    writer: String,
    begin: u64,
    end: u64,
}

/// What becomes of a piece.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    /// These bytes go to the program; the piece is taken up to this place.
    Bytes(Vec<u8>, u64),
    /// Nothing is taken now beyond this place.
    Nothing(u64),
}

impl Input {
    /// Takes what there is room for.
    ///
    /// # Errors
    /// The input is closed, or the piece does not begin where it ends.
    fn take(&mut self, piece: &InputPiece) -> Result<Taken, ErrorCode> {
        let before = self.written.iter().position(|it| it.writer == piece.writer);
        let known = before
            .map(|at| &self.written[at])
            .filter(|it| (it.begin..=it.end).contains(&piece.offset));
        let from = known.map_or(piece.offset, |it| it.end.min(piece.end()));
        let begin = known.filter(|it| it.end == from).map_or(from, |it| it.begin);
        let left = &piece.bytes[(from - piece.offset) as usize..];
        if left.is_empty() {
            // Nothing is taken anywhere, but the input ends only where it ends.
            let is_moved = piece.eof && from != self.end;
            return if is_moved { Err(ErrorCode::InputMoved) } else { Ok(Taken::Nothing(from)) };
        }
        if self.is_closed {
            return Err(ErrorCode::InputClosed);
        }
        if from != self.end {
            return Err(ErrorCode::InputMoved);
        }
        if self.passed < self.end {
            return Ok(Taken::Nothing(from));
        }
        let bytes = left[..left.len().min(MAX_INPUT_PIECE)].to_vec();
        self.end += bytes.len() as u64;
        // A writer repeats what it has written last, and nothing before that.
        before.map(|at| self.written.remove(at));
        self.written.push_back(Written { writer: piece.writer.clone(), begin, end: self.end });
        if self.written.len() > MAX_WRITERS
            && let Some(oldest) = self.written.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest.end);
        }
        Ok(Taken::Bytes(bytes, self.end))
    }

    /// Takes nothing more. Returns `true` if the program has all of it, so that its input is to be closed; else that is
    /// done behind what waits.
    fn close(&mut self) -> bool {
        self.is_closed = true;
        self.passed == self.end
    }

    /// Returns the end of what the program's pipe has taken.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }
}

impl Keeper {
    /// Takes input of a program; see [`KeeperClient::input`](crate::KeeperClient::input).
    pub(super) async fn input(self: &Arc<Self>, id: Uuid, piece: &InputPiece) -> Answer {
        let Some(execution) = self.taken_on(id).await else { return Answer::Unknown };
        if !execution.has_input {
            let message = format!(
                "execution {id} has no input that can be written; start it with a piped one"
            );
            return Refusal { code: ErrorCode::NoInput, message }.into();
        }
        let (taken, end) = execution.with_input(|input| (input.take(piece), input.end));
        let offset = match taken {
            Err(code) => return refused(id, code, end).into(),
            Ok(Taken::Nothing(offset)) => offset,
            Ok(Taken::Bytes(bytes, offset)) => {
                tokio::spawn(Arc::clone(self).pass_on(execution.clone(), bytes));
                offset
            }
        };
        if piece.eof && offset == piece.end() && execution.with_input(Input::close) {
            match self.engine.close_stdin(id).await {
                Ok(()) | Err(ExecutionError::StdinClosed(_)) => {}
                Err(error) => return control_failed(&error),
            }
        }
        let (end, forgotten) = execution.with_input(|input| (input.end, input.forgotten));
        Answer::Input { taken: InputTaken::new(offset, end, forgotten) }
    }

    /// Writes bytes to a program, and tells when its pipe has taken them.
    async fn pass_on(self: Arc<Self>, execution: Arc<Execution>, bytes: Vec<u8>) {
        let count = bytes.len();
        let written = self.engine.write_stdin(execution.id, bytes).await;
        let (passed, is_closed) = execution.with_input(|input| {
            // One that reads no more, or has ended, takes nothing more either.
            input.is_closed |= written.ok() != Some(count);
            input.passed = input.end;
            (input.passed, input.is_closed)
        });
        if is_closed && let Err(error) = self.engine.close_stdin(execution.id).await {
            tracing::debug!(id = %execution.id, %error, "its input is closed already");
        }
        self.shared.tell(&Notice::Progress {
            id: execution.id,
            end: execution.end(),
            input: passed,
        });
    }
}

fn refused(id: Uuid, code: ErrorCode, end: u64) -> Refusal {
    let message = match code {
        ErrorCode::InputMoved => format!("the input of execution {id} ends at {end}; go on there"),
        _ => format!("the input of execution {id} is closed, or its program reads no more"),
    };
    Refusal { code, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(writer: &str, offset: u64, bytes: &[u8]) -> InputPiece {
        InputPiece { writer: writer.into(), offset, bytes: bytes.to_vec(), eof: false }
    }

    /// Takes a piece that the program reads at once.
    fn take(input: &mut Input, piece: &InputPiece) -> Result<Taken, ErrorCode> {
        let taken = input.take(piece);
        input.passed = input.end;
        taken
    }

    #[test]
    fn what_a_writer_repeats_is_not_written_twice() {
        let mut input = Input::default();
        let bytes = |text: &str, end| Ok(Taken::Bytes(text.into(), end));
        assert_eq!(take(&mut input, &piece("a", 0, b"one")), bytes("one", 3));
        assert_eq!(take(&mut input, &piece("a", 0, b"one")), Ok(Taken::Nothing(3)));
        // A part of it is new.
        assert_eq!(take(&mut input, &piece("a", 1, b"ne two")), bytes(" two", 7));
        assert_eq!(take(&mut input, &piece("b", 7, b"three")), bytes("three", 12));
        // Also when others have written since.
        assert_eq!(take(&mut input, &piece("a", 0, b"one two")), Ok(Taken::Nothing(7)));
        for late in [piece("a", 7, b"x"), piece("c", 0, b"x"), piece("c", 13, b"x")] {
            assert_eq!(take(&mut input, &late), Err(ErrorCode::InputMoved), "{late:?}");
        }
        assert_eq!(take(&mut input, &piece("a", 12, b"four")), bytes("four", 16));
        assert_eq!(take(&mut input, &piece("a", 12, b"four")), Ok(Taken::Nothing(16)));
    }

    #[test]
    fn one_piece_waits_for_the_program_and_no_more() {
        let mut input = Input::default();
        let large = piece("a", 0, &[b'x'; MAX_INPUT_PIECE + 9]);
        let Ok(Taken::Bytes(bytes, end)) = input.take(&large) else { panic!("nothing is taken") };
        assert_eq!((bytes.len(), end), (MAX_INPUT_PIECE, MAX_INPUT_PIECE as u64));
        assert_eq!(input.take(&large), Ok(Taken::Nothing(end)));
        assert_eq!(input.take(&piece("b", end, b"y")), Ok(Taken::Nothing(end)));
        input.passed = input.end;
        assert_eq!(input.take(&large), Ok(Taken::Bytes(vec![b'x'; 9], end + 9)));
    }

    #[test]
    fn closed_input_takes_nothing_but_knows_what_it_has() {
        let mut input = Input::default();
        input.take(&piece("a", 0, b"one")).unwrap();
        assert!(!input.close(), "something waits");
        input.passed = input.end;
        assert!(input.close());
        assert_eq!(take(&mut input, &piece("a", 0, b"one")), Ok(Taken::Nothing(3)));
        assert_eq!(take(&mut input, &piece("a", 3, b"two")), Err(ErrorCode::InputClosed));
    }

    #[test]
    fn input_is_closed_only_where_it_ends() {
        let mut input = Input::default();
        take(&mut input, &piece("a", 0, b"one")).unwrap();
        take(&mut input, &piece("b", 3, b"two")).unwrap();
        let end = |offset| InputPiece { eof: true, ..piece("a", offset, b"") };
        for offset in [0, 3, 7] {
            assert_eq!(take(&mut input, &end(offset)), Err(ErrorCode::InputMoved), "{offset}");
        }
        assert_eq!(take(&mut input, &end(6)), Ok(Taken::Nothing(6)));
        assert!(input.close());
        assert_eq!(take(&mut input, &end(6)), Ok(Taken::Nothing(6)), "it may come again");
    }

    #[test]
    fn few_writers_are_remembered() {
        let mut input = Input::default();
        for number in 0..1000 {
            take(&mut input, &piece(&number.to_string(), number, b"x")).unwrap();
        }
        assert_eq!(input.written.len(), MAX_WRITERS);
        // What may come again without being known is told.
        assert_eq!(input.forgotten, 1000 - MAX_WRITERS as u64);
    }

    #[test]
    fn writers_that_take_turns_do_not_displace_others() {
        let mut input = Input::default();
        take(&mut input, &piece("quiet", 0, b"x")).unwrap();
        for offset in 1..100 {
            take(&mut input, &piece(["a", "b"][offset as usize % 2], offset, b"x")).unwrap();
        }
        assert_eq!((input.written.len(), input.forgotten), (3, 0));
        assert_eq!(take(&mut input, &piece("quiet", 0, b"x")), Ok(Taken::Nothing(1)));
    }
}
