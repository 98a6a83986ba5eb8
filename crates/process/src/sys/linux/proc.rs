//! What /proc tells of processes.

use std::io;

/// One line of `/proc/PID/stat`, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: i32,
    pub(super) name: String,
    pub(super) state: char,
    pub(super) group: i32,
}

impl Stat {
    /// None if there is no such process, or not any more.
    pub(super) fn of(pid: i32) -> Option<Self> {
        parse(pid, &std::fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Whether it can still do anything: not a zombie, not on its way out.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// All processes that there are now.
pub(super) fn all() -> io::Result<impl Iterator<Item = Stat>> {
    let pid = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    Ok(std::fs::read_dir("/proc")?.filter_map(pid).filter_map(Stat::of))
}

/// `pid (name) state parent group ..`, where the name may hold anything, parentheses included.
fn parse(pid: i32, line: &[u8]) -> Option<Stat> {
    let open = line.iter().position(|&byte| byte == b'(')?;
    let close = line.iter().rposition(|&byte| byte == b')')?;
    let name = String::from_utf8_lossy(line.get(open + 1..close)?).into_owned();
    let mut fields = std::str::from_utf8(line.get(close + 1..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let group = fields.nth(1)?.parse().ok()?;
    Some(Stat { pid, name, state, group })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = parse(7, b"7 (a) S 1 (b\n) R 1 5 5 0 -1 4194304").unwrap();
        assert_eq!((stat.name.as_str(), stat.state, stat.group), ("a) S 1 (b\n", 'R', 5));
        assert_eq!(parse(7, b""), None);
        assert_eq!(parse(7, b"7 (x) "), None);
    }
}
