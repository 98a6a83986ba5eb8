//! What a failed start says: the step, the program or the directory, the system's error, and its
//! cause where that can be found out.

use std::ffi::OsStr;
use std::ffi::c_int;
use std::path::Path;

use crate::error::SpawnStage;
use crate::exec_chain::{ExecChain, directory_fault};
use crate::{Launch, Links, no_links};

/// Longest string that Linux takes as an argument or a variable, in pages (`MAX_ARG_STRLEN`); its
/// NUL is included.
const LONGEST_STRING_PAGES: usize = 32;
/// Bytes that Linux takes for all of them at most, and at least whatever the limit of the stack.
const MOST_BYTES: u64 = 6 << 20;
const FEWEST_BYTES: u64 = 128 << 10;

/// Returns what was being done, and to what.
pub(crate) fn step(stage: SpawnStage, launch: &Launch) -> String {
    let program = &launch.program;
    match stage {
        SpawnStage::Input => format!("preparing the arguments of {program:?}"),
        SpawnStage::NullDevice => format!("opening /dev/null as the input of {program:?}"),
        SpawnStage::Pipe => format!("making the pipes of {program:?}"),
        SpawnStage::Process => format!("making a process for {program:?}"),
        SpawnStage::Containment => format!("containing {program:?}"),
        SpawnStage::Limits => format!("setting the limits of {program:?}"),
        SpawnStage::WorkingDirectory => {
            let dir = launch.working_dir.as_deref().unwrap_or(Path::new("."));
            format!("entering the working directory {dir:?} of {program:?}")
        }
        SpawnStage::Stdio => format!("giving {program:?} its standard streams and descriptors"),
        SpawnStage::User => match &launch.user {
            Some(user) => {
                format!("running {program:?} as user {} and group {}", user.uid, user.gid)
            }
            None => format!("changing the user of {program:?}"),
        },
        SpawnStage::Exec => format!("executing {program:?}"),
    }
}

/// Returns the cause of an error number of the system, and what to do about it; None if there is
/// nothing to add to the system's text.
pub(crate) fn cause(stage: SpawnStage, number: c_int, launch: &Launch) -> Option<String> {
    let text = match (stage, number) {
        (SpawnStage::NullDevice, libc::ENOENT) => {
            "this host has no /dev/null, which a program without input reads".to_string()
        }
        (_, libc::EMFILE) => "the limit of open files of this process is reached; raise it \
             (ulimit -n) or run fewer at a time"
            .to_string(),
        (_, libc::ENFILE) => "the limit of open files of the system (fs.file-max), or of what the \
             pipes of this user may hold (fs.pipe-user-pages-hard), is reached"
            .to_string(),
        (SpawnStage::Containment, libc::EAGAIN) => "the limit of processes or of control groups \
             (pids.max, cgroup.max.descendants) is reached"
            .to_string(),
        (_, libc::EAGAIN) => too_many_processes(launch),
        (SpawnStage::User, libc::EPERM) => "only root, or a process with the capabilities SETUID \
             and SETGID, may do that; leave the user out, or give this process the right"
            .to_string(),
        (SpawnStage::User, libc::EINVAL) => {
            "the user namespace of this process has no such user or group".to_string()
        }
        (SpawnStage::Stdio, libc::EBADF) => "this process has closed a standard stream that is to \
             be inherited, or has set it to be closed on exec"
            .to_string(),
        (SpawnStage::Stdio, libc::EINVAL) => {
            "a descriptor is passed on under a number that is not \
             below the limit of open files of this process by two at least; use a lower number, or \
             raise the limit (ulimit -n)"
                .to_string()
        }
        (SpawnStage::WorkingDirectory, libc::ELOOP) if launch.links == Links::Refuse => {
            let link = no_links::first_link(launch.working_dir.as_deref()?);
            let link = link.map_or("a part of it".to_string(), |link| format!("{link:?}"));
            format!("{link} is a symbolic link, and none is followed here (links: refuse)")
        }
        (SpawnStage::WorkingDirectory, number) => {
            let (_, text) = directory_fault(launch.working_dir.as_deref()?)
                .filter(|(found, _)| *found == number)?;
            format!("it {text}")
        }
        (SpawnStage::Exec, number) => return exec_cause(number, launch),
        _ => return None,
    };
    Some(text)
}

fn too_many_processes(launch: &Launch) -> String {
    let own = launch.limits.tree_processes.map_or_else(String::new, |limit| {
        format!(", or its own limit tree_processes ({limit}) leaves it no room")
    });
    format!(
        "the limit of processes is reached, be it of this user (ulimit -u), of a control group \
         (pids.max) or of the system{own}; raise it or run fewer at a time"
    )
}

fn exec_cause(number: c_int, launch: &Launch) -> Option<String> {
    if number == libc::E2BIG {
        return Some(too_long(launch));
    }
    let chain = ExecChain::of(&launch.program, launch.working_dir.as_deref());
    if number == libc::ETXTBSY {
        return Some(match &chain.files[..] {
            [] | [_] => "it is still being written".to_string(),
            files => format!("one of the files that run it is still being written: {files:?}"),
        });
    }
    Some(chain.fault(number)?.to_string())
}

/// Says what of the arguments and the environment is too long; never a value.
fn too_long(launch: &Launch) -> String {
    let args = launch.args.iter().enumerate();
    let args = args.map(|(index, arg)| (format!("argument {index}"), arg.len() + 1));
    let variable = |name: &OsStr, value: &OsStr| name.len() + value.len() + 2;
    let env = launch.env.iter();
    let env = env.map(|(name, value)| (format!("the variable {name:?}"), variable(name, value)));
    let longest = LONGEST_STRING_PAGES * rustix::param::page_size();
    let is_too_long =
        |(_, length): &(String, usize)| cfg!(target_os = "linux") && *length > longest;
    if let Some((what, length)) = args.chain(env).find(is_too_long) {
        return format!(
            "{what} is too long: it has {} bytes, and this system takes {} in one; pass it in a \
             file or through standard input",
            length - 1,
            longest - 1
        );
    }
    let args: usize = launch.args.iter().map(|arg| arg.len() + 1).sum();
    let env: usize = launch.env.iter().map(|(name, value)| variable(name, value)).sum();
    let pointers = (launch.args.len() + launch.env.len()) * size_of::<usize>();
    let bound = if cfg!(target_os = "linux") {
        format!(", and this system takes {}", bytes_for_strings())
    } else {
        String::new()
    };
    format!(
        "the arguments ({args} bytes) and the environment ({env} bytes) are too long together with \
         the list of them ({pointers} bytes){bound}; pass data in a file or through standard input"
    )
}

/// Returns how many bytes Linux takes for arguments and environment: a quarter of the stack.
fn bytes_for_strings() -> u64 {
    let stack = rustix::process::getrlimit(rustix::process::Resource::Stack).current;
    (stack.unwrap_or(u64::MAX) / 4).clamp(FEWEST_BYTES, MOST_BYTES)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::SpawnError;

    const STAGES: [SpawnStage; 10] = [
        SpawnStage::Input,
        SpawnStage::NullDevice,
        SpawnStage::Pipe,
        SpawnStage::Process,
        SpawnStage::Containment,
        SpawnStage::Limits,
        SpawnStage::WorkingDirectory,
        SpawnStage::Stdio,
        SpawnStage::User,
        SpawnStage::Exec,
    ];

    fn text(stage: SpawnStage, number: c_int) -> String {
        let mut launch = Launch::new("/srv/no such\ntool");
        launch.args.push("secret argument".into());
        launch.env.push(("NAME".into(), "secret value".into()));
        launch.working_dir = Some("/srv/no\nwhere".into());
        SpawnError::new(stage, io::Error::from_raw_os_error(number)).of(&launch).to_string()
    }

    #[test]
    fn each_step_names_the_program_or_the_directory() {
        for stage in STAGES {
            for number in 1..134 {
                let text = text(stage, number);
                assert!(text.contains(r#""/srv/no such\ntool""#), "{text}");
                let is_directory = stage == SpawnStage::WorkingDirectory;
                assert!(!is_directory || text.contains(r#""/srv/no\nwhere""#), "{text}");
                assert!(text.contains(&format!("(os error {number})")), "{text}");
                assert!(!text.contains('\n') && !text.contains("secret"), "{text}");
            }
            let says = |number, words| {
                let text = text(stage, number);
                assert!(text.contains(words), "{text}");
            };
            says(libc::EMFILE, "the limit of open files of this process is reached");
            says(libc::ENFILE, "the limit of open files of the system");
            says(libc::EAGAIN, "the limit of processes");
        }
    }

    #[test]
    fn a_cause_that_does_not_fit_the_number_is_not_given() {
        // The program does not exist, but that is not what the system says.
        let said = text(SpawnStage::Exec, libc::EACCES);
        assert!(said.ends_with("(os error 13)"), "{said}");
        let said = text(SpawnStage::WorkingDirectory, libc::EACCES);
        assert!(said.ends_with("(os error 13)"), "{said}");
        assert!(text(SpawnStage::Exec, libc::ENOENT).ends_with("; it does not exist"));
    }

    #[test]
    fn a_limit_of_its_own_is_named() {
        let mut launch = Launch::new("/bin/true");
        launch.limits.tree_processes = Some(0);
        let error =
            SpawnError::new(SpawnStage::Process, io::Error::from_raw_os_error(libc::EAGAIN));
        let text = error.of(&launch).to_string();
        assert!(text.contains("its own limit tree_processes (0)"), "{text}");
    }
}
