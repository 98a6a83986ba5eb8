//! A host that has closed its own standard streams. The tests of this binary are one, and the host
//! it starts: the same binary again.

use std::os::fd::{FromRawFd as _, OwnedFd};

use execution_engine_process::{Child, Containment, Exit, Launch, OutputMode, Spawned, Stdin};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Says that this is the host without streams, and where it is to tell what it found.
const TELLS: &str = "BARE_HOST_TELLS";

fn launch<const N: usize>(program: &str, args: [&str; N]) -> Launch {
    let mut launch = Launch::new(program);
    launch.args.extend(args.map(Into::into));
    launch.env = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())];
    launch
}

fn ready(fd: &impl std::os::fd::AsFd) {
    let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&limit)).unwrap();
    assert_eq!(ready, 1, "waited too long");
}

fn exit(child: &mut Child) -> Exit {
    ready(&child.exit_fd());
    child.exit().unwrap().unwrap()
}

fn all_of(pipe: &impl std::os::fd::AsFd) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        ready(pipe);
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => return String::from_utf8(text).unwrap(),
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(error) => assert_eq!(error, rustix::io::Errno::AGAIN),
        }
    }
}

#[test]
fn a_host_that_has_closed_its_streams_gives_its_children_theirs() {
    if let Some(file) = std::env::var_os(TELLS) {
        for fd in 0..3 {
            // SAFETY: nobody in this process uses its standard streams by an owner; what is written
            // to them from now on fails, which is ignored.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        let told = std::panic::catch_unwind(without_streams).is_ok();
        std::fs::write(file, if told { "as it should be" } else { "not as it should be" }).unwrap();
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("told");
    let test = "a_host_that_has_closed_its_streams_gives_its_children_theirs";
    let mut host = launch(std::env::current_exe().unwrap().to_str().unwrap(), ["--exact", test]);
    host.env.push((TELLS.into(), file.clone().into()));
    let mut spawned = Containment::strongest().spawn(&host).unwrap();
    exit(&mut spawned.child);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "as it should be");
}

fn without_streams() {
    let containment = Containment::strongest();
    let line = "read line; echo out $line; echo err >&2; ls /proc/self/fd | tr '\\n' ' '";
    for output in [OutputMode::Separate, OutputMode::Merged] {
        let mut launch = launch("/bin/sh", ["-c", line]);
        (launch.stdin, launch.output) = (Stdin::Piped, output);
        let Spawned { mut child, stdin, stdout, stderr } = containment.spawn(&launch).unwrap();
        rustix::io::write(stdin.unwrap(), b"given\n").unwrap();
        let seen = (all_of(&stdout), stderr.as_ref().map(all_of));
        // The directory that ls reads is its fourth.
        let expected = match output {
            OutputMode::Separate => ("out given\n0 1 2 3 ", Some("err\n")),
            _ => ("out given\nerr\n0 1 2 3 ", None),
        };
        assert_eq!((seen.0.as_str(), seen.1.as_deref()), expected);
        assert_eq!(exit(&mut child), Exit::Code(0));
    }
}
