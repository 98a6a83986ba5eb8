//! Other queues of commands beside `exeng submit`, where they are installed: each adds a command by its command line.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use service_judge::preload::command;
use service_judge::service::until;

use super::NAME;
use super::fixture::Bench;
use crate::args::Size;
use crate::contender::Contender;
use crate::rounds::percentile;
use crate::table::{Row, Unit};

/// Returns `true` if a program is in `PATH`.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

pub fn measure(exeng: &Path, size: Size) -> Vec<Row> {
    let rounds = size.of(200, 20);
    let bench = Bench::start(exeng);
    let ours = added(rounds, || bench.service.command(&["submit", "--", "true"]));
    let mut rows = vec![
        Row::new(NAME, "a command added by exeng submit, median", Unit::Micros)
            .figure(Contender::Engine, ours),
    ];
    let dir = tempfile::tempdir().expect("a directory");
    if is_installed("pueue") && is_installed("pueued") {
        rows.push(pueue(dir.path(), rounds, ours));
    }
    if is_installed("tsp") {
        rows.push(task_spooler(dir.path(), rounds, ours));
    }
    rows
}

/// Returns the median time of a command that adds another to a queue.
fn added(rounds: usize, add: impl Fn() -> Command) -> f64 {
    let times = (0..rounds).map(|_| {
        let begun = Instant::now();
        let status = add().stdin(Stdio::null()).stdout(Stdio::null()).status();
        assert!(status.expect("it runs").success(), "it adds");
        begun.elapsed().as_secs_f64()
    });
    percentile(times.collect(), 0.5)
}

fn row(name: &str, theirs: f64, ours: f64) -> Row {
    Row::new(NAME, format!("the same with {name}"), Unit::Micros)
        .figure(Contender::Engine, ours)
        .figure(Contender::Reference, theirs)
        .beside("its time", ours / theirs)
}

fn in_dir(program: &str, dir: &Path, args: &[&OsStr]) -> Command {
    let mut it = command(program);
    for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "HOME", "TMPDIR"] {
        it.env(name, dir);
    }
    it.env("TS_SOCKET", dir.join("tsp.socket")).args(args);
    it
}

fn pueue(dir: &Path, rounds: usize, ours: f64) -> Row {
    let mut daemon = in_dir("pueued", dir, &[]);
    let mut daemon = daemon.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    let pueue = |args: &[&str]| {
        let args: Vec<_> = args.iter().map(OsStr::new).collect();
        in_dir("pueue", dir, &args)
    };
    until("pueued", || {
        let mut status = pueue(&["status"]);
        status.output().is_ok_and(|output| output.status.success())
    });
    let theirs = added(rounds, || pueue(&["add", "--", "true"]));
    daemon.kill().expect("it is a child");
    daemon.wait().expect("it ends");
    row("pueue add", theirs, ours)
}

fn task_spooler(dir: &Path, rounds: usize, ours: f64) -> Row {
    let tsp = |args: &[&str]| {
        let args: Vec<_> = args.iter().map(OsStr::new).collect();
        in_dir("tsp", dir, &args)
    };
    let theirs = added(rounds, || tsp(&["true"]));
    // It ends the server that the first command has started.
    let _ended = tsp(&["-K"]).status();
    row("tsp", theirs, ours)
}
