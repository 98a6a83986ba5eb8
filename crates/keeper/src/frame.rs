//! Frames: a length of four bytes, big-endian, and JSON.

use std::io;

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Longest JSON of a frame.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Returns the bytes of a frame. The error is its size, if it is too large.
pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>, usize> {
    let mut bytes = vec![0; 4];
    // All values of the protocol have a JSON form: their keys are text. Those that have none are told as too large.
    serde_json::to_writer(&mut bytes, value).map_err(|_| usize::MAX)?;
    let length = bytes.len() - 4;
    if length > MAX_BYTES {
        return Err(length);
    }
    bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(bytes)
}

/// Reads the JSON of the next frame; `None` if the stream ends before it. Not cancel safe.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    if stream.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[1..]).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_BYTES {
        let text = format!("a frame of {length} bytes, at most {MAX_BYTES} are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    // Grows with what arrives: a length alone takes no memory.
    let mut bytes = Vec::with_capacity(length.min(64 * 1024));
    let read = stream.take(length as u64).read_to_end(&mut bytes).await?;
    if read < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_read_as_they_were_made() {
        let mut bytes = encode(&"one").unwrap();
        bytes.extend(encode(&"two").unwrap());
        assert_eq!(bytes[..5], [0, 0, 0, 5, b'"']);
        let mut stream = bytes.as_slice();
        assert_eq!(read(&mut stream).await.unwrap().unwrap(), b"\"one\"");
        assert_eq!(read(&mut stream).await.unwrap().unwrap(), b"\"two\"");
        assert_eq!(read(&mut stream).await.unwrap(), None);
    }

    #[tokio::test]
    async fn cut_and_too_large_frames_are_errors() {
        let bytes = encode(&"one").unwrap();
        for length in 1..bytes.len() {
            let error = read(&mut &bytes[..length]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {length}");
        }
        let error = read(&mut &[1, 0, 0, 1, 0][..]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(encode(&"x".repeat(MAX_BYTES)).unwrap_err(), MAX_BYTES + 2);
        assert!(encode(&"x".repeat(MAX_BYTES - 2)).is_ok());
    }
}
