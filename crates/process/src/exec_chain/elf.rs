//! The beginning of a program file: for which machine it is, and which loader it needs.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;

/// What a file is, as a system that executes it sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Binary {
    /// A program.
    Elf {
        /// The machine that it is for, if that is another one.
        foreign: Option<String>,
        /// The program that loads it together with its libraries.
        loader: Option<OsString>,
    },
    /// It begins like a program.
    Damaged,
    /// Something else.
    Other,
}

/// The machine of this process, by its number and the number of bits.
const OWN: (u64, u32) = (
    if cfg!(target_arch = "x86_64") {
        62
    } else if cfg!(target_arch = "aarch64") {
        183
    } else if cfg!(target_arch = "riscv64") {
        243
    } else if cfg!(target_arch = "x86") {
        3
    } else if cfg!(target_arch = "arm") {
        40
    } else {
        0
    },
    usize::BITS,
);

/// Offsets of the fields, for one number of bits.
struct Layout {
    header: usize,
    table: u64,
    entry_size: u64,
    entry: u64,
    offset: u64,
    size: u64,
    word: usize,
}

const BITS_32: Layout =
    Layout { header: 52, table: 28, entry_size: 42, entry: 32, offset: 4, size: 16, word: 4 };
const BITS_64: Layout =
    Layout { header: 64, table: 32, entry_size: 54, entry: 56, offset: 8, size: 32, word: 8 };

/// Kinds of files that can be executed: fixed and position-independent programs.
const EXECUTABLE: [u64; 2] = [2, 3];
/// Kind of the table's entry that names the loader.
const LOADER: u64 = 3;
/// Longest path, its NUL included.
const PATH_MAX: u64 = 4096;

/// Fields of a file, in its byte order.
struct Fields<'a> {
    file: &'a File,
    is_big_endian: bool,
}

/// Reads what a file is, given its beginning.
pub(super) fn examine(file: &File, head: &[u8]) -> Binary {
    if !head.starts_with(b"\x7fELF") {
        return Binary::Other;
    }
    let &[_, _, _, _, class, order, ..] = head else { return Binary::Damaged };
    let (layout, bits) = if class == 1 { (BITS_32, 32) } else { (BITS_64, 64) };
    let fields = Fields { file, is_big_endian: order == 2 };
    let Some(machine) = fields.number(18, 2) else { return Binary::Damaged };
    let foreign = ((machine, bits) != OWN && OWN.0 != 0).then(|| name_of(machine, bits));
    match fields.loader(&layout) {
        Some(loader) => Binary::Elf { foreign, loader },
        // It is executed nowhere here, whatever else is wrong with it.
        None if foreign.is_some() => Binary::Elf { foreign, loader: None },
        None => Binary::Damaged,
    }
}

impl Fields<'_> {
    fn number(&self, at: u64, length: usize) -> Option<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes[..length], at).ok()?;
        if self.is_big_endian {
            bytes[..length].reverse();
        }
        Some(u64::from_le_bytes(bytes))
    }

    /// Returns the loader that a program names, if it names one; None if this is no program.
    fn loader(&self, layout: &Layout) -> Option<Option<OsString>> {
        self.file.read_exact_at(&mut vec![0; layout.header], 0).ok()?;
        let is_program = EXECUTABLE.contains(&self.number(16, 2)?);
        let entry_size = self.number(layout.entry_size, 2)?;
        let count = self.number(layout.entry_size + 2, 2)?;
        if !is_program || entry_size != layout.entry || !(1..=65536 / layout.entry).contains(&count)
        {
            return None;
        }
        let table = self.number(layout.table, layout.word)?;
        for index in 0..count {
            let entry = table.checked_add(index * layout.entry)?;
            if self.number(entry, 4)? != LOADER {
                continue;
            }
            let offset = self.number(entry.checked_add(layout.offset)?, layout.word)?;
            let size = self.number(entry.checked_add(layout.size)?, layout.word)?;
            let length = usize::try_from(size).ok().filter(|_| (2..=PATH_MAX).contains(&size))?;
            let mut path = vec![0; length];
            self.file.read_exact_at(&mut path, offset).ok()?;
            path.pop().filter(|last| *last == 0)?;
            let length = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
            path.truncate(length);
            return Some(Some(OsString::from_vec(path)));
        }
        Some(None)
    }
}

fn name_of(machine: u64, bits: u32) -> String {
    let name = match machine {
        3 => "x86",
        8 => "MIPS",
        20 | 21 => "PowerPC",
        22 => "S390",
        40 => "ARM",
        62 => "x86_64",
        183 => "AArch64",
        243 => "RISC-V",
        258 => "LoongArch",
        _ => return format!("another machine (number {machine}, {bits} bits)"),
    };
    format!("another machine ({name}, {bits} bits)")
}

/// Describes a file that is neither a program nor a script with a `#!` line.
pub(super) fn describe_other(head: &[u8]) -> &'static str {
    if head.is_empty() {
        "is empty"
    } else if head.starts_with(b"MZ") {
        "is a program for Windows"
    } else {
        "is neither an executable for this platform nor a script with a #! line; add one, or name \
         the program that runs it"
    }
}
