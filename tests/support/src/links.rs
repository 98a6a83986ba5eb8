//! Files inside and outside of a directory, and an attack that replaces a part of the path to the
//! inside by a link to the outside.

use std::fs;
use std::path::Path;

use execution_engine::*;

use crate::{executable, shell};

/// The paths of a request that may lead somewhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkField {
    /// `working_dir`.
    WorkingDir,
    /// The file for `stdin`.
    Stdin,
    /// `output_log_path`.
    Log,
    /// The path of a script.
    Script,
}

impl LinkField {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::WorkingDir, Self::Stdin, Self::Log, Self::Script];

    /// Returns what an error about it says.
    pub fn name(self) -> &'static str {
        match self {
            Self::WorkingDir => "working_dir",
            Self::Stdin => "stdin",
            Self::Log => "log",
            Self::Script => "path",
        }
    }

    fn entry(self) -> &'static str {
        match self {
            Self::WorkingDir => "dir",
            Self::Stdin => "input",
            Self::Log => "out.log",
            Self::Script => "script",
        }
    }
}

/// The part of a path that an attack replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPart {
    /// The directory or the file itself.
    Last,
    /// A directory above it.
    Middle,
}

impl LinkPart {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::Last, Self::Middle];
}

/// A directory with `inside/sub/`, where requests belong, and `outside/` with the same names.
#[derive(Debug)]
pub struct LinkPlaces {
    /// The directory, without links.
    pub root: PathBuf,
}

/// What the log outside has in it.
const UNTOUCHED: &str = "untouched\n";

impl LinkPlaces {
    /// Makes the files below a directory.
    pub fn new(root: &Path) -> Self {
        let root = root.canonicalize().unwrap();
        for (place, word) in [("inside/sub", "inside"), ("outside", "outside")] {
            let place = root.join(place);
            fs::create_dir_all(place.join("dir")).unwrap();
            fs::write(place.join("dir/where"), format!("{word}\n")).unwrap();
            fs::write(place.join("input"), format!("{word}\n")).unwrap();
            fs::write(place.join("out.log"), UNTOUCHED).unwrap();
            let line = format!("#!/bin/sh\necho {word}\n{}", Self::exit_of(&root));
            executable(place.join("script"), line);
        }
        Self { root }
    }

    /// Returns lines for the end of a program: the attack, if it is there, and a failure then.
    fn exit_of(root: &Path) -> String {
        let attack = root.join("attack").display().to_string();
        format!("[ ! -e {attack} ] || {{ sh {attack}; exit 1; }}\n")
    }

    /// Returns the path of a field.
    pub fn path(&self, field: LinkField) -> PathBuf {
        self.root.join("inside/sub").join(field.entry())
    }

    /// Returns a request, and options, that use the path of this field and say where that was.
    pub fn request(&self, field: LinkField) -> (ExecutionRequest, ExecutionOptions) {
        let path = self.path(field);
        let after = Self::exit_of(&self.root);
        let options = ExecutionOptions::default();
        match field {
            LinkField::WorkingDir => {
                (shell(format!("cat where; {after}")).working_dir(path), options)
            }
            LinkField::Stdin => {
                (shell(format!("cat; {after}")), options.stdin(StdinSource::file(path)))
            }
            LinkField::Log => (shell(format!("echo inside; {after}")).output_log(path), options),
            LinkField::Script => (ExecutionRequest::script(path), options),
        }
    }

    /// Returns a shell line that replaces a part of the path of a field by a link to the outside.
    pub fn attack(&self, field: LinkField, part: LinkPart) -> String {
        let (inside, target) = match part {
            LinkPart::Last => (self.path(field), self.root.join("outside").join(field.entry())),
            LinkPart::Middle => (self.root.join("inside/sub"), self.root.join("outside")),
        };
        let (inside, target) = (inside.display(), target.display());
        format!("mv {inside} {inside}.old && ln -s {target} {inside} && rm -f {}/attack", {
            self.root.display()
        })
    }

    /// Writes the attack to where the programs of the requests carry it out, once.
    pub fn arm(&self, field: LinkField, part: LinkPart) {
        fs::write(self.root.join("attack"), self.attack(field, part)).unwrap();
    }

    /// Returns true if a program has read or written something outside.
    pub fn got_out(&self, result: &ExecutionResult) -> bool {
        let log = fs::read_to_string(self.root.join("outside/out.log")).unwrap();
        log != UNTOUCHED || result.stdout.contains("outside")
    }
}
