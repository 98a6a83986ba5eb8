//! The directory of keys that `exeng fleet init` makes.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use execution_engine_fleet::{Certificate, KeyKind, PLANS_POOL, Pool, SealingKey, Seed, certify};

use crate::failure::Failure;
use crate::fleet::key_file;
use crate::message;

/// How long workers may sign with the certificate that is made.
const VALID: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Name of the key that plans are sealed to.
const PLANS_KEY: &str = "_plans-1";

/// A directory with the keys of pools and of their workers.
pub(super) struct KeyDir(PathBuf);

impl KeyDir {
    /// Names it. It is made with the first key.
    pub(super) fn new(dir: &Path) -> Self {
        Self(dir.to_path_buf())
    }

    /// Makes it, for its owner alone, if it is not there.
    fn make(&self) -> Result<(), Failure> {
        match DirBuilder::new().mode(0o700).create(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Failure::new(
                format!("--keys: the directory {} cannot be made: {error}", self.0.display()),
            )),
            _ => Ok(()),
        }
    }

    /// Returns the pool with the public halves of its keys. Makes keys that are not there.
    /// Workers have that of the pool of plans, too.
    pub(super) fn equip(&self, mut pool: Pool, plans: Option<&Seed>) -> Result<Pool, Failure> {
        let signing = self.signing_key(&pool)?;
        let public = signing.public().to_owned();
        match &pool.signing[..] {
            [] => pool.signing.push(public),
            known if known.contains(&public) => return Ok(pool),
            _ => {
                let what = format_args!(
                    "is not the key of pool {}; name the directory that has it",
                    pool.name
                );
                return Err(failed(&self.file("pool", &pool.name), what));
            }
        }
        let of_worker = self.file("worker", &pool.name);
        match of_worker.exists() {
            true => {
                pool.sealing = key_file::sealing_keys(&of_worker)?;
                pool.sealing.retain(|key| key.id != PLANS_KEY);
            }
            false => pool.sealing.push(self.make_worker_key(&pool.name, &signing, plans)?),
        }
        Ok(pool)
    }

    /// Returns the private key that plans are sealed to. Makes it if the pool of plans has none.
    pub(super) fn plans_key(&self, pool: &mut Pool) -> Result<Seed, Failure> {
        let file = self.file("pool", PLANS_POOL);
        let is_known = !pool.sealing.is_empty();
        let seed = match fs::read_to_string(&file) {
            Ok(text) => Seed::parse(&text).map_err(|error| failed(&file, error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_known => {
                let seed = Seed::new(KeyKind::Sealing);
                self.make()?;
                write(&file, seed.expose())?;
                seed
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(failed(&file, "is not there; name the directory that has it"));
            }
            Err(error) => return Err(failed(&file, error)),
        };
        let key = SealingKey { id: PLANS_KEY.to_owned(), public: seed.public().to_owned() };
        match is_known {
            true if !pool.sealing.contains(&key) => {
                Err(failed(&file, "is not the key of the plans; name the directory that has it"))
            }
            true => Ok(seed),
            false => {
                pool.sealing.push(key);
                Ok(seed)
            }
        }
    }

    /// Returns the private key that certifies workers of a pool. Makes it if the pool has none.
    fn signing_key(&self, pool: &Pool) -> Result<Seed, Failure> {
        let file = self.file("pool", &pool.name);
        match fs::read_to_string(&file) {
            Ok(text) => Seed::parse(&text).map_err(|error| failed(&file, error)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&file, error)),
            Err(_) if !pool.signing.is_empty() => {
                let what = format_args!(
                    "is not there, and pool {} has another key; name the directory that has it",
                    pool.name
                );
                Err(failed(&file, what))
            }
            Err(_) => {
                let seed = Seed::new(KeyKind::Pool);
                self.make()?;
                write(&file, seed.expose())?;
                Ok(seed)
            }
        }
    }

    /// Makes the file with the keys of the workers of a pool, and returns the public half of the one
    /// that values are sealed to.
    fn make_worker_key(
        &self,
        pool: &str,
        signing: &Seed,
        plans: Option<&Seed>,
    ) -> Result<SealingKey, Failure> {
        let of_worker = self.file("worker", pool);
        let (worker, sealing) = (Seed::new(KeyKind::Worker), Seed::new(KeyKind::Sealing));
        let id = format!("{pool}-1");
        let until = SystemTime::now() + VALID;
        let until = until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let certificate = Certificate {
            key: worker.public().to_owned(),
            pool: pool.to_owned(),
            not_after_ms: u64::try_from(until.as_millis()).unwrap_or(u64::MAX),
        };
        let certificate = certify(signing, &certificate).map_err(Failure::new)?;
        let public = sealing.public().to_owned();
        let mut seeds = BTreeMap::from([(id.clone(), &sealing)]);
        seeds.extend(plans.map(|plans| (PLANS_KEY.to_owned(), plans)));
        write(&of_worker, &key_file::text(pool, &worker, &certificate, &seeds)?)?;
        message::note(format!(
            "keys of pool {pool}: {} stays here, {} goes to its workers (exeng worker --keys) and is good for a year",
            self.file("pool", pool).display(),
            of_worker.display(),
        ));
        Ok(SealingKey { id, public })
    }

    fn file(&self, of: &str, pool: &str) -> PathBuf {
        self.0.join(format!("{of}-{pool}.keys"))
    }
}

fn failed(file: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("--keys: {}: {why}", file.display()))
}

/// Writes a new file that its owner alone can read.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    opened
        .and_then(|mut opened| {
            opened.write_all(text.as_bytes())?;
            opened.sync_all()
        })
        .map_err(|error| failed(file, error))
}
