//! Private keys in their text form, and public ones: those of NATS (nkeys).

use std::fmt;

use ed25519_dalek::{SigningKey, VerifyingKey};
use nkeys::{KeyPair, KeyPairType, XKey};
use zeroize::Zeroizing;

/// What a key is for. The first letter of its public half tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Certifies keys of workers: `A`, an account key.
    Pool,
    /// Signs records: `U`, a user key.
    Worker,
    /// Values are sealed to it: `X`, a curve key.
    Sealing,
}

/// The kind as a message names it.
impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pool => "signing key of a pool (A...)",
            Self::Worker => "key of a worker (U...)",
            Self::Sealing => "sealing key of a pool (X...)",
        })
    }
}

/// Error of a text that is not the key that is needed. It never has the text of a private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is no private key.
    #[error(
        "the text is no private key; a private key of NATS begins with S and has 58 characters"
    )]
    Seed,
    /// The private key is for something else.
    #[error("the private key is not a {needed}; use one that is")]
    Kind {
        /// What is needed.
        needed: KeyKind,
    },
    /// Pools of a tenant with keys and without: records of the latter would count for no reader.
    #[error(
        "tenant {tenant} has pool {with} with keys and pool {without} without, whose workers no reader believes; use \
         pools with keys alone or without alone for a tenant"
    )]
    Mixed {
        /// The tenant.
        tenant: String,
        /// A pool that has keys.
        with: String,
        /// One that has none.
        without: String,
    },
    /// The text is no public key of this kind.
    #[error("{public:?} is not a {needed}; use the public half of one")]
    Public {
        /// The first characters of the text.
        public: String,
        /// What is needed.
        needed: KeyKind,
    },
}

/// A private key in its text form. It is wiped when dropped, and is not shown by `Debug`.
///
/// ```
/// use execution_engine_fleet::{KeyKind, Seed};
///
/// let seed = Seed::new(KeyKind::Worker);
/// assert!(seed.public().starts_with('U'));
/// assert!(!format!("{seed:?}").contains(seed.expose()));
/// let same = Seed::parse(seed.expose()).unwrap();
/// assert_eq!(same.public(), seed.public());
/// ```
#[derive(Clone)]
pub struct Seed {
    kind: KeyKind,
    text: Zeroizing<String>,
    public: String,
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Seed {
    /// Creates a new key from the random numbers of the system.
    ///
    /// # Panics
    ///
    /// If the system has no random numbers.
    pub fn new(kind: KeyKind) -> Self {
        let text = match kind {
            KeyKind::Pool => KeyPair::new_account().seed(),
            KeyKind::Worker => KeyPair::new_user().seed(),
            KeyKind::Sealing => XKey::new().seed(),
        };
        text.ok().and_then(|text| Self::parse(&text).ok()).expect("a new key has a seed")
    }

    /// Takes the text of a private key, such as `SUA...`. Spaces around it do not matter.
    ///
    /// # Errors
    ///
    /// [`KeyError::Seed`] if it is none, or one for something else than a fleet has.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let (kind, public) = match text.get(..2) {
            Some("SX") => (KeyKind::Sealing, XKey::from_seed(text).map(|key| key.public_key())),
            Some("SA") => (KeyKind::Pool, KeyPair::from_seed(text).map(|key| key.public_key())),
            Some("SU") => (KeyKind::Worker, KeyPair::from_seed(text).map(|key| key.public_key())),
            _ => return Err(KeyError::Seed),
        };
        let public = public.map_err(|_| KeyError::Seed)?;
        Ok(Self { kind, text: Zeroizing::new(text.to_owned()), public })
    }

    /// Returns the private key as text, to store it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Returns the public half as text.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Returns the key that signs, if it is of this kind.
    pub(crate) fn signing_key(&self, needed: KeyKind) -> Result<SigningKey, KeyError> {
        if self.kind != needed {
            return Err(KeyError::Kind { needed });
        }
        let (_, bytes) = nkeys::decode_seed(&self.text).map_err(|_| KeyError::Seed)?;
        Ok(SigningKey::from_bytes(&Zeroizing::new(bytes)))
    }

    /// Returns the key that opens what is sealed.
    pub(crate) fn opening_key(&self) -> Result<XKey, KeyError> {
        XKey::from_seed(&self.text).map_err(|_| KeyError::Kind { needed: KeyKind::Sealing })
    }
}

/// Returns the public key of a text, if it is one of this kind.
pub(crate) fn verifying_key(public: &str, needed: KeyKind) -> Result<VerifyingKey, KeyError> {
    let wrong = || KeyError::Public { public: public.chars().take(64).collect(), needed };
    let pair = nkeys::from_public_key(public).map_err(|_| wrong())?;
    let kind = match KeyPairType::from(pair.0) {
        KeyPairType::Account => KeyKind::Pool,
        KeyPairType::User => KeyKind::Worker,
        _ => return Err(wrong()),
    };
    if kind != needed {
        return Err(wrong());
    }
    VerifyingKey::from_bytes(&pair.1).map_err(|_| wrong())
}

/// Returns the public sealing key of a text.
pub(crate) fn sealing_key(public: &str) -> Result<XKey, KeyError> {
    let needed = KeyKind::Sealing;
    let wrong = |_| KeyError::Public { public: public.chars().take(64).collect(), needed };
    XKey::from_public_key(public).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_for_one_thing() {
        let kinds = [KeyKind::Pool, KeyKind::Worker, KeyKind::Sealing];
        for kind in kinds {
            let seed = Seed::new(kind);
            for needed in [KeyKind::Pool, KeyKind::Worker] {
                assert_eq!(seed.signing_key(needed).is_ok(), kind == needed, "{kind}");
                assert_eq!(verifying_key(seed.public(), needed).is_ok(), kind == needed, "{kind}");
            }
            assert_eq!(seed.opening_key().is_ok(), kind == KeyKind::Sealing);
            assert_eq!(sealing_key(seed.public()).is_ok(), kind == KeyKind::Sealing);
        }
    }

    #[test]
    fn an_error_has_no_private_key() {
        let seed = Seed::new(KeyKind::Worker);
        let damaged = format!("{}A", &seed.expose()[..57]);
        for text in ["", "S", "SU", &damaged, seed.public(), "SOAB"] {
            if let Err(error) = Seed::parse(text) {
                assert_eq!(error, KeyError::Seed);
                assert!(text.len() < 3 || !error.to_string().contains(text));
            } else {
                // One damaged letter in a thousand may be the right one.
                assert_eq!(text, seed.expose());
            }
        }
        assert!(Seed::parse(&format!(" {}\n", seed.expose())).is_ok());
    }
}
