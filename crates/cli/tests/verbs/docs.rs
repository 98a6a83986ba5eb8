//! Blocks of the documentation, run as they stand: with the program, and with other tools where they are installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::{Host, finish};

/// Pages whose blocks are run, with the number of those that need nothing but the program.
const PAGES: [(&str, usize); 3] = [("api.md", 0), ("cli.md", 1), ("coming-from.md", 9)];

/// Programs that the blocks name.
const PROGRAMS: [(&str, &str); 3] = [
    ("backup", "echo backed up"),
    ("build", "echo built"),
    ("ask", "read name; echo hello $name; exec sleep 1"),
];

/// A block: the tool that it needs, and its text.
struct Block {
    page: &'static str,
    line: usize,
    tool: String,
    text: String,
}

fn blocks(page: &'static str) -> Vec<Block> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let text = fs::read_to_string(docs.join(page)).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_inside = false;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), is_inside) {
            (Some(""), true) => is_inside = false,
            (Some(info), false) => {
                // Others are no blocks for a shell.
                if let Some(tool) = info.strip_prefix("sh ") {
                    is_inside = true;
                    let (tool, line) = (tool.to_string(), number + 1);
                    blocks.push(Block { page, line, tool, text: String::new() });
                }
            }
            (None, true) => {
                let block = blocks.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

/// Returns what a block promises to print: what follows `#=>` in its lines.
fn promises(block: &Block) -> Vec<&str> {
    block.text.lines().filter_map(|line| Some(line.split_once("#=> ")?.1.trim())).collect()
}

fn is_installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).any(|dir| dir.join(tool).is_file())
}

/// Returns `true` if a tool can be used here: some need a daemon.
fn is_usable(tool: &str) -> bool {
    let needs = match tool {
        "systemd-run" => "/run/systemd/system",
        "at" => "/run/atd.pid",
        "crontab" => "/var/spool/cron/crontabs",
        _ => "/",
    };
    is_installed(tool) && Path::new(needs).exists()
}

fn run(block: &Block) {
    let host = Host::new();
    for (name, line) in PROGRAMS {
        let path = host.dir().join(name);
        fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for name in ["a.txt", "b.txt", "c.txt"] {
        fs::write(host.file(name), name).unwrap();
    }
    fs::write(host.file("Makefile"), "pack: test\n\t@echo packed\ntest:\n\t@echo tested\n")
        .unwrap();
    let line = format!("set -eu\n{}", block.text);
    let mut command = host.shell(&line);
    // A server of its own, which the block ends.
    command.env("TMUX_TMPDIR", host.dir());
    let done = finish(command.spawn().unwrap(), &format!("{}:{}", block.page, block.line));
    assert_eq!(done.code, Some(0), "{}:{}: {done:?}", block.page, block.line);
    let printed = String::from_utf8_lossy(&done.out).into_owned();
    let mut rest = printed.as_str();
    for promise in promises(block) {
        let at = rest.find(promise).unwrap_or_else(|| {
            panic!("{}:{} does not print {promise:?}: {done:?}", block.page, block.line)
        });
        rest = &rest[at + promise.len()..];
    }
}

#[test]
fn blocks_of_the_program_do_what_they_say() {
    for (page, number) in PAGES {
        let blocks: Vec<Block> =
            blocks(page).into_iter().filter(|block| block.tool == "exeng").collect();
        assert_eq!(blocks.len(), number, "{page}");
        blocks.iter().for_each(run);
    }
}

#[test]
fn blocks_of_other_tools_do_the_same_where_they_are_installed() {
    let mut seen = 0;
    for block in PAGES.iter().flat_map(|(page, _)| blocks(page)) {
        if block.tool == "exeng" {
            continue;
        }
        seen += 1;
        if is_usable(&block.tool) {
            run(&block);
        } else {
            println!("SKIPPED {}:{}: {} is not here", block.page, block.line, block.tool);
        }
    }
    assert!(seen >= 8, "{seen}");
}
