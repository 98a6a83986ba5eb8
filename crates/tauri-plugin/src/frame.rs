//! Binary frames: a header in JSON, and bytes as they are. JSON alone would carry bytes that are not
//! UTF-8 as a list of numbers, some four bytes for each, and the page would have to convert it back.

/// Returns a frame: the length of the header in four bytes, little-endian, the header, the bytes.
pub(crate) fn frame(header: &str, bytes: &[&[u8]]) -> Vec<u8> {
    let length = bytes.iter().map(|part| part.len()).sum::<usize>();
    let mut frame = Vec::with_capacity(4 + header.len() + length);
    frame.extend_from_slice(&u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend_from_slice(header.as_bytes());
    bytes.iter().for_each(|part| frame.extend_from_slice(part));
    frame
}
