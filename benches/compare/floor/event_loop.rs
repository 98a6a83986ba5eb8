//! Many children at a time on one thread: epoll reports which pipe is readable.

use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::Image;
use crate::child::Cmd;

struct Running {
    pid: Pid,
    /// Standard output and error, while they are open.
    pipes: [Option<OwnedFd>; 2],
    stdout: Vec<u8>,
}

/// Runs [`run_many`] on one thread per core, because starting a child blocks its thread.
pub fn run_on_all_cores(cmd: &Cmd, total: usize, width: usize) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(width);
    std::thread::scope(|scope| {
        for core in 0..cores {
            let part = move |of: usize| of / cores + usize::from(core < of % cores);
            scope.spawn(move || run_many(cmd, part(total), part(width), drop));
        }
    });
}

/// Runs `total` children, `width` at a time, and passes on the output of each.
pub fn run_many(cmd: &Cmd, total: usize, width: usize, mut ended: impl FnMut(Vec<u8>)) {
    let image = Image::new(cmd);
    let epoll = epoll::create(CreateFlags::CLOEXEC).expect("an epoll instance");
    let mut children: Vec<Option<Running>> = Vec::new();
    children.resize_with(width, || None);
    let mut events = Vec::with_capacity(2 * width);
    let mut buffer = vec![0; 64 * 1024];
    let (mut started, mut done) = (0, 0);
    while done < total {
        for (place, slot) in children.iter_mut().enumerate() {
            if slot.is_none() && started < total {
                *slot = Some(start(&image, &epoll, place));
                started += 1;
            }
        }
        events.clear();
        match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Err(Errno::INTR) => continue,
            waited => waited.expect("epoll waits"),
        };
        for event in &events {
            let (place, stream) = place_of(*event);
            let child = children[place].as_mut().expect("its pipes are open");
            read(child, stream, &epoll, &mut buffer);
            if child.pipes.iter().all(Option::is_none) {
                wait(child.pid);
                let child = children[place].take().expect("it is there");
                ended(child.stdout);
                done += 1;
            }
        }
    }
}

fn start(image: &Image, epoll: &OwnedFd, place: usize) -> Running {
    let pipe = || {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        rustix::fs::fcntl_setfl(&read, OFlags::NONBLOCK).expect("pipes have this flag");
        (read, write)
    };
    let ((stdout, child_stdout), (stderr, child_stderr)) = (pipe(), pipe());
    let pid = image.start(child_stdout, child_stderr);
    for (stream, fd) in [&stdout, &stderr].into_iter().enumerate() {
        let data = EventData::new_u64((place * 2 + stream) as u64);
        epoll::add(epoll, fd, data, EventFlags::IN).expect("epoll takes pipes");
    }
    Running { pid, pipes: [Some(stdout), Some(stderr)], stdout: Vec::new() }
}

fn place_of(event: Event) -> (usize, usize) {
    let number = usize::try_from(event.data.u64()).expect("it was one");
    (number / 2, number % 2)
}

fn read(child: &mut Running, stream: usize, epoll: &OwnedFd, buffer: &mut [u8]) {
    let pipe = child.pipes[stream].as_ref().expect("it is open");
    match rustix::io::read(pipe, &mut *buffer) {
        Ok(0) => {
            // Closing it is not enough: a sibling that is just being forked holds it, too.
            epoll::delete(epoll, pipe).expect("it was added");
            child.pipes[stream] = None;
        }
        Ok(count) if stream == 0 => child.stdout.extend_from_slice(&buffer[..count]),
        Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
        Err(error) => panic!("the pipe cannot be read: {error}"),
    }
}

fn wait(pid: Pid) {
    loop {
        match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            waited => {
                let status = waited.expect("it is ours").expect("it was waited for");
                assert_eq!(status.exit_status(), Some(0));
                return;
            }
        }
    }
}
