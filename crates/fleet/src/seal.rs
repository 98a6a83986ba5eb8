//! Sealed values: only workers of the pool can read them, and only for the execution they are of.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use nkeys::XKey;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::keys::{KeyError, Seed, sealing_key};
use crate::pool::{Pool, SealingKey};
use crate::record::Sealed;

/// What sealed bytes are of. They open for nothing else, so that a copy in another ticket is useless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedFor<'a> {
    /// For whom it runs.
    pub tenant: &'a str,
    /// The execution.
    pub id: Uuid,
    /// Which of its parts.
    pub part: SealedPart,
}

/// A part of an execution that may be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedPart {
    /// Values in the ticket.
    Ticket,
    /// Input from a place on, as the program reads it.
    Input {
        /// How many bytes come before.
        from: u64,
    },
}

/// Error of bytes that could not be sealed or opened. It has none of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The pool has no key to seal to.
    #[error(
        "pool {pool:?} has no sealing key; add one, or send no values of environments and no stdin"
    )]
    NoKey {
        /// The pool.
        pool: String,
    },
    /// A key is not the one that is needed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The worker does not have the key.
    #[error(
        "the values are sealed to key {key_id:?}, which this worker does not have; it has {}. Give it \
         the private half, or remove the key from the pool",
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    UnknownKey {
        /// The key.
        key_id: String,
        /// The keys of the worker.
        known: Vec<String>,
    },
    /// The bytes are damaged, or of another execution.
    #[error(
        "the values sealed to key {key_id:?} do not open: they are damaged, or of another execution"
    )]
    Damaged {
        /// The key.
        key_id: String,
    },
}

/// Length of the text of a public key, which comes before the sealed bytes.
const PUBLIC_BYTES: usize = 56;

/// Returns bytes sealed to the first sealing key of a pool.
///
/// # Errors
///
/// [`SealError`] if the pool has none, or its text is no key.
///
/// ```
/// use execution_engine_fleet::{KeyKind, Opener, SealedFor, SealedPart, SealingKey, Seed, seal_to};
/// use uuid::Uuid;
///
/// let seed = Seed::new(KeyKind::Sealing);
/// let key = SealingKey { id: "2026".into(), public: seed.public().into() };
/// let of = SealedFor { tenant: "blue", id: Uuid::from_u128(1), part: SealedPart::Ticket };
///
/// let sealed = seal_to(&key, of, b"TOKEN=x").unwrap();
/// let opener = Opener::new([("2026".to_owned(), &seed)]).unwrap();
/// assert_eq!(*opener.open(of, &sealed).unwrap(), b"TOKEN=x");
/// // In the ticket of another execution they do not open.
/// assert!(opener.open(SealedFor { id: Uuid::from_u128(2), ..of }, &sealed).is_err());
/// ```
pub fn seal(pool: &Pool, of: SealedFor<'_>, bytes: &[u8]) -> Result<Sealed, SealError> {
    let no_key = || SealError::NoKey { pool: pool.name.clone() };
    seal_to(pool.sealing.first().ok_or_else(no_key)?, of, bytes)
}

/// Returns bytes sealed to a key.
///
/// # Errors
///
/// [`SealError::Key`] if its text is no sealing key.
pub fn seal_to(key: &SealingKey, of: SealedFor<'_>, bytes: &[u8]) -> Result<Sealed, SealError> {
    let recipient = sealing_key(&key.public)?;
    // A sender of its own for each box: it is wiped, so that no client can open what it sealed.
    let sender = XKey::new();
    let plain = Zeroizing::new([&header(of)[..], bytes].concat());
    let damaged = |_| SealError::Damaged { key_id: key.id.clone() };
    let sealed = sender.seal(&plain, &recipient).map_err(damaged)?;
    let bytes = [sender.public_key().as_bytes(), &sealed].concat();
    Ok(Sealed { key_id: key.id.clone(), bytes: Bytes::from(bytes) })
}

/// Returns what comes before the bytes in a box. A name has no zero byte.
fn header(of: SealedFor<'_>) -> Vec<u8> {
    let (part, from) = match of.part {
        SealedPart::Ticket => (b't', 0),
        SealedPart::Input { from } => (b'i', from),
    };
    [of.id.as_bytes(), &[part][..], &from.to_be_bytes(), of.tenant.as_bytes(), b"\0"].concat()
}

/// Opens what is sealed, with the private keys of a worker. They are wiped when it is dropped, and
/// `Debug` shows their names alone.
pub struct Opener(BTreeMap<String, XKey>);

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opener").field(&self.0.keys()).finish()
    }
}

impl Opener {
    /// Creates one with private keys and their names in the pool.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if one is not a sealing key.
    pub fn new<'a>(keys: impl IntoIterator<Item = (String, &'a Seed)>) -> Result<Self, KeyError> {
        let keys = keys.into_iter().map(|(id, seed)| Ok((id, seed.opening_key()?)));
        Ok(Self(keys.collect::<Result<_, KeyError>>()?))
    }

    /// Returns whether the worker has the key of this name.
    pub fn has(&self, key_id: &str) -> bool {
        self.0.contains_key(key_id)
    }

    /// Returns what was sealed. It is wiped when dropped.
    ///
    /// # Errors
    ///
    /// [`SealError::UnknownKey`] if the worker does not have the key, and [`SealError::Damaged`] if
    /// it was not sealed to this key, or for something else.
    pub fn open(
        &self,
        of: SealedFor<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let Sealed { key_id, bytes } = sealed;
        let key = self.0.get(key_id).ok_or_else(|| SealError::UnknownKey {
            key_id: key_id.clone(),
            known: self.0.keys().cloned().collect(),
        })?;
        open_with(key, of, bytes).ok_or_else(|| SealError::Damaged { key_id: key_id.clone() })
    }
}

fn open_with(key: &XKey, of: SealedFor<'_>, bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (sender, sealed) = bytes.split_at_checked(PUBLIC_BYTES)?;
    let sender = XKey::from_public_key(std::str::from_utf8(sender).ok()?).ok()?;
    let plain = Zeroizing::new(key.open(sealed, &sender).ok()?);
    let bytes = plain.strip_prefix(&header(of)[..])?;
    Some(Zeroizing::new(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyKind;

    fn of(tenant: &str, id: u128, part: SealedPart) -> SealedFor<'_> {
        SealedFor { tenant, id: Uuid::from_u128(id), part }
    }

    #[test]
    fn a_box_opens_for_its_execution_and_key_alone() {
        let seed = Seed::new(KeyKind::Sealing);
        let key = SealingKey { id: "k1".to_owned(), public: seed.public().to_owned() };
        let ticket = of("blue", 1, SealedPart::Ticket);
        let sealed = seal_to(&key, ticket, b"secret").unwrap();
        assert!(!sealed.bytes.windows(6).any(|window| window == b"secret"));
        let opener = Opener::new([("k1".to_owned(), &seed)]).unwrap();
        assert_eq!(**opener.open(ticket, &sealed).unwrap(), *b"secret");
        let input = SealedPart::Input { from: 0 };
        let others = [
            of("red", 1, SealedPart::Ticket),
            of("blu", 1, SealedPart::Ticket),
            of("blue", 2, SealedPart::Ticket),
            of("blue", 1, input),
        ];
        for other in others {
            assert!(opener.open(other, &sealed).is_err(), "{other:?}");
        }
        let other_seed = Seed::new(KeyKind::Sealing);
        let other = Opener::new([("k1".to_owned(), &other_seed)]).unwrap();
        let damaged = SealError::Damaged { key_id: "k1".to_owned() };
        assert_eq!(other.open(ticket, &sealed).unwrap_err(), damaged);
        for at in 0..sealed.bytes.len() {
            let mut bytes = sealed.bytes.to_vec();
            bytes[at] ^= 1;
            let changed = Sealed { bytes: bytes.into(), ..sealed.clone() };
            assert_eq!(opener.open(ticket, &changed).unwrap_err(), damaged);
            let cut = Sealed { bytes: sealed.bytes.slice(..at), ..sealed.clone() };
            assert_eq!(opener.open(ticket, &cut).unwrap_err(), damaged);
        }
    }

    #[test]
    fn an_unknown_key_is_named() {
        let seed = Seed::new(KeyKind::Sealing);
        let opener = Opener::new([("old".to_owned(), &seed)]).unwrap();
        let sealed = Sealed { key_id: "new".to_owned(), bytes: Bytes::new() };
        let error = opener.open(of("blue", 1, SealedPart::Ticket), &sealed).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("key \"new\"") && text.contains("it has old"), "{text}");
        assert_eq!(format!("{opener:?}"), "Opener([\"old\"])");
    }
}
