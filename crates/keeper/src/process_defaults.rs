use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit, umask};

/// Descriptors that a service and a keeper allow themselves, if they may: about eight for each execution. Programs
/// inherit the limit, so it is not the highest that the system allows.
const OPEN_FILES: u64 = 65_536;
/// What systems give a program as stack.
const STACK: u64 = 8 << 20;
/// Limits that are as high as they may be.
const HIGHEST: [Resource; 6] = [
    Resource::Fsize,
    Resource::Cpu,
    Resource::As,
    Resource::Data,
    Resource::Nproc,
    Resource::Memlock,
];

/// Gives this process, and what it starts, a state that does not depend on the process that started it.
///
/// - The umask is 022, and the nice value 0, if the system allows that.
/// - The soft limits are the hard ones for the size of files, processor time, address space, data, processes and
///   locked memory. They are, but not above the hard ones, 65,536 for open files, 8 MiB for the stack, and 0 for core
///   files.
///
/// Hard limits stay as they are.
pub fn set_process_defaults() {
    umask(Mode::from_raw_mode(0o022));
    // Only some may go below what they have been given.
    let _as_before = setpriority_process(None, 0);
    for resource in HIGHEST {
        set(resource, None);
    }
    set(Resource::Nofile, Some(OPEN_FILES));
    set(Resource::Stack, Some(STACK));
    set(Resource::Core, Some(0));
}

/// Sets a soft limit, at most to the hard one.
fn set(resource: Resource, wanted: Option<u64>) {
    let Rlimit { maximum, .. } = getrlimit(resource);
    let current = match (wanted, maximum) {
        (Some(wanted), Some(maximum)) => Some(wanted.min(maximum)),
        (one, other) => one.or(other),
    };
    // What can run is bounded by what there is.
    let _as_before = setrlimit(resource, Rlimit { current, maximum });
}
