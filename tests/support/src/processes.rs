//! Views of processes, and of what this process holds.

use rustix::process::{Pid, Signal, kill_process};

/// Returns the ids of all processes.
pub fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Returns the process ids in a text.
pub fn pids(text: &str) -> Vec<u32> {
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// Returns `true` for a process that exists and is no zombie.
pub fn is_alive(pid: u32) -> bool {
    !matches!(state(pid), None | Some('Z' | 'X'))
}

/// Returns the state letter of a process; `None` if it does not exist.
pub fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Kills a process.
pub fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

/// Returns the number of zombies among the children of this process.
pub fn own_zombies() -> usize {
    let me = std::process::id().to_string();
    let is_mine = |stat: &str| {
        let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        fields.next() == Some("Z") && fields.next() == Some(me.as_str())
    };
    let stat = |pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    processes().into_iter().filter_map(stat).filter(|stat| is_mine(stat)).count()
}

/// Returns the number of descriptors that this process has open.
pub fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Returns the number of threads of this process.
pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}
