//! A description of the machine, without its name.

use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct Machine {
    processor: String,
    cores: usize,
    memory_gib: u64,
    system: String,
    containment: String,
}

impl Machine {
    pub fn of_this_host() -> Self {
        let uname = rustix::system::uname();
        Self {
            processor: first_value("/proc/cpuinfo", "model name")
                .unwrap_or_else(|| uname.machine().to_string_lossy().into_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: rustix::system::sysinfo().totalram >> 30,
            system: format!(
                "{} {}",
                uname.sysname().to_string_lossy(),
                version(&uname.release().to_string_lossy())
            ),
            containment: crate::contender::engine::strongest().to_string(),
        }
    }

    pub fn in_words(&self) -> String {
        let Self { processor, cores, memory_gib, system, containment } = self;
        format!(
            "{processor}, {cores} cores, {memory_gib} GiB, {system}, containment by {containment}"
        )
    }
}

/// Returns the numbers of the kernel version alone; the rest may identify the machine.
fn version(release: &str) -> &str {
    release.split('-').next().unwrap_or(release)
}

fn first_value(file: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_once(':').map(|(_, value)| value.trim().to_string())
}
