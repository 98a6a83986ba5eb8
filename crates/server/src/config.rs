//! The configuration file, `config.toml`.

mod http;

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::error::{ErrorCode, ServiceError};
use crate::units::{parse_duration, parse_size};

pub use self::http::HttpConfig;

/// Settings of the service, read from `config.toml`. Every key may be left out; a key that is not
/// known is an error that names it.
///
/// ```
/// use execution_engine_server::{Config, Durability};
///
/// let config = Config::parse(r#"
///     max_running = 8
///     durability = "power"
///     [retention]
///     max_age = "30d"
///     max_bytes = "2G"
/// "#).unwrap();
/// assert_eq!(config.max_running, 8);
/// assert_eq!(config.durability, Durability::Power);
/// assert_eq!(config.retention.max_bytes, 2 << 30);
///
/// let error = Config::parse("max_runing = 8").unwrap_err();
/// assert!(error.contains("max_runing"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// How many programs may run at a time; what is beyond waits in the queue. Default: 100.
    #[serde(deserialize_with = "at_least_one")]
    pub max_running: usize,
    /// What output must survive. Default: the death of processes.
    pub durability: Durability,
    /// How long finished executions are kept.
    pub retention: RetentionConfig,
    /// How it is reached over the network.
    pub http: HttpConfig,
    /// Profiles of fleets, which the command line alone reads.
    #[serde(rename = "fleet", deserialize_with = "ignored")]
    pub fleet: (),
}

/// What the output of a running program must survive. Rows and endings survive a power cut in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Durability {
    /// The death of any process of the service. A power cut may take what was written last.
    #[default]
    Process,
    /// A power cut, too, but for the last 250 ms or 4 MiB.
    Power,
}

/// How long finished executions are kept: the first limit that is reached counts. Pinned executions
/// are always kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetentionConfig {
    /// Age since the end, as `90d` or `12h`. Default: 90 days.
    #[serde(deserialize_with = "duration")]
    pub max_age: Duration,
    /// Number of executions. Default: 100,000.
    pub max_count: u64,
    /// Bytes on disk, as a number or `10G`. Default: 10 GiB.
    #[serde(deserialize_with = "size")]
    pub max_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_running: 100,
            durability: Durability::default(),
            retention: RetentionConfig::default(),
            http: HttpConfig::default(),
            fleet: (),
        }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(90 * 24 * 3600),
            max_count: 100_000,
            max_bytes: 10 << 30,
        }
    }
}

impl Config {
    /// Reads the text of a configuration file.
    ///
    /// # Errors
    /// What is wrong, with the line and the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_string())
    }

    /// Reads a configuration file. A file that does not exist has the defaults. What its parts say together is not
    /// checked: options of a command line may complete it.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] with the path, the line and the key.
    pub fn load(path: &Path) -> Result<Self, ServiceError> {
        let invalid = |why: String| {
            let text = format!("the configuration {} is not valid: {why}", path.display());
            ServiceError::new(ErrorCode::InvalidConfig, text).fix("correct the file, or remove it")
        };
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(invalid),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(invalid(format!("it cannot be read: {error}"))),
        }
    }
}

fn ignored<'de, D: Deserializer<'de>>(from: D) -> Result<(), D::Error> {
    serde::de::IgnoredAny::deserialize(from).map(drop)
}

fn at_least_one<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    match usize::deserialize(from)? {
        0 => {
            Err(serde::de::Error::custom("max_running is 0, so nothing would run; write 1 or more"))
        }
        number => Ok(number),
    }
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Size {
        Bytes(u64),
        Text(String),
    }
    match Size::deserialize(from)? {
        Size::Bytes(bytes) => Ok(bytes),
        Size::Text(text) => parse_size(&text).map_err(serde::de::Error::custom),
    }
}
