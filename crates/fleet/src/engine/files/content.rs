//! Content of files in the object store. Its name is its digest.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use execution_engine::ContentDigest;
use sha2::{Digest as _, Sha256};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncSeek, AsyncSeekExt as _, AsyncWrite, AsyncWriteExt as _,
    ReadBuf,
};
use tokio::time::Instant;

use crate::cluster::{Cluster, ClusterError, ObjectKind, ObjectName};
use crate::reader::repeat;

/// Most bytes of one read.
const PIECE_BYTES: u64 = 1024 * 1024;
/// How long a call is repeated that gets no answer.
const PATIENCE: Duration = Duration::from_secs(30);

fn named(tenant: &str, digest: ContentDigest) -> ObjectName {
    let (tenant, name) = (tenant.to_owned(), digest.to_string());
    ObjectName { tenant, kind: ObjectKind::Artifact, name }
}

/// Stores content and returns its digest. It is read twice: its name comes before its bytes.
pub(crate) async fn store(
    cluster: &dyn Cluster,
    tenant: &str,
    content: &mut (impl AsyncRead + AsyncSeek + Send + Unpin),
) -> Result<ContentDigest, ClusterError> {
    let failed = |error: io::Error| ClusterError::Refused(format!("it could not be read: {error}"));
    let digest = digest_of(content).await.map_err(failed)?;
    let name = named(tenant, digest);
    let until = Instant::now() + PATIENCE;
    loop {
        content.rewind().await.map_err(failed)?;
        let mut checked = Checked { content: &mut *content, hash: Sha256::new(), read: 0, digest };
        // Stored again even if it is there, so that its age begins anew.
        match cluster.put_object(&name, &mut checked).await {
            Err(ClusterError::NoAnswer(_)) if Instant::now() < until => {}
            stored => return stored.map(|_| digest),
        }
    }
}

async fn digest_of(content: &mut (impl AsyncRead + Unpin)) -> io::Result<ContentDigest> {
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 128 * 1024]);
    loop {
        match content.read(&mut buffer).await? {
            0 => return Ok(ContentDigest { sha256: hash.finalize().into(), size }),
            read => {
                hash.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}

/// Content that fails at its end if it is not what its digest says: it was changed meanwhile. Then no
/// object is made of it.
struct Checked<'a, R> {
    content: &'a mut R,
    hash: Sha256,
    read: u64,
    digest: ContentDigest,
}

impl<R: AsyncRead + Unpin> AsyncRead for Checked<'_, R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut *this.content).poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        this.hash.update(read);
        this.read += read.len() as u64;
        let is_end = read.is_empty() && buffer.remaining() > 0;
        let is_other = || <[u8; 32]>::from(this.hash.clone().finalize()) != this.digest.sha256;
        if this.read > this.digest.size || is_end && is_other() {
            return Poll::Ready(Err(io::Error::other("it was changed while it was read")));
        }
        Poll::Ready(Ok(()))
    }
}

/// Writes stored content to a writer. An error may come after a part was written: it is of no use then.
pub(crate) async fn read(
    cluster: &dyn Cluster,
    tenant: &str,
    digest: ContentDigest,
    to: &mut (impl AsyncWrite + Send + Unpin),
) -> Result<(), ClusterError> {
    let name = named(tenant, digest);
    let none = |what: &str| ClusterError::NoObject { name: name.name.clone(), what: what.into() };
    let failed = |error| ClusterError::Refused(format!("it could not be written: {error}"));
    let (mut hash, mut from) = (Sha256::new(), 0);
    while from < digest.size {
        let length = PIECE_BYTES.min(digest.size - from);
        let until = Instant::now() + PATIENCE;
        let piece = repeat(until, || cluster.read_object(&name, from, length)).await?;
        if piece.is_empty() {
            return Err(none("is too short"));
        }
        hash.update(&piece);
        from += piece.len() as u64;
        to.write_all(&piece).await.map_err(failed)?;
    }
    if digest.size == 0 {
        // Nothing is read of it, but it must be there.
        let until = Instant::now() + PATIENCE;
        repeat(until, || cluster.read_object(&name, 0, 1)).await?;
    }
    to.flush().await.map_err(failed)?;
    match <[u8; 32]>::from(hash.finalize()) == digest.sha256 {
        true => Ok(()),
        false => Err(none("is damaged: its digest differs")),
    }
}
