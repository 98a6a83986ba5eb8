//! What a system executes for a program: the file itself, or the interpreter of its `#!` line, or
//! that of the interpreter's; and the loader that the last of them names.
//!
//! The system reports a number for all of it, so this looks for the file that the number is about.
//! It looks in the order of the system and notes every fault; the one with that number is the
//! cause.

#[cfg(target_os = "linux")]
mod capabilities;
mod elf;
mod path;

use std::ffi::{OsStr, c_int};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::command_line::{SHEBANG_BYTES, Shebang};
use crate::sys;
use elf::Binary;
use path::PathFault;

pub(crate) use path::directory_fault;

/// Scripts of which one may be the interpreter of the other, the first included.
const MAX_SCRIPTS: usize = 5;

/// Number for a loader that is none. Only Linux has one of its own.
#[cfg(target_os = "linux")]
const BAD_LOADER: c_int = libc::ELIBBAD;
#[cfg(not(target_os = "linux"))]
const BAD_LOADER: c_int = libc::ENOEXEC;

/// What keeps a system from executing a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
#[non_exhaustive]
pub struct ExecFault {
    /// Error number that the system has for it.
    pub number: i32,
    /// What is wrong, as a sentence about "it", the program.
    pub text: String,
}

/// Files of one execution in their order, and what is wrong with them.
#[derive(Debug)]
pub(crate) struct ExecChain {
    pub(crate) files: Vec<PathBuf>,
    faults: Vec<ExecFault>,
    /// Beginning of a sentence about the last file.
    subject: String,
    role: Role,
}

/// What a file of a chain is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Program,
    Interpreter,
    Loader,
}

/// Which files a look at a chain includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All.
    Whole,
    /// The script and its interpreters. Whether a system can execute the last of them depends on
    /// more than its file: on emulators, for instance.
    Interpreters,
}

/// Returns what keeps every user from executing a file that exists.
pub(crate) fn place_fault(file: &Path) -> Option<ExecFault> {
    let (number, text) = path::place_fault(file, &fs::metadata(file).ok()?)?;
    Some(ExecFault { number, text: format!("it {text}") })
}

/// Returns the `#!` line by which a script is to be run that is not executable; `None` if it has
/// none. Interpreters are examined as the system does it, from the working directory `dir`.
///
/// # Errors
/// [`ExecFault`] says why a system would not run the script if it were executable.
pub fn script_line(script: &Path, dir: Option<&Path>) -> Result<Option<Shebang>, ExecFault> {
    let number = |error: &io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    let head = read_head(script).map_err(|error| ExecFault {
        number: number(&error),
        text: format!("it cannot be read: {error}"),
    })?;
    let mut chain = ExecChain::new();
    let line = chain.line(&head);
    if let Some(line) = &line {
        chain.examine(&line.interpreter, dir, Extent::Interpreters);
    }
    match chain.faults.into_iter().next() {
        Some(fault) => Err(fault),
        None => Ok(line),
    }
}

impl ExecChain {
    fn new() -> Self {
        let subject = "it".to_string();
        Self { files: Vec::new(), faults: Vec::new(), subject, role: Role::Program }
    }

    /// Examines what executing `program` in the directory `dir` would execute.
    pub(crate) fn of(program: &Path, dir: Option<&Path>) -> Self {
        let mut chain = Self::new();
        chain.examine(program.as_os_str(), dir, Extent::Whole);
        chain
    }

    /// Returns the first fault for which a system has this error number.
    pub(crate) fn fault(&self, number: c_int) -> Option<&str> {
        self.faults.iter().find(|fault| fault.number == number).map(|fault| fault.text.as_str())
    }

    fn examine(&mut self, program: &OsStr, dir: Option<&Path>, extent: Extent) {
        let mut name = program.to_os_string();
        let mut scripts = usize::from(extent == Extent::Interpreters);
        loop {
            let Some((path, head)) = self.open(&name, dir) else { return };
            if scripts > MAX_SCRIPTS {
                return self.add(libc::ELOOP, "is one more than the system follows");
            }
            match self.line(&head) {
                Some(line) => name = line.interpreter,
                None if extent == Extent::Interpreters || !self.faults.is_empty() => return,
                None => return self.binary(&path, &head, dir),
            }
            scripts += 1;
        }
    }

    /// Returns the path of the next file and its beginning; None if there is nothing to read, or if
    /// this process may not read what it may execute.
    fn open(&mut self, name: &OsStr, dir: Option<&Path>) -> Option<(PathBuf, Vec<u8>)> {
        let path = dir.map_or_else(|| PathBuf::from(name), |dir| dir.join(name));
        if let Some(fault) = path::program_fault(&path) {
            self.add_path(name, fault);
            return None;
        }
        self.files.push(path.clone());
        let head = read_head(&path).ok()?;
        Some((path, head))
    }

    /// Reads a `#!` line, and makes its interpreter the subject.
    fn line(&mut self, head: &[u8]) -> Option<Shebang> {
        let line = Shebang::parse(head).unwrap_or_else(|error| {
            self.add(libc::ENOEXEC, &format!("has {error}"));
            None
        })?;
        if line.interpreter.is_empty() {
            self.add(libc::EACCES, "has a #! line with a NUL byte for an interpreter");
            return None;
        }
        self.subject = match self.subject.strip_suffix(" which") {
            None => "its #! line names the interpreter".to_string(),
            Some(subject) => format!("{subject} whose #! line names the interpreter"),
        };
        self.subject = format!("{} {:?}, which", self.subject, line.interpreter);
        self.role = Role::Interpreter;
        Some(line)
    }

    fn binary(&mut self, path: &Path, head: &[u8], dir: Option<&Path>) {
        let Ok(file) = File::open(path) else { return };
        let (foreign, loader) = match elf::examine(&file, head) {
            Binary::Elf { foreign, loader } => (foreign, loader),
            Binary::Damaged => return self.add(libc::ENOEXEC, "is damaged or cut off"),
            Binary::Other => return self.add(libc::ENOEXEC, elf::describe_other(head)),
        };
        if let Some(machine) = foreign {
            self.add(libc::ENOEXEC, &format!("is a program for {machine}"));
        }
        #[cfg(target_os = "linux")]
        if let Some(names) = capabilities::out_of_reach(&file) {
            let text = format!("has file capabilities that this process may not give it: {names}");
            self.add(libc::EPERM, &text);
        }
        if let Some(loader) = loader {
            self.loader(&loader, dir);
        }
    }

    fn loader(&mut self, loader: &OsStr, dir: Option<&Path>) {
        self.subject = format!("{} needs the loader {loader:?}, which", self.subject);
        self.role = Role::Loader;
        let Some((path, head)) = self.open(loader, dir) else { return };
        let Ok(file) = File::open(path) else { return };
        match elf::examine(&file, &head) {
            Binary::Elf { foreign: None, .. } => {}
            Binary::Elf { foreign: Some(machine), .. } => {
                self.add(BAD_LOADER, &format!("is one for {machine}"));
            }
            Binary::Damaged | Binary::Other => {
                self.add(BAD_LOADER, "is no loader");
                // A file that ends too early cannot be read.
                self.add(libc::EIO, "is no loader");
            }
        }
    }

    fn add(&mut self, number: c_int, text: &str) {
        self.faults.push(ExecFault { number, text: format!("{} {text}", self.subject) });
    }

    fn add_path(&mut self, name: &OsStr, (number, text): PathFault) {
        let name = name.as_encoded_bytes();
        let advice = match self.role {
            _ if number != libc::ENOENT => "",
            Role::Program => "",
            Role::Interpreter if name.ends_with(b"\r") => {
                "; the carriage return belongs to the name: save it with the line ends of Unix"
            }
            Role::Interpreter if !name.contains(&b'/') => {
                "; it starts at the working directory and is not looked up in PATH"
            }
            Role::Interpreter => "; install it or correct the line",
            Role::Loader => "; it was built for a system with another C library",
        };
        self.add(number, &format!("{text}{advice}"));
    }
}

/// Reads the beginning of a file, also if this process has no descriptor left.
fn read_head(path: &Path) -> io::Result<Vec<u8>> {
    sys::with_descriptors(|| {
        let mut head = Vec::new();
        File::open(path)?.take(SHEBANG_BYTES as u64).read_to_end(&mut head)?;
        Ok(head)
    })
}
