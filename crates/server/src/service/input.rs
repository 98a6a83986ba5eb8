//! Input for a program that runs. It is passed on at the program's pace: what is not taken waits with its writer.

use std::sync::Arc;

use execution_engine_keeper::{InputPiece, MAX_INPUT_PIECE};
use tokio::sync::watch;
use uuid::Uuid;

use super::active::Live;
use super::control::Place;
use super::errors::{already_ended, not_started};
use super::inner::Inner;
use super::link::Link;
use crate::error::{ErrorCode, ServiceError};
use crate::view::{InputEnd, NewInput};

impl Inner {
    /// Returns the end of the input; see [`Service::input_end`](super::Service::input_end).
    pub(crate) async fn input_end(&self, id: Uuid) -> Result<InputEnd, ServiceError> {
        let (link, _) = self.reader(id).await?;
        self.end_at(id, &link).await
    }

    /// Writes input; see [`Service::write_input`](super::Service::write_input).
    pub(crate) async fn write_input(&self, id: Uuid, new: NewInput) -> Result<u64, ServiceError> {
        let (link, mut live) = self.reader(id).await?;
        let mut offset = match new.offset {
            Some(offset) => offset,
            None => self.end_at(id, &link).await?.offset,
        };
        let mut bytes = &new.bytes[..];
        loop {
            // As much as a keeper takes at a time, so that no more is copied.
            let now = &bytes[..bytes.len().min(MAX_INPUT_PIECE)];
            let eof = new.eof && now.len() == bytes.len();
            let (writer, piece) = (new.writer.clone(), now.to_vec());
            let piece = InputPiece { writer, offset, bytes: piece, eof };
            let taken = match self.unless_closing(link.input(id, &piece)).await? {
                Ok(taken) => taken,
                // Others write, too, and no place was named.
                Err(error) if error.code == ErrorCode::InputMoved && new.offset.is_none() => {
                    offset = self.end_at(id, &link).await?.offset;
                    continue;
                }
                Err(error) => return Err(error),
            };
            // No more than was given: the keeper counts from where the piece begins.
            bytes = &bytes[(taken.offset.saturating_sub(offset) as usize).min(bytes.len())..];
            offset = taken.offset;
            if bytes.is_empty() {
                return Ok(offset);
            }
            self.until_read(id, &mut live, taken.end).await?;
        }
    }

    /// Waits until a program has taken its input up to a place.
    async fn until_read(
        &self,
        id: Uuid,
        live: &mut watch::Receiver<Live>,
        end: u64,
    ) -> Result<(), ServiceError> {
        let is_read = async {
            let read = live.wait_for(|live| live.input >= end || live.phase.is_final()).await;
            read.is_ok_and(|live| !live.phase.is_final())
        };
        match self.unless_closing(is_read).await? {
            true => Ok(()),
            false => Err(already_ended(id)),
        }
    }

    /// Returns the keeper of an execution, and what changes of it.
    async fn reader(&self, id: Uuid) -> Result<(Arc<Link>, watch::Receiver<Live>), ServiceError> {
        let mut live = self.unfinished(id).await?.subscribe();
        match self.place(id, &mut live).await? {
            Place::Keeper(link) => Ok((link, live)),
            Place::Queue => Err(not_started(id)),
        }
    }

    async fn end_at(&self, id: Uuid, link: &Link) -> Result<InputEnd, ServiceError> {
        let taken = self.unless_closing(link.input(id, &nothing())).await??;
        Ok(InputEnd { offset: taken.end, forgotten: taken.forgotten })
    }
}

/// Returns a piece of nothing, which is taken anywhere: it asks for the end.
pub(super) fn nothing() -> InputPiece {
    InputPiece { writer: String::new(), offset: 0, bytes: Vec::new(), eof: false }
}
