//! The keys of a worker in a file, in TOML:
//!
//! ```toml
//! pool = "default"
//! worker = "SU.."          # seed of the key that signs its records
//! certificate = ".."       # what the signing key of the pool says of it, in Base64
//! [sealing]
//! default-1 = "SX.."       # seeds of the keys that values are sealed to
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use execution_engine_fleet::{Opener, SealingKey, Seed, Signer};
use serde::Deserialize;

use crate::failure::Failure;

/// The keys of a worker, as text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    pool: String,
    worker: String,
    certificate: String,
    #[serde(default)]
    sealing: BTreeMap<String, String>,
}

/// The keys of a worker.
pub(super) struct Keys {
    /// The pool that its certificate is for.
    pub(super) pool: Option<String>,
    pub(super) signer: Signer,
    pub(super) opener: Opener,
}

impl Keys {
    /// Returns those of a worker that signs nothing and opens nothing.
    pub(super) fn none() -> Result<Self, Failure> {
        let opener = Opener::new([]).map_err(Failure::new)?;
        Ok(Self { pool: None, signer: Signer::unsigned(), opener })
    }

    /// Reads a file, which no other user may be able to read.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let text = read(file)?;
        let certificate = BASE64_STANDARD.decode(&text.certificate);
        let certificate = certificate.map_err(|_| failed(file, "its certificate is not Base64"))?;
        let signer = Signer::new(&seed(file, &text.worker)?, &Bytes::from(certificate));
        let sealing = seeds(file, &text)?;
        let opener = Opener::new(sealing.iter().map(|(id, seed)| (id.clone(), seed)));
        Ok(Self {
            pool: Some(text.pool),
            signer: signer.map_err(|error| failed(file, error))?,
            opener: opener.map_err(|error| failed(file, error))?,
        })
    }
}

/// Returns the text of a file of keys.
pub(super) fn text(
    pool: &str,
    worker: &Seed,
    certificate: &Bytes,
    sealing: &BTreeMap<String, &Seed>,
) -> Result<String, Failure> {
    // Strings of JSON without escapes are strings of TOML.
    let quoted = |text: &str| serde_json::to_string(text).map_err(Failure::new);
    let mut lines = format!(
        "# Keys of workers of a pool. They are secret.\npool = {}\nworker = {}\ncertificate = {}\n[sealing]\n",
        quoted(pool)?,
        quoted(worker.expose())?,
        quoted(&BASE64_STANDARD.encode(certificate))?,
    );
    for (id, seed) in sealing {
        lines.push_str(&format!("{id} = {}\n", quoted(seed.expose())?));
    }
    Ok(lines)
}

/// Returns the public halves of the keys of a file that values are sealed to.
pub(super) fn sealing_keys(file: &Path) -> Result<Vec<SealingKey>, Failure> {
    let seeds = seeds(file, &read(file)?)?.into_iter();
    Ok(seeds.map(|(id, seed)| SealingKey { id, public: seed.public().to_owned() }).collect())
}

/// Neither a key nor a line of the file is in an error.
fn failed(file: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("--keys: {}: {why}", file.display()))
}

fn read(file: &Path) -> Result<Text, Failure> {
    let mode = fs::metadata(file).map_err(|error| failed(file, error))?.permissions().mode();
    if mode & 0o077 != 0 {
        let mode = mode & 0o777;
        return Err(failed(
            file,
            format_args!("others may read it (mode {mode:o}); make it yours alone: chmod 600"),
        ));
    }
    let text = fs::read_to_string(file).map_err(|error| failed(file, error))?;
    let read = toml::from_str(&text);
    read.map_err(|error| failed(file, format_args!("it is no file of keys: {}", error.message())))
}

fn seed(file: &Path, text: &str) -> Result<Seed, Failure> {
    Seed::parse(text).map_err(|error| failed(file, error))
}

fn seeds(file: &Path, text: &Text) -> Result<BTreeMap<String, Seed>, Failure> {
    text.sealing.iter().map(|(id, text)| Ok((id.clone(), seed(file, text)?))).collect()
}
