//! A filter of system calls, as sandboxes have it: the system refuses some calls of this process.
//!
//! It refuses the calls of this program and of its libraries alone. Programs that this process starts
//! inherit the filter, but what they load is at other addresses, so they work as usual.

use std::ops::Range;

/// A system call to refuse.
#[derive(Debug, Clone, Copy)]
pub struct RefusedCall {
    /// Its number.
    pub number: libc::c_long,
    /// Position and value of the one argument that makes it a call to refuse; all are without it.
    pub argument: Option<(u32, u32)>,
}

/// Lets the system answer calls of this process with an error from now on, in all of its threads.
pub fn refuse(calls: &[RefusedCall], errno: i32) {
    let program = program(calls, errno, &own_code());
    let filter = libc::sock_fprog {
        len: program.len().try_into().unwrap(),
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: The kernel copies a program of this length.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let (mode, all_threads) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
        assert_eq!(libc::syscall(libc::SYS_seccomp, mode, all_threads, &raw const filter), 0);
    }
}

/// Returns the addresses of the code of this process, in ranges whose high halves do not change.
fn own_code() -> Vec<Range<u64>> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let code = |line: &str| {
        let (addresses, rest) = line.split_once(' ')?;
        let (start, end) = addresses.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        rest[..4].contains('x').then(|| Some(address(start)?..address(end)?))?
    };
    let in_halves = |range: Range<u64>| {
        let boundary = ((range.start >> 32) + 1) << 32;
        let (low, high) = (range.end.min(boundary), range.start.max(boundary));
        [range.start..low, high..range.end].into_iter().filter(|range| !range.is_empty())
    };
    maps.lines().filter_map(code).flat_map(in_halves).collect()
}

/// Offsets of what a filter reads: number, address of the caller, first argument.
const NUMBER: u32 = 0;
const CALLER: u32 = 8;
const ARGUMENTS: u32 = 16;

/// Returns the offset of the low half of a 64-bit field, and of the high one.
fn halves(field: u32) -> (u32, u32) {
    if cfg!(target_endian = "little") { (field, field + 4) } else { (field + 4, field) }
}

/// Assembles the filter. Jumps go to the end of a part, which is the beginning of the next one.
fn program(calls: &[RefusedCall], errno: i32, code: &[Range<u64>]) -> Vec<libc::sock_filter> {
    let caller = halves(CALLER);
    let mut program = Vec::new();
    for call in calls {
        let number = u32::try_from(call.number).unwrap();
        for range in code {
            let (start, end) = (range.start, range.end - 1);
            let mut part = vec![load(NUMBER), unless(libc::BPF_JEQ, number)];
            if let Some((position, value)) = call.argument {
                let argument = halves(ARGUMENTS + 8 * position).0;
                part.extend([load(argument), unless(libc::BPF_JEQ, value)]);
            }
            part.extend([load(caller.1), unless(libc::BPF_JEQ, (start >> 32) as u32)]);
            part.extend([load(caller.0), unless(libc::BPF_JGE, start as u32)]);
            part.extend([jump(libc::BPF_JGT, end as u32, 1, 0)]);
            part.push(give(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()));
            let length = part.len();
            for (at, instruction) in part.iter_mut().enumerate() {
                if instruction.jf == u8::MAX {
                    instruction.jf = (length - at - 1).try_into().unwrap();
                }
            }
            program.extend(part);
        }
    }
    program.push(give(libc::SECCOMP_RET_ALLOW));
    program
}

fn load(offset: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

/// Leaves the part unless the comparison holds.
fn unless(comparison: u32, value: u32) -> libc::sock_filter {
    jump(comparison, value, 0, u8::MAX)
}

fn jump(comparison: u32, value: u32, if_so: u8, if_not: u8) -> libc::sock_filter {
    instruction(libc::BPF_JMP | comparison | libc::BPF_K, value, if_so, if_not)
}

fn give(value: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, value, 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}
