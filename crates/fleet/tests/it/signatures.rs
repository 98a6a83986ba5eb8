//! Who may say what: what is forged, moved or damaged is ignored by all readers.

use std::collections::BTreeMap;

use bytes::Bytes;
use execution_engine_fleet::{
    Certificate, Effect, Illegal, KeyError, KeyKind, Lane, LogSubject, Pool, Record, RecordError,
    Seed, Share, SignError, Signer, Start, State, Verifier, certify, encode,
};
use uuid::Uuid;

use crate::records::{cancel, claim, end, expired, hold, lost, start, subject, ticket};

pub(crate) const NOW: u64 = 1_000;

/// A pool with the signing key of its workers.
pub(crate) struct Fleet {
    pool_key: Seed,
    pool: Pool,
}

impl Fleet {
    pub(crate) fn new(name: &str, tenants: &[&str]) -> Self {
        let pool_key = Seed::new(KeyKind::Pool);
        let share = Share { weight: 1, running: 1 };
        let tenants = tenants.iter().map(|tenant| ((*tenant).to_owned(), share.clone()));
        let pool = Pool {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            classes: Vec::new(),
            sealing: Vec::new(),
            signing: vec![pool_key.public().to_owned()],
            tenants: tenants.collect(),
        };
        Self { pool_key, pool }
    }

    fn certificate(&self, worker: &Seed, pool: &str) -> Bytes {
        let key = worker.public().to_owned();
        let certificate = Certificate { key, pool: pool.to_owned(), not_after_ms: NOW + 1 };
        certify(&self.pool_key, &certificate).unwrap()
    }

    pub(crate) fn worker(&self) -> Signer {
        let key = Seed::new(KeyKind::Worker);
        Signer::new(&key, &self.certificate(&key, &self.pool.name)).unwrap()
    }

    pub(crate) fn verifier(&self) -> Verifier {
        Verifier::new("blue", std::slice::from_ref(&self.pool)).unwrap()
    }
}

fn own_claim(key: &str) -> Record {
    claim(1, 2, key, ticket())
}

fn own_start(key: &str) -> Start {
    start(1, 2, 1, key)
}

#[test]
fn a_worker_signs_what_is_its_own() {
    let fleet = Fleet::new("linux", &["blue"]);
    let (worker, other, verifier) = (fleet.worker(), fleet.worker(), fleet.verifier());
    let (own, its) = (worker.key(), other.key());
    let cases = [
        (own_claim(own), true),
        (own_claim(its), false),
        (own_claim(""), false),
        (hold(own_start(own)), true),
        (hold(own_start(its)), false),
        (end(own_start(own), 0), true),
        (end(own_start(its), 0), false),
        // Any worker says that one is lost.
        (lost(own_start(own)), true),
        (lost(own_start(its)), true),
        (expired(Some(own_start(its))), true),
        (cancel(), true),
    ];
    for (record, is_taken) in cases {
        let bytes = worker.sign(&subject(), &record, NOW).unwrap();
        let opened = verifier.open(&subject(), &bytes);
        assert_eq!(opened.is_ok(), is_taken, "{record:?}");
        assert!(opened.is_err() || opened == Ok(record));
    }
}

#[test]
fn without_a_signature_a_client_may_only_cancel() {
    let fleet = Fleet::new("linux", &["blue"]);
    let (key, verifier) = (fleet.worker().key().to_owned(), fleet.verifier());
    for record in [
        own_claim(&key),
        own_claim(""),
        hold(own_start(&key)),
        end(own_start(&key), 0),
        lost(own_start(&key)),
        expired(Some(own_start(&key))),
    ] {
        let opened = verifier.open(&subject(), &encode(&record).unwrap());
        assert!(matches!(opened, Err(RecordError::Unsigned { .. })), "{opened:?}");
        assert_eq!(Verifier::unsigned().open(&subject(), &encode(&record).unwrap()), Ok(record));
    }
    assert_eq!(verifier.open(&subject(), &encode(&cancel()).unwrap()), Ok(cancel()));
}

#[test]
fn a_record_counts_in_its_place_alone() {
    let fleet = Fleet::new("linux", &["blue"]);
    let (worker, verifier) = (fleet.worker(), fleet.verifier());
    let bytes = worker.sign(&subject(), &own_claim(worker.key()), NOW).unwrap();
    let moved = [
        LogSubject { tenant: "red".to_owned(), ..subject() },
        LogSubject { id: Uuid::from_u128(2), ..subject() },
        LogSubject { lane: Lane::Input, ..subject() },
    ];
    for subject in moved {
        let opened = verifier.open(&subject, &bytes);
        assert!(matches!(opened, Err(RecordError::Unsigned { .. })), "{subject:?}: {opened:?}");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        let opened = verifier.open(&subject(), &changed);
        // The first byte is the version; a later one stops the reader.
        assert!(opened.is_err(), "byte {at}");
        assert!(verifier.open(&subject(), &bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_certificate_is_for_one_pool() {
    let fleet = Fleet::new("linux", &["blue"]);
    let stranger = Fleet::new("linux", &["blue"]);
    let red = Fleet::new("red", &["red"]);
    let key = Seed::new(KeyKind::Worker);
    let own = fleet.certificate(&key, "linux");
    let pools = [fleet.pool.clone(), red.pool.clone()];
    let verifier = Verifier::new("blue", &pools).unwrap();
    let cases = [
        (own, true),
        // By a key that is not of the fleet, for another pool, and of a pool for other tenants.
        (stranger.certificate(&key, "linux"), false),
        (fleet.certificate(&key, "red"), false),
        (red.certificate(&key, "red"), false),
        (red.certificate(&key, "linux"), false),
    ];
    for (certificate, is_taken) in cases {
        let worker = Signer::new(&key, &certificate).unwrap();
        let bytes = worker.sign(&subject(), &own_claim(worker.key()), NOW).unwrap();
        assert_eq!(verifier.open(&subject(), &bytes).is_ok(), is_taken);
    }
}

#[test]
fn keys_and_certificates_must_fit() {
    let fleet = Fleet::new("linux", &["blue"]);
    let (key, other) = (Seed::new(KeyKind::Worker), Seed::new(KeyKind::Worker));
    let certificate = fleet.certificate(&key, "linux");
    let error = Signer::new(&other, &certificate).unwrap_err();
    assert_eq!(error, SignError::OtherKey { key: other.public().to_owned() });
    let kind = SignError::Key(KeyError::Kind { needed: KeyKind::Worker });
    assert_eq!(Signer::new(&fleet.pool_key, &certificate).unwrap_err(), kind);

    let worker = Signer::new(&key, &certificate).unwrap();
    assert!(worker.sign(&subject(), &cancel(), NOW + 1).is_ok());
    let over = worker.sign(&subject(), &cancel(), NOW + 2);
    assert_eq!(over.unwrap_err(), SignError::Over { key: key.public().to_owned() });
    assert_eq!(format!("{worker:?}"), format!("Signer({:?})", key.public()));

    let mut pool = fleet.pool.clone();
    pool.signing = vec![key.public().to_owned()];
    assert!(matches!(Verifier::new("blue", &[pool]), Err(KeyError::Public { .. })));
}

#[test]
fn a_forged_record_changes_nothing() {
    let fleet = Fleet::new("linux", &["blue"]);
    let (worker, other, verifier) = (fleet.worker(), fleet.worker(), fleet.verifier());
    let sign = |signer: &Signer, record| signer.sign(&subject(), &record, NOW).unwrap();
    let mut state = State::new(1);
    let mut apply = |seq, bytes: &[u8]| state.apply_bytes(&verifier, &subject(), seq, bytes);
    assert_eq!(apply(1, &sign(&worker, own_claim(worker.key()))), Ok(Effect::Claimed));
    let unsigned = Ok(Effect::Ignored(Illegal::Unsigned));
    assert_eq!(apply(2, &encode(&end(own_start(worker.key()), 0)).unwrap()), unsigned);
    assert_eq!(apply(3, &sign(&other, end(own_start(worker.key()), 0))), unsigned);
    // It signs as itself, and is not the start.
    let illegal = Ok(Effect::Ignored(Illegal::OtherStart));
    assert_eq!(apply(4, &sign(&other, end(own_start(other.key()), 0))), illegal);
    assert_eq!(apply(5, &sign(&worker, end(own_start(worker.key()), 0))), Ok(Effect::Decided));
}
