//! Objects: output that is too large for records, and files.
//!
//! An object is chunks, each with a literal subject and the digest of its bytes, and a description
//! that is written last. So a part is read without the rest, each byte that is returned was compared
//! with a digest, and an object without a description was cut off.

use async_nats::HeaderMap;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::{Bytes, BytesMut};
use execution_engine_fleet::{ClusterError, ObjectName};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::cluster::NatsCluster;
use crate::link::Trouble;
use crate::names::{checked, objects_of, objects_stream};

/// Bytes of a chunk; the last one has less.
const CHUNK_BYTES: u64 = 256 * 1024;
/// Chunks that are written or read at once.
const CHUNKS: usize = 8;
/// Header with the SHA-256 of a chunk.
const DIGEST: &str = "Exeng-Sha256";
/// Longest name: in base64 it is a part of a subject.
const MAX_NAME_BYTES: usize = 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Description {
    size: u64,
    chunk_bytes: u64,
}

impl NatsCluster {
    pub(crate) async fn store_object(
        &self,
        object: &ObjectName,
        content: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<u64, ClusterError> {
        let prefix = prefix(object)?;
        let unread = |error: std::io::Error| {
            let name = &object.name;
            ClusterError::Refused(format!("the content of {name:?} could not be read: {error}"))
        };
        let (mut under_way, mut number, mut size) = (FuturesUnordered::new(), 0, 0);
        loop {
            let chunk = next_chunk(content).await.map_err(unread)?;
            let is_end = chunk.is_empty();
            if !is_end {
                under_way.push(self.store_chunk(&prefix, number, chunk));
                number += 1;
            }
            while is_end || under_way.len() == CHUNKS {
                let Some(written) = under_way.next().await else { break };
                size += written?;
            }
            if is_end {
                break;
            }
        }
        let description = Description { size, chunk_bytes: CHUNK_BYTES };
        let description = serde_json::to_vec(&description)
            .map_err(|error| ClusterError::Refused(error.to_string()))?;
        let subject = format!("{prefix}.d");
        self.link().publish(&subject, HeaderMap::new(), description.into()).await?;
        Ok(size)
    }

    async fn store_chunk(
        &self,
        prefix: &str,
        number: u64,
        chunk: Bytes,
    ) -> Result<u64, ClusterError> {
        let size = chunk.len() as u64;
        let mut headers = HeaderMap::new();
        headers.insert(DIGEST, digest(&chunk));
        // A repeat replaces it: there is one message for each subject.
        self.link().publish(&format!("{prefix}.{number}"), headers, chunk).await?;
        Ok(size)
    }

    pub(crate) async fn load_object(
        &self,
        object: &ObjectName,
        from: u64,
        length: u64,
    ) -> Result<Bytes, ClusterError> {
        let (prefix, stream) = (prefix(object)?, objects_stream(&object.tenant));
        let none = |what: &str| ClusterError::NoObject {
            name: object.name.clone(),
            what: what.to_owned(),
        };
        let (_, description) = self
            .link()
            .newest(&stream, &format!("{prefix}.d"))
            .await?
            .ok_or_else(|| none("is not there, or too old"))?;
        let Description { size, chunk_bytes } =
            serde_json::from_slice(&description).map_err(|_| none("has no valid description"))?;
        let end = from.saturating_add(length).min(size);
        // Clients may write descriptions, too.
        if chunk_bytes != CHUNK_BYTES {
            return Err(none("is damaged: its chunks have another size"));
        }
        if from >= end {
            return Ok(Bytes::new());
        }
        // Memory grows with the chunks that are there, not with the size that a description claims.
        let (mut next, last) = (from / CHUNK_BYTES, (end - 1) / CHUNK_BYTES);
        let mut read = BytesMut::new();
        while next <= last {
            let part: Vec<_> = (next..=last).take(CHUNKS).collect();
            next += part.len() as u64;
            for chunk in self.load_chunks(&stream, &prefix, &part).await?.map_err(none)? {
                read.extend_from_slice(&chunk);
            }
        }
        let skipped = usize::try_from(from % CHUNK_BYTES).unwrap_or(usize::MAX);
        let wanted = usize::try_from(end - from).unwrap_or(usize::MAX);
        let read = read.freeze();
        if read.len() < skipped.saturating_add(wanted) {
            return Err(none("is damaged: a chunk is too short"));
        }
        Ok(read.slice(skipped..skipped + wanted))
    }

    /// Returns chunks, or what is wrong with the object.
    async fn load_chunks(
        &self,
        stream: &str,
        prefix: &str,
        numbers: &[u64],
    ) -> Result<Result<Vec<Bytes>, &'static str>, Trouble> {
        let subjects: Vec<_> = numbers.iter().map(|number| format!("{prefix}.{number}")).collect();
        let subjects = &subjects;
        self.link()
            .persist(|_| async move {
                let batch = self.link().last_of(stream, subjects).await?;
                let mut chunks = Vec::new();
                for subject in subjects {
                    let kept = batch.messages.iter().find(|kept| kept.subject == *subject);
                    let Some(kept) = kept else { return self.absent(stream, subject).await };
                    let told = kept.headers.get(DIGEST).map(async_nats::HeaderValue::as_str);
                    if told != Some(&digest(&kept.bytes)) {
                        return Ok(Err("is damaged: the digest of a chunk differs"));
                    }
                    if kept.bytes.len() as u64 > CHUNK_BYTES {
                        return Ok(Err("is damaged: a chunk is too long"));
                    }
                    chunks.push(kept.bytes.clone());
                }
                Ok(Ok(chunks))
            })
            .await
    }

    /// Asks the leader for a chunk that a replica does not have: that one may be behind.
    async fn absent<T>(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Result<T, &'static str>, Trouble> {
        match self.link().newest(stream, subject).await? {
            Some(_) => Err(Trouble::Late(format!("a server does not have {subject} yet"))),
            None => Ok(Err("is damaged: a chunk is missing")),
        }
    }
}

/// Returns what the subjects of an object begin with. Names may have any characters.
fn prefix(object: &ObjectName) -> Result<String, ClusterError> {
    let ObjectName { tenant, kind, name } = object;
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        let what =
            format!("the name of an object has {} bytes; use 1 to {MAX_NAME_BYTES}", name.len());
        return Err(ClusterError::Refused(what));
    }
    checked("tenant", tenant)?;
    Ok(format!("{}{}", objects_of(tenant, Some(*kind)), BASE64_URL_SAFE_NO_PAD.encode(name)))
}

fn digest(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(bytes))
}

async fn next_chunk(content: &mut (dyn AsyncRead + Send + Unpin)) -> std::io::Result<Bytes> {
    let mut chunk = Vec::new();
    content.take(CHUNK_BYTES).read_to_end(&mut chunk).await?;
    Ok(chunk.into())
}
