//! Writes the standard input of an execution.

use bytes::Bytes;
use tokio::time::Instant;
use uuid::Uuid;

use super::{FleetClient, PATIENCE};
use crate::cluster::{ClusterError, Expect, Lane, LogSubject, NewRecord};
use crate::error::FleetError;
use crate::pool::Pool;
use crate::reader::repeat;
use crate::record::Input;
use crate::seal::{SealedFor, SealedPart, seal};
use crate::wire::{MAX_CHUNK_BYTES, decode, encode};

/// Most bytes of one piece; sealed, it is a little longer.
const PIECE_BYTES: usize = MAX_CHUNK_BYTES - 1024;

/// Where the next piece goes.
struct InputEnd {
    /// Sequence of the last record; 0 if there is none.
    seq: u64,
    from: u64,
    is_closed: bool,
}

impl FleetClient {
    /// Appends to the standard input of an execution that was submitted with a piped one. Returns
    /// once a majority of servers has the bytes. With `eof` the input ends behind them. The pieces are
    /// sealed to the pool, if it has a sealing key. Of several writers each piece is written as a
    /// whole.
    ///
    /// # Errors
    ///
    /// [`FleetError::AlreadyEnded`] if the execution has ended, and [`FleetError::InputClosed`] if its
    /// input has. After [`ClusterError::NoAnswer`] some of the bytes may be written.
    pub async fn write_input(
        &self,
        id: Uuid,
        pool: &Pool,
        bytes: Bytes,
        eof: bool,
    ) -> Result<(), FleetError> {
        let state = self.state(id).await?;
        if state.outcome().is_some() {
            return Err(FleetError::AlreadyEnded { id, state: Box::new(state) });
        }
        let subject = LogSubject { tenant: self.tenant.clone(), id, lane: Lane::Input };
        let mut end = self.input_end(&subject).await?;
        let mut rest = bytes;
        loop {
            if end.is_closed {
                return Err(FleetError::InputClosed(id));
            }
            let piece = rest.slice(..rest.len().min(PIECE_BYTES));
            let is_last = piece.len() == rest.len();
            let input = self.input(id, pool, end.from, &piece, eof && is_last)?;
            match self.append_input(&subject, &input, end.seq).await {
                Ok(_) if is_last => return Ok(()),
                Ok(seq) => {
                    end = InputEnd { seq, from: input.end(), is_closed: false };
                    rest = rest.slice(piece.len()..);
                }
                // Another writer came first.
                Err(ClusterError::Conflict { .. }) => end = self.input_end(&subject).await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes the whole standard input of an execution: what is missing of it, and its end. Several
    /// may write the same input; it is written once.
    ///
    /// # Errors
    ///
    /// [`FleetError::Cluster`] if the servers do not take it. Writing it again is harmless.
    pub(crate) async fn write_whole_input(
        &self,
        id: Uuid,
        pool: &Pool,
        bytes: &Bytes,
    ) -> Result<(), FleetError> {
        let subject = LogSubject { tenant: self.tenant.clone(), id, lane: Lane::Input };
        loop {
            let end = self.input_end(&subject).await?;
            let written = usize::try_from(end.from).unwrap_or(usize::MAX).min(bytes.len());
            if end.is_closed {
                return Ok(());
            }
            let rest = bytes.slice(written..);
            let piece = rest.slice(..rest.len().min(PIECE_BYTES));
            let input = self.input(id, pool, end.from, &piece, piece.len() == rest.len())?;
            match self.append_input(&subject, &input, end.seq).await {
                Ok(_) | Err(ClusterError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Appends a piece of input behind the record with a sequence.
    async fn append_input(
        &self,
        subject: &LogSubject,
        input: &Input,
        after: u64,
    ) -> Result<u64, ClusterError> {
        let id = subject.id.simple();
        let bytes = encode(input).map_err(|error| ClusterError::Refused(error.to_string()))?;
        let record = NewRecord {
            subject: subject.clone(),
            bytes: bytes.into(),
            name: format!("{id}.input.{}.{}", input.from, Uuid::new_v4().simple()),
            expect: Expect::Last(after),
        };
        let until = Instant::now() + PATIENCE;
        repeat(until, || self.cluster.append(record.clone())).await
    }

    fn input(
        &self,
        id: Uuid,
        pool: &Pool,
        from: u64,
        piece: &Bytes,
        eof: bool,
    ) -> Result<Input, FleetError> {
        if pool.sealing.is_empty() {
            return Ok(Input { from, bytes: piece.clone(), opened: None, key_id: None, eof });
        }
        let of = SealedFor { tenant: &self.tenant, id, part: SealedPart::Input { from } };
        let sealed = seal(pool, of, piece)?;
        let (opened, key_id) = (Some(piece.len() as u64), Some(sealed.key_id));
        Ok(Input { from, bytes: sealed.bytes, opened, key_id, eof })
    }

    async fn input_end(&self, subject: &LogSubject) -> Result<InputEnd, FleetError> {
        let seq = self.cluster.newest(subject).await?;
        if seq == 0 {
            return Ok(InputEnd { seq, from: 0, is_closed: false });
        }
        let part = self.cluster.read(subject, seq, seq).await?;
        match part.records.first() {
            Some((seq, bytes)) => {
                let input: Input = decode(bytes)?;
                Ok(InputEnd { seq: *seq, from: input.end(), is_closed: input.eof })
            }
            None => Err(ClusterError::NoAnswer("the input was not found".to_owned()).into()),
        }
    }
}
