//! Signatures of records: who may say what.
//!
//! Clients and workers both write the decisions of an execution. So the records of workers are signed
//! with the key of the worker, which a signing key of the pool has certified. The signature is also for
//! the execution, so that a record counts in no other place than its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use ed25519_dalek::{Signature, Signer as _, SigningKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cluster::{Lane, LogSubject};
use crate::keys::{KeyError, KeyKind, Seed, verifying_key};
use crate::name::check_name;
use crate::pool::Pool;
use crate::record::Record;
use crate::wire::{FORMAT_VERSION, MAX_RECORD_BYTES, RecordError, SIGNED, decode, encode};

/// What a signing key of a pool says of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Public key of the worker.
    pub key: String,
    /// The pool whose executions it may run.
    pub pool: String,
    /// The worker signs nothing after this moment, in milliseconds since 1970-01-01 UTC.
    pub not_after_ms: u64,
}

/// A certificate as it lies in records and in the file of a worker.
#[derive(Serialize, Deserialize)]
struct Certified {
    /// CBOR of the [`Certificate`].
    certificate: Bytes,
    /// Public signing key of the pool.
    by: String,
    signature: Bytes,
}

/// A record with its signature.
#[derive(Serialize, Deserialize)]
struct Envelope {
    /// CBOR of [`Certified`].
    certificate: Bytes,
    /// When it was signed, by the clock of the worker.
    at_ms: u64,
    signature: Bytes,
    /// The record with its version.
    record: Bytes,
}

/// Returns the certificate of a worker's key, signed with the signing key of its pool.
///
/// # Errors
///
/// [`SignError`] if a key is for something else, or the pool's name is none.
pub fn certify(pool_key: &Seed, certificate: &Certificate) -> Result<Bytes, SignError> {
    check_name("pool", &certificate.pool).map_err(RecordError::from)?;
    verifying_key(&certificate.key, KeyKind::Worker)?;
    let key = pool_key.signing_key(KeyKind::Pool)?;
    let by = pool_key.public().to_owned();
    let certificate = to_bytes(certificate)?;
    let signature = Bytes::copy_from_slice(&key.sign(&certificate_text(&certificate)).to_bytes());
    Ok(to_bytes(&Certified { certificate, by, signature })?)
}

/// Error of a record or a certificate that could not be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// A key is not the one that is needed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The record is not valid, or the bytes are no certificate.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The certificate is for another key.
    #[error("the certificate of the worker is for another key; ask for one for {key}")]
    OtherKey {
        /// Public key of the worker.
        key: String,
    },
    /// The certificate is too old.
    #[error(
        "the certificate of key {key} is over; ask for a new one, and start the worker with it"
    )]
    Over {
        /// Public key of the worker.
        key: String,
    },
}

/// Signs the records of one worker. `Debug` shows its public key alone.
pub struct Signer(Option<Keys>);

struct Keys {
    key: SigningKey,
    public: String,
    certificate: Bytes,
    not_after_ms: u64,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.key()).finish()
    }
}

impl Signer {
    /// Creates one for a fleet without signatures.
    pub fn unsigned() -> Self {
        Self(None)
    }

    /// Creates one with the private key of the worker and its certificate, as [`certify`] returns it.
    ///
    /// # Errors
    ///
    /// [`SignError`] if they do not belong together.
    pub fn new(worker_key: &Seed, certificate: &Bytes) -> Result<Self, SignError> {
        let key = worker_key.signing_key(KeyKind::Worker)?;
        let public = worker_key.public().to_owned();
        let certified: Certified = from_bytes(certificate)?;
        let Certificate { key: certified, not_after_ms, .. } = from_bytes(&certified.certificate)?;
        if certified != public {
            return Err(SignError::OtherKey { key: public });
        }
        Ok(Self(Some(Keys { key, public, certificate: certificate.clone(), not_after_ms })))
    }

    /// Returns the public key, for [`Claim::key`](crate::Claim::key); empty without signatures.
    pub fn key(&self) -> &str {
        self.0.as_ref().map_or("", |keys| &keys.public)
    }

    /// Returns the moment after which nothing is signed, in milliseconds since 1970-01-01 UTC; `None` if that is
    /// never.
    pub fn not_after_ms(&self) -> Option<u64> {
        self.0.as_ref().map(|keys| keys.not_after_ms)
    }

    /// Returns the bytes of a record for a subject. `now_ms` is in milliseconds since 1970-01-01 UTC.
    ///
    /// # Errors
    ///
    /// [`SignError::Record`] if the record is not valid or too long, and [`SignError::Over`] if the
    /// certificate is.
    pub fn sign(
        &self,
        subject: &LogSubject,
        record: &Record,
        now_ms: u64,
    ) -> Result<Bytes, SignError> {
        let record = Bytes::from(encode(record)?);
        let Some(keys) = &self.0 else { return Ok(record) };
        if now_ms > keys.not_after_ms {
            return Err(SignError::Over { key: keys.public.clone() });
        }
        let text = record_text(subject, now_ms, &record);
        let signature = Bytes::copy_from_slice(&keys.key.sign(&text).to_bytes());
        let certificate = keys.certificate.clone();
        let body = to_bytes(&Envelope { certificate, at_ms: now_ms, signature, record })?;
        let bytes = [&[FORMAT_VERSION | SIGNED][..], &body].concat();
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(RecordError::TooLong { bytes: bytes.len() }.into());
        }
        Ok(bytes.into())
    }
}

/// Checks the records of the executions of one tenant.
///
/// What it takes follows from the record and the signing keys of the pools, and from no clock: so all
/// readers with the same pools ignore the same records. A worker can forge the records of the
/// executions of each tenant that its pool serves, and a worker whose certificate is over could set its
/// clock back: against that, replace the signing key of the pool.
#[derive(Debug, Clone)]
pub struct Verifier(Option<BTreeMap<String, BTreeSet<String>>>);

impl Verifier {
    /// Creates one for a fleet without signatures: it takes all valid records.
    pub fn unsigned() -> Self {
        Self(None)
    }

    /// Creates one for a tenant from the pools of the fleet. If no pool that serves the tenant has a
    /// signing key, it is [`unsigned`](Self::unsigned).
    ///
    /// # Errors
    ///
    /// [`KeyError`] if a signing key of a pool is none, or if some pools of the tenant have one and others do
    /// not: what the others run would never end for its reader.
    pub fn new(tenant: &str, pools: &[Pool]) -> Result<Self, KeyError> {
        let mut keys = BTreeMap::<String, BTreeSet<String>>::new();
        let of_tenant = || pools.iter().filter(|pool| pool.tenants.contains_key(tenant));
        let with = of_tenant().find(|pool| !pool.signing.is_empty());
        let without = of_tenant().find(|pool| pool.signing.is_empty());
        if let (Some(with), Some(without)) = (with, without) {
            let (with, without) = (with.name.clone(), without.name.clone());
            return Err(KeyError::Mixed { tenant: tenant.to_owned(), with, without });
        }
        for pool in of_tenant() {
            for key in &pool.signing {
                verifying_key(key, KeyKind::Pool)?;
                keys.entry(key.clone()).or_default().insert(pool.name.clone());
            }
        }
        Ok(Self((!keys.is_empty()).then_some(keys)))
    }

    /// Returns the record that bytes of a subject hold.
    ///
    /// # Errors
    ///
    /// As [`decode`], and [`RecordError::Unsigned`] if a record of a worker does not have the
    /// signature of this worker. All but [`RecordError::Newer`] are ignored by all readers.
    pub fn open(&self, subject: &LogSubject, bytes: &[u8]) -> Result<Record, RecordError> {
        if bytes.first().is_none_or(|version| version & SIGNED == 0) {
            let record = match decode(bytes) {
                // What a forger calls a later version stops no reader.
                Err(RecordError::Newer { .. }) if self.0.is_some() => {
                    return Err(unsigned("it is of a later version without a signature"));
                }
                decoded => decoded?,
            };
            let is_open = self.0.is_none() || !is_of_worker(&record);
            return if is_open { Ok(record) } else { Err(unsigned("it has no signature")) };
        }
        let envelope = open_envelope(bytes)?;
        let Some(keys) = &self.0 else { return decode(&envelope.record) };
        let certificate = check_certificate(keys, &envelope.certificate)?;
        if envelope.at_ms > certificate.not_after_ms {
            return Err(unsigned("its certificate was over"));
        }
        let text = record_text(subject, envelope.at_ms, &envelope.record);
        check(&certificate.key, KeyKind::Worker, &text, &envelope.signature)?;
        // Not before: what a forger calls a later version stops no reader.
        let record = decode(&envelope.record)?;
        match author(&record) {
            Some(author) if author != certificate.key => Err(unsigned("it is of another worker")),
            _ => Ok(record),
        }
    }
}

/// Returns `true` if a worker alone may write it.
fn is_of_worker(record: &Record) -> bool {
    !matches!(record, Record::Cancel(_) | Record::Unknown)
}

/// Returns the key of the one worker that may write it; `None` if any may.
fn author(record: &Record) -> Option<&str> {
    match record {
        Record::Claim(claim) => Some(&claim.key),
        Record::Hold(hold) => Some(&hold.start.key),
        Record::End(end) => Some(&end.start.key),
        Record::Lost(_) | Record::Expired(_) | Record::Cancel(_) | Record::Unknown => None,
    }
}

fn open_envelope(bytes: &[u8]) -> Result<Envelope, RecordError> {
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(RecordError::TooLong { bytes: bytes.len() });
    }
    match bytes.split_first() {
        Some((version, body)) if version & !SIGNED == FORMAT_VERSION => from_bytes(body),
        Some((version, _)) if version & !SIGNED > FORMAT_VERSION => {
            Err(RecordError::Newer { version: version & !SIGNED })
        }
        _ => Err(RecordError::Damaged { what: "there is no version 0".to_owned() }),
    }
}

fn check_certificate(
    keys: &BTreeMap<String, BTreeSet<String>>,
    bytes: &[u8],
) -> Result<Certificate, RecordError> {
    let Certified { certificate, by, signature } = from_bytes(bytes)?;
    let pools = keys.get(&by).ok_or_else(|| unsigned("its certificate is not of the pools"))?;
    check(&by, KeyKind::Pool, &certificate_text(&certificate), &signature)?;
    let certificate: Certificate = from_bytes(&certificate)?;
    if !pools.contains(&certificate.pool) {
        return Err(unsigned("its certificate is for another pool"));
    }
    Ok(certificate)
}

fn check(public: &str, kind: KeyKind, text: &[u8], signature: &[u8]) -> Result<(), RecordError> {
    let key = verifying_key(public, kind).map_err(|_| unsigned("its key is none"))?;
    let wrong = |_| unsigned("its signature is wrong");
    let signature = Signature::from_slice(signature).map_err(wrong)?;
    // Strict: all readers decide alike, and one signature is for one key.
    key.verify_strict(text, &signature).map_err(wrong)
}

fn unsigned(what: &'static str) -> RecordError {
    RecordError::Unsigned { what }
}

/// What is signed of a certificate. The first words keep signatures for one thing from another.
fn certificate_text(certificate: &[u8]) -> Vec<u8> {
    [b"execution-engine certificate 1\0", certificate].concat()
}

fn record_text(subject: &LogSubject, at_ms: u64, record: &[u8]) -> Vec<u8> {
    let lane = match subject.lane {
        Lane::Decisions => b's',
        Lane::Output => b'o',
        Lane::Input => b'i',
    };
    // All before the tenant has a fixed length, and a tenant has no zero byte.
    [
        &b"execution-engine record 1\0"[..],
        &at_ms.to_be_bytes(),
        subject.id.as_bytes(),
        &[lane],
        subject.tenant.as_bytes(),
        b"\0",
        record,
    ]
    .concat()
}

fn to_bytes<T: Serialize>(value: &T) -> Result<Bytes, RecordError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes)
        .map_err(|error| RecordError::Damaged { what: error.to_string() })?;
    Ok(bytes.into())
}

fn from_bytes<T: DeserializeOwned>(mut bytes: &[u8]) -> Result<T, RecordError> {
    let damaged = |what: String| RecordError::Damaged { what };
    let value = ciborium::from_reader(&mut bytes).map_err(|error| damaged(error.to_string()))?;
    if bytes.is_empty() {
        Ok(value)
    } else {
        Err(damaged("it has bytes behind its end".to_owned()))
    }
}
