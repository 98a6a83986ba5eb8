//! What a worker says of its machine.

use std::collections::BTreeMap;
use std::thread::available_parallelism;

use execution_engine_fleet::Size;
use rustix::system::{sysinfo, uname};

/// Returns the labels that each worker has.
pub(super) fn labels() -> BTreeMap<String, String> {
    let pairs = [
        ("os", std::env::consts::OS.to_owned()),
        ("arch", std::env::consts::ARCH.to_owned()),
        ("host", host()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the name of this host.
fn host() -> String {
    uname().nodename().to_string_lossy().into_owned()
}

/// Returns the name of this host in the characters that a name of a worker may have.
pub(super) fn prefix() -> String {
    let host = host();
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = host.chars().map(allowed).take(super::LONGEST_PREFIX).collect();
    if name.is_empty() { "worker".to_owned() } else { name }
}

/// Returns the kernel.
pub(super) fn kernel() -> String {
    let system = uname();
    format!("{} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy())
}

/// Returns the number of cores that this process may use.
pub(super) fn cores() -> u32 {
    available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}

/// Returns what the machine has for executions.
#[expect(clippy::useless_conversion, reason = "the system's number is smaller on 32-bit machines")]
pub(super) fn totals() -> Size {
    let memory = sysinfo();
    Size {
        cpu_milli: u64::from(cores()) * 1000,
        memory_bytes: u64::from(memory.totalram).saturating_mul(memory.mem_unit.into()),
        ..Size::default()
    }
}
