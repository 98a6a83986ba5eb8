//! Output that lies in an object: read in pieces, and compared with its digest.

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use crate::cluster::{Cluster, ClusterError, ObjectKind, ObjectName};
use crate::record::{OutputObject, Stream};
use crate::wire::MAX_CHUNK_BYTES;

/// Most bytes of one read. A slow reader gets on if it has these within the time of a call.
const PIECE_BYTES: u64 = 1024 * 1024;

/// An object that is being read.
pub(super) struct Fetch {
    object: ObjectName,
    size: u64,
    sha256: [u8; 32],
    bytes: BytesMut,
}

impl Fetch {
    pub(super) fn new(tenant: &str, object: OutputObject) -> Self {
        let OutputObject { name, size, sha256 } = object;
        let object = ObjectName { tenant: tenant.to_owned(), kind: ObjectKind::Output, name };
        Self { object, size, sha256, bytes: BytesMut::new() }
    }

    /// Returns the bytes; `None` if they are not to be had any more. Cancel safe: the next call goes on
    /// with what was read.
    pub(super) async fn read(
        &mut self,
        cluster: &dyn Cluster,
    ) -> Result<Option<Bytes>, ClusterError> {
        loop {
            let from = self.bytes.len() as u64;
            if from >= self.size {
                break;
            }
            let length = PIECE_BYTES.min(self.size - from);
            match cluster.read_object(&self.object, from, length).await {
                Ok(piece) if piece.is_empty() => return Ok(self.lost("is too short")),
                Ok(piece) => self.bytes.extend_from_slice(&piece),
                Err(error @ ClusterError::NoAnswer(_)) => return Err(error),
                Err(error) => return Ok(self.lost(&error.to_string())),
            }
        }
        let is_whole = self.bytes.len() as u64 == self.size
            && <[u8; 32]>::from(Sha256::digest(&self.bytes)) == self.sha256;
        match is_whole {
            true => Ok(Some(std::mem::take(&mut self.bytes).freeze())),
            false => Ok(self.lost("is damaged: its digest differs")),
        }
    }

    fn lost(&self, reason: &str) -> Option<Bytes> {
        tracing::warn!(object = self.object.name, size = self.size, reason, "output is missing");
        None
    }
}

/// Splits runs into pieces of up to [`MAX_CHUNK_BYTES`]. An event is made of each, whether its bytes are
/// there or missing, so that the events of a record are the same for all readers.
pub(super) fn pieces(runs: &[(Stream, u32)]) -> Vec<Vec<(Stream, u32)>> {
    let mut pieces = Vec::new();
    let (mut piece, mut room) = (Vec::new(), MAX_CHUNK_BYTES as u32);
    for (stream, mut length) in runs.iter().copied() {
        while length > 0 {
            let part = length.min(room);
            piece.push((stream, part));
            (length, room) = (length - part, room - part);
            if room == 0 {
                pieces.push(std::mem::take(&mut piece));
                room = MAX_CHUNK_BYTES as u32;
            }
        }
    }
    pieces.extend((!piece.is_empty()).then_some(piece));
    pieces
}

/// Removes bytes that were seen before from runs, since a record can be repeated. Returns how many.
pub(super) fn skip(runs: &mut Vec<(Stream, u32)>, seen: u64) -> usize {
    let mut rest = seen;
    runs.retain_mut(|(_, length)| {
        let cut = rest.min(u64::from(*length));
        rest -= cut;
        *length -= cut as u32;
        *length > 0
    });
    usize::try_from(seen - rest).unwrap_or(usize::MAX)
}
