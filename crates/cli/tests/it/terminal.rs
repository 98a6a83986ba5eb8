//! `exeng run` in a terminal: the program has it as if it had been started directly.

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{EXENG, Live, is_alive, until};

const CTRL_C: &str = "\x03";
const CTRL_BACKSLASH: &str = "\x1c";
const CTRL_Z: &str = "\x1a";
/// Runs until a signal ends it. A shell may miss a signal that comes while it starts a program, until
/// that program has ended: here this is soon.
const GO_ON: &str = "while :; do sleep 0.1; done";

fn run(words: &[&str]) -> Live {
    Live::in_terminal(&[&[EXENG, "run"], words].concat())
}

#[test]
fn program_has_the_terminal_its_size_and_the_foreground() {
    let foreground = "import os; print(os.tcgetpgrp(0) == os.getpgrp())";
    let line = format!(
        "test -t 0 && test -t 1 && test -t 2 && stty size && python3 -c '{foreground}' && exit 3"
    );
    let (status, screen) = run(&["--", "sh", "-c", &line]).end();
    assert_eq!(screen, "40 100\r\nTrue\r\n");
    assert_eq!(status.code(), Some(3));
}

#[test]
fn program_asks_and_is_answered() {
    let mut asking = run(&["--", "sh", "-c", "printf 'name? '; read name; echo hello $name"]);
    asking.until("name? ");
    asking.send("world\n");
    asking.until("hello world");
    assert_eq!(asking.code(), 0);
}

#[test]
fn program_can_ask_on_the_terminal_itself_while_its_streams_are_elsewhere() {
    let line =
        "\"$exeng\" run -- sh -c 'read name </dev/tty; echo $name >/dev/tty; cat' <<<piped | cat";
    let mut asking = Live::in_terminal(&["bash", "-c", line]);
    asking.send("typed\n");
    asking.until("typed\r\n");
    asking.until("piped");
    assert_eq!(asking.code(), 0);
}

#[test]
fn ctrl_c_is_the_programs_and_its_ending_counts() {
    let mut plain = run(&["--", "sh", "-c", &format!("echo ready; {GO_ON}")]);
    plain.until("ready");
    plain.send(CTRL_C);
    assert_eq!(plain.code(), 130);

    let line = format!("trap 'echo bye; exit 5' INT; echo ready; {GO_ON}");
    let mut trapped = run(&["--", "sh", "-c", &line]);
    trapped.until("ready");
    trapped.send(CTRL_C);
    trapped.until("bye");
    assert_eq!(trapped.code(), 5);
}

#[test]
fn ctrl_backslash_is_the_programs() {
    let mut plain = run(&["--limit", "core=0", "--", "sh", "-c", "echo ready; exec sleep 300"]);
    plain.until("ready");
    plain.send(CTRL_BACKSLASH);
    assert_eq!(plain.code(), 131);
}

#[test]
fn second_ctrl_c_ends_a_program_that_goes_on() {
    let line = format!("trap 'echo not yet' INT; trap 'echo never' TERM; echo ready; {GO_ON}");
    let mut stubborn = run(&["--stop-grace", "1h", "--", "sh", "-c", &line]);
    stubborn.until("ready");
    stubborn.send(CTRL_C);
    stubborn.until("not yet");
    stubborn.send(CTRL_C);
    assert_eq!(stubborn.code(), 130);
}

#[test]
fn ctrl_c_that_the_program_ignores_is_for_exeng_politely_and_then_firmly() {
    let line = "trap '' INT; trap 'echo bye; exit 1' TERM; echo ready; sleep 300 & wait";
    let mut ignoring = run(&["--", "sh", "-c", line]);
    ignoring.until("ready");
    ignoring.send(CTRL_C);
    ignoring.until("bye");
    assert_eq!(ignoring.code(), 130);

    let line = format!("trap '' INT; trap 'echo not yet' TERM; echo ready; {GO_ON}");
    let mut stubborn = run(&["--stop-grace", "1h", "--", "sh", "-c", &line]);
    stubborn.until("ready");
    stubborn.send(CTRL_C);
    stubborn.until("not yet");
    stubborn.send(CTRL_C);
    assert_eq!(stubborn.code(), 130);
}

#[test]
fn ctrl_c_at_a_prompt_that_reads_keys_is_never_counted() {
    // What a line editor does: it takes the terminal out of its line mode, and puts it back while it
    // handles a signal.
    let editor = "import signal, sys, termios, time
lines = termios.tcgetattr(0)
keys = termios.tcgetattr(0)
keys[3] &= ~termios.ICANON
termios.tcsetattr(0, termios.TCSANOW, keys)
count = 0
def pressed(*_):
    global count
    count += 1
    termios.tcsetattr(0, termios.TCSANOW, lines)
    print('pressed', count, flush=True)
    time.sleep(0.03)
    termios.tcsetattr(0, termios.TCSANOW, keys)
signal.signal(signal.SIGINT, pressed)
print('ready', flush=True)
while sys.stdin.read(1) != 'q':
    pass
sys.exit(9)";
    let mut editing = run(&["--", "python3", "-c", editor]);
    editing.until("ready");
    for count in 1..=4 {
        editing.send(CTRL_C);
        editing.until(&format!("pressed {count}"));
    }
    editing.send("q");
    assert_eq!(editing.code(), 9);
}

#[test]
fn ctrl_c_ends_the_attempts_too() {
    let words = ["--retry", "9", "--retry-delay", "1h", "--", "sh", "-c"];
    let mut failing = run(&[&words[..], &[&*format!("echo ready; {GO_ON}")]].concat());
    failing.until("ready");
    failing.send(CTRL_C);
    assert_eq!(failing.code(), 130);
}

#[test]
fn ctrl_z_stops_both_and_fg_continues_both() {
    let mut shell = Live::shell();
    shell.send("\"$exeng\" run -- sh -c 'echo rea\"\"dy; read line; echo go\"\"t $line; exit 4'\n");
    shell.until("ready\r\n");
    shell.send(CTRL_Z);
    shell.until("Stopped");
    shell.until("ready> ");
    shell.send("echo the shell ha''s it\n");
    shell.until("the shell has it");
    shell.send("fg\n");
    shell.send("on\n");
    shell.until("got on");
    shell.send("echo code''=$?\n");
    shell.until("code=4");
    shell.send("exit\n");
    assert_eq!(shell.code(), 0);
}

#[test]
fn program_that_stops_itself_gives_the_terminal_back_to_the_shell() {
    let mut shell = Live::shell();
    shell.send("\"$exeng\" run -- sh -c 'kill -STOP $$; echo wen\"\"t on'\n");
    shell.until("Stopped");
    shell.until("ready> ");
    shell.send("fg\n");
    shell.until("went on");
    shell.send("exit\n");
    assert_eq!(shell.code(), 0);
}

#[test]
fn shell_in_a_shell_can_be_suspended_continued_and_killed() {
    let mut shell = Live::shell();
    shell.send("\"$exeng\" run -- bash --norc --noprofile --noediting -i\n");
    shell.send("PS1='in''ner> '\n");
    shell.until("inner> ");
    shell.send("suspend\n");
    shell.until("ready> ");
    shell.send("fg\n");
    shell.send("echo a''gain\n");
    shell.until("again");
    // It takes the terminal into a group of its own, which is gone with it.
    shell.send("kill -KILL $$\n");
    shell.until("ready> ");
    shell.send("echo code''=$?\n");
    shell.until("code=137");
    shell.send("exit\n");
    assert_eq!(shell.code(), 0);
}

#[test]
fn background_job_that_reads_waits_for_the_foreground() {
    let mut shell = Live::shell();
    shell.send("\"$exeng\" run -- sh -c 'read line; echo go\"\"t $line' &\n");
    shell.until("ready> ");
    shell.send("until jobs | grep -q Stopped; do sleep 0.1; done; echo wai''ts\n");
    shell.until("waits");
    shell.send("fg\n");
    shell.send("something\n");
    shell.until("got something");
    shell.send("exit\n");
    assert_eq!(shell.code(), 0);
}

#[test]
fn neighbours_in_a_pipeline_keep_the_terminal() {
    let mut shell = Live::shell();
    shell.send("head -1 | \"$exeng\" run -- tr a b | { read line; read more </dev/tty; echo $line,$more; }\n");
    shell.send("aaa\n");
    shell.send("key\n");
    shell.until("bbb,key");
    shell.send("exit\n");
    assert_eq!(shell.code(), 0);
}

#[test]
fn killed_job_is_stopped_as_a_whole() {
    let mut shell = Live::shell();
    shell.send("\"$exeng\" run -- sh -c 'echo run\"\"s; sleep 300; :' &\n");
    shell.until("runs\r\n");
    shell.send("kill %1; wait %1; echo code''=$?\n");
    shell.until("code=130");
    shell.send("exit\n");
    assert_eq!(shell.code(), 0);
}

#[test]
fn modes_of_a_program_that_was_stopped_are_put_back() {
    let mut shell = Live::shell();
    shell.send(
        "\"$exeng\" run --timeout 300ms -- sh -c 'stty raw -echo; sleep 300'; echo code''=$?\n",
    );
    shell.until("code=124");
    shell.until("ready> ");
    shell.send("stty -a | grep -o -- '-*icanon'\n");
    shell.until("\r\nicanon\r\n");
    shell.send("exit\n");
    assert_eq!(shell.code(), 0);
}

#[test]
fn what_is_ignored_stays_ignored() {
    let ignored = "grep SigIgn /proc/self/status | grep -o '.$'";
    let line = format!(
        "trap '' HUP INT; exec \"$exeng\" run -- sh -c \"{ignored}; kill -HUP \\$PPID; sleep 0.2; echo on\""
    );
    let (status, screen) = Live::in_terminal(&["bash", "-c", &line]).end();
    // Bits 0 and 1 of the set are SIGHUP and SIGINT.
    assert_eq!(screen, "3\r\non\r\n");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn hangup_of_the_terminal_stops_the_tree() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("pid");
    let line = format!("echo $$ >'{}'; trap '' HUP; echo ready; sleep 300 & wait", file.display());
    let mut hung_up = run(&["--", "sh", "-c", &line]);
    hung_up.until("ready");
    let pid = std::fs::read_to_string(file).unwrap();
    // The other end of the pseudo terminal is gone with it.
    hung_up.child.kill().unwrap();
    until("the tree is gone", || !is_alive(pid.trim()));
}

#[test]
fn program_that_signals_its_own_group_has_its_own_ending() {
    let line = "trap 'trap - TERM; kill 0; sleep 300' EXIT; echo ready; exit 3";
    let mut signalling = run(&["--", "sh", "-c", line]);
    signalling.until("ready");
    assert_eq!(signalling.code(), 128 + 15);
}

#[test]
fn killed_exeng_leaves_no_process_in_its_terminal() {
    let line = "setsid sleep 300 & sleep 300 & echo pids $PPID $! $$ end; wait";
    let mut killed = run(&["--", "sh", "-c", line]);
    killed.until("pids ");
    let pids = killed.until(" end");
    let mut pids = pids.split(' ');
    let exeng = pids.next().unwrap().parse().ok().and_then(Pid::from_raw).unwrap();
    kill_process(exeng, Signal::KILL).unwrap();
    for pid in pids {
        until(&format!("process {pid} is gone"), || !is_alive(pid));
    }
}
