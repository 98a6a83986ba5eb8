//! What a child executes, in the form that the kernel takes it. Made before the child: between its
//! start and its exec there must be no allocation.

use std::ffi::{CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::{io, ptr};

use crate::error::SpawnStage;
use crate::{Launch, Links, SpawnError};

/// Program, arguments, environment and directory as C strings.
pub(super) struct ExecImage {
    pub(super) program: CString,
    /// Directory that is entered by its name.
    pub(super) working_dir: Option<CString>,
    pub(super) args: CStringList,
    pub(super) env: CStringList,
}

impl ExecImage {
    /// Converts a launch. The variable and the marker are added to the environment.
    pub(super) fn new(launch: &Launch, marker: Option<(&str, &str)>) -> Result<Self, SpawnError> {
        let mut args = CStringListBuilder::with_capacity(launch.args.iter().map(|arg| arg.len()));
        for (index, arg) in launch.args.iter().enumerate() {
            args.push(&[arg], || format!("argument {index}"))?;
        }
        let working_dir = dir_by_name(launch);
        let working_dir = working_dir.map(|dir| c_string(dir, "the working directory"));
        Ok(Self {
            program: c_string(&launch.program, "the path of the program")?,
            working_dir: working_dir.transpose()?,
            args: args.finish(),
            env: environment(launch, marker)?,
        })
    }
}

/// Returns the directory that the child enters by its name.
fn dir_by_name(launch: &Launch) -> Option<&Path> {
    match (launch.working_dir.as_deref(), launch.links) {
        (dir, Links::Follow) => dir,
        // It has entered the directory by its descriptor, as the user of its host. Here it does so
        // again as its own, who may have no right to.
        (Some(_), Links::Refuse) => launch.user.as_ref().map(|_| Path::new(".")),
        (None, Links::Refuse) => None,
    }
}

fn environment(launch: &Launch, marker: Option<(&str, &str)>) -> Result<CStringList, SpawnError> {
    let mut marker = marker.map(|(variable, marker)| (OsStr::new(variable), OsStr::new(marker)));
    let equals = OsStr::new("=");
    let own = marker.map(|(variable, marker)| variable.len() + 1 + marker.len());
    let lengths = launch.env.iter().map(|(name, value)| name.len() + 1 + value.len());
    let mut env = CStringListBuilder::with_capacity(lengths.chain(own));
    for (name, value) in &launch.env {
        let what = || format!("the variable {name:?}");
        match marker.take_if(|(variable, _)| name == *variable) {
            // It joins the markers that the host itself may carry.
            Some((_, marker)) => env.push(&[name, equals, value, OsStr::new(":"), marker], what)?,
            None => env.push(&[name, equals, value], what)?,
        }
    }
    if let Some((variable, marker)) = marker {
        env.push(&[variable, equals, marker], || format!("the variable {variable:?}"))?;
    }
    Ok(env.finish())
}

/// C strings one behind the other, and the list of pointers to them that ends with null. An
/// environment has dozens of strings; each on its own would be one more allocation for every child.
pub(super) struct CStringList {
    _bytes: Vec<u8>,
    pointers: Vec<*const c_char>,
}

impl CStringList {
    pub(super) fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

struct CStringListBuilder {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl CStringListBuilder {
    fn with_capacity(lengths: impl Iterator<Item = usize> + Clone) -> Self {
        let strings = lengths.clone().count();
        // Each string ends with a NUL.
        let bytes = lengths.sum::<usize>() + strings;
        Self { bytes: Vec::with_capacity(bytes), starts: Vec::with_capacity(strings) }
    }

    /// Adds one string that consists of these parts; `what` names it.
    fn push(&mut self, parts: &[&OsStr], what: impl FnOnce() -> String) -> Result<(), SpawnError> {
        let start = self.bytes.len();
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part.as_bytes()));
        if self.bytes[start..].contains(&0) {
            return Err(contains_nul(&what()));
        }
        self.bytes.push(0);
        self.starts.push(start);
        Ok(())
    }

    /// Makes the pointers, now that the bytes move no more.
    fn finish(self) -> CStringList {
        let Self { bytes, starts } = self;
        let pointers = starts.iter().map(|&start| bytes[start..].as_ptr().cast());
        let pointers = pointers.chain([ptr::null()]).collect();
        CStringList { _bytes: bytes, pointers }
    }
}

fn c_string(path: &Path, what: &str) -> Result<CString, SpawnError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| contains_nul(what))
}

/// Returns the error for a NUL byte, which would end the string for the kernel.
fn contains_nul(what: &str) -> SpawnError {
    let text = format!("{what} contains a NUL byte");
    SpawnError::new(SpawnStage::Input, io::Error::new(io::ErrorKind::InvalidInput, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the strings as a program would see them.
    fn read(strings: &CStringList) -> Vec<String> {
        let (null, pointers) = strings.pointers.split_last().unwrap();
        assert!(null.is_null());
        // SAFETY: they point to strings that end with NUL, and live as long as `strings`.
        let text = |&pointer: &_| unsafe { std::ffi::CStr::from_ptr(pointer) };
        pointers.iter().map(|pointer| text(pointer).to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_marker_joins_those_that_are_there() {
        let mut launch = Launch::new("/bin/true");
        launch.env = vec![("A".into(), "1".into())];
        let outer = ExecImage::new(&launch, Some(("TREE", "x"))).unwrap();
        assert_eq!(read(&outer.env), ["A=1", "TREE=x"]);
        launch.env.push(("TREE".into(), "x".into()));
        let inner = ExecImage::new(&launch, Some(("TREE", "y"))).unwrap();
        assert_eq!(read(&inner.env), ["A=1", "TREE=x:y"]);
        assert_eq!(read(&ExecImage::new(&launch, None).unwrap().args), ["/bin/true"]);
    }

    #[test]
    fn a_nul_byte_is_refused_wherever_it_is() {
        for (change, named) in [
            ((|launch| launch.args.push("a\0b".into())) as fn(&mut Launch), "argument 1 contains"),
            (|launch| launch.env.push(("A".into(), "a\0b".into())), "the variable \"A\" contains"),
            (|launch| launch.program = "/bin\0/true".into(), "the path of the program contains"),
            (|launch| launch.working_dir = Some("/\0".into()), "the working directory contains"),
        ] {
            let mut launch = Launch::new("/bin/true");
            change(&mut launch);
            let refused = ExecImage::new(&launch, None).err().unwrap();
            assert_eq!(refused.stage, SpawnStage::Input);
            assert!(refused.to_string().starts_with(named), "{refused}");
        }
    }
}
