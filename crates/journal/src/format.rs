//! Bytes of a record. All numbers are little-endian.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 4 | length of the payload |
//! | 4 | 4 | CRC-32 of all other bytes of the header, and of the payload |
//! | 8 | 8 | position of the record in its journal |
//! | 16 | 8 | time, in microseconds since 1970-01-01 UTC |
//! | 24 | 4 | attempt |
//! | 28 | 1 | kind |
//! | 29 | 3 | `EJ` and the version of the format |
//!
//! The position is in the record, so that the bytes of another place or journal are never taken for it.

use crate::Kind;

/// Length of the header of a record.
pub const HEADER_BYTES: u64 = 32;

/// Longest payload of a record of output.
pub const MAX_OUTPUT_BYTES: usize = 1024 * 1024;

/// Longest payload of an event: the result of an execution may name very many processes.
pub const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

const HEADER: usize = HEADER_BYTES as usize;
const MARK: [u8; 2] = *b"EJ";
const VERSION: u8 = 1;

/// The header of a record, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) payload_bytes: u32,
    pub(crate) position: u64,
    pub(crate) time_us: i64,
    pub(crate) attempt: u32,
    pub(crate) kind: Kind,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoHeader {
    /// The mark is missing, or the record belongs to another position.
    Foreign,
    /// The mark and the position are right, and the version or the kind is of a later version.
    Newer,
    /// The length is impossible.
    Length,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Kind::Stdout => 1,
            Kind::Stderr => 2,
            Kind::Event => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Kind::Stdout, Kind::Stderr, Kind::Event].into_iter().find(|kind| kind.code() == code)
    }

    /// Returns the longest payload of a record of this kind.
    pub(crate) fn max_bytes(self) -> usize {
        match self {
            Kind::Stdout | Kind::Stderr => MAX_OUTPUT_BYTES,
            Kind::Event => MAX_EVENT_BYTES,
        }
    }
}

/// Appends the bytes of a record to `out`.
pub(crate) fn encode(header: &Header, payload: &[u8], out: &mut Vec<u8>) {
    let mut bytes = [0; HEADER];
    bytes[0..4].copy_from_slice(&header.payload_bytes.to_le_bytes());
    bytes[8..16].copy_from_slice(&header.position.to_le_bytes());
    bytes[16..24].copy_from_slice(&header.time_us.to_le_bytes());
    bytes[24..28].copy_from_slice(&header.attempt.to_le_bytes());
    bytes[28] = header.kind.code();
    bytes[29..31].copy_from_slice(&MARK);
    bytes[31] = VERSION;
    let sum = checksum(&bytes, payload);
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(&bytes);
    out.extend_from_slice(payload);
}

/// Decodes the header of the record at `position`. Its checksum is not looked at.
pub(crate) fn decode(bytes: &[u8; HEADER], position: u64) -> Result<Header, NoHeader> {
    let own_position = u64::from_le_bytes(part(bytes, 8));
    if bytes[29..31] != MARK || own_position != position {
        return Err(NoHeader::Foreign);
    }
    let kind =
        Kind::from_code(bytes[28]).filter(|_| bytes[31] == VERSION).ok_or(NoHeader::Newer)?;
    let payload_bytes = u32::from_le_bytes(part(bytes, 0));
    let fits = usize::try_from(payload_bytes).is_ok_and(|length| length <= kind.max_bytes());
    if !fits || position.checked_add(HEADER_BYTES + u64::from(payload_bytes)).is_none() {
        return Err(NoHeader::Length);
    }
    let time_us = i64::from_le_bytes(part(bytes, 16));
    let attempt = u32::from_le_bytes(part(bytes, 24));
    Ok(Header { payload_bytes, position, time_us, attempt, kind })
}

/// Returns `true` if the checksum in a header is that of the record.
pub(crate) fn is_intact(header: &[u8; HEADER], payload: &[u8]) -> bool {
    u32::from_le_bytes(part(header, 4)) == checksum(header, payload)
}

fn checksum(header: &[u8; HEADER], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[0..4]);
    hasher.update(&header[8..]);
    hasher.update(payload);
    hasher.finalize()
}

fn part<const N: usize>(bytes: &[u8; HEADER], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Header {
        Header { payload_bytes: 3, position: 64, time_us: -5, attempt: 2, kind: Kind::Stderr }
    }

    fn header_of(bytes: &[u8]) -> [u8; HEADER] {
        bytes[..HEADER].try_into().unwrap()
    }

    #[test]
    fn bytes_of_a_record_are_as_documented() {
        let mut bytes = Vec::new();
        encode(&example(), b"abc", &mut bytes);
        let expected = [
            &[3, 0, 0, 0][..],
            &bytes[4..8],
            &[64, 0, 0, 0, 0, 0, 0, 0],
            &[0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[2, 0, 0, 0, 2],
            b"EJ\x01abc",
        ];
        assert_eq!(bytes, expected.concat());
        let header = header_of(&bytes);
        assert_eq!(decode(&header, 64), Ok(example()));
        assert!(is_intact(&header, b"abc"));
        assert!(!is_intact(&header, b"abd"));
    }

    #[test]
    fn header_of_another_place_or_version_is_told() {
        let mut bytes = Vec::new();
        encode(&example(), b"abc", &mut bytes);
        let mut header = header_of(&bytes);
        assert_eq!(decode(&header, 65), Err(NoHeader::Foreign));
        assert_eq!(decode(&[0; HEADER], 0), Err(NoHeader::Foreign));
        header[31] = 2;
        assert_eq!(decode(&header, 64), Err(NoHeader::Newer));
        header[31] = 1;
        header[28] = 9;
        assert_eq!(decode(&header, 64), Err(NoHeader::Newer));
        header[28] = 1;
        header[3] = 1;
        assert_eq!(decode(&header, 64), Err(NoHeader::Length));
    }
}
