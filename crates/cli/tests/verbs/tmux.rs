//! The verbs on a terminal, as people see them: in tmux, with the screen read back.

use std::cell::Cell;
use std::process::{Command, Stdio};

use crate::support::{Host, until};

/// Size of the window.
const COLUMNS: usize = 100;
const LINES: usize = 40;

/// A shell in a window of tmux. Dropping it ends its server, which is its own.
struct Screen<'a> {
    host: &'a Host,
    /// Lines that were run: each has an end of its own.
    lines: Cell<usize>,
}

impl<'a> Screen<'a> {
    /// Opens a window. None if there is no tmux here, which is told.
    fn open(host: &'a Host) -> Option<Self> {
        let (columns, lines) = (COLUMNS.to_string(), LINES.to_string());
        let mut command = host.shell(
            "exec tmux -S tmux -f /dev/null new-session -d -x \"$1\" -y \"$2\" \"PS1='ready> ' exec sh\"",
        );
        command
            .args(["sh", &columns, &lines])
            .env_remove("NO_COLOR")
            .env("TERM", "screen-256color");
        let screen = Self { host, lines: Cell::new(0) };
        if !command.status().unwrap().success() {
            println!("SKIPPED: there is no tmux here");
            return None;
        }
        screen.shows("ready>");
        Some(screen)
    }

    #[expect(clippy::disallowed_methods, reason = "a tool of the test, and no execution")]
    fn tmux(&self, words: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.host.dir().join("tmux")).args(words);
        let output = command.stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types a line.
    fn types(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.key("Enter");
    }

    /// Presses a key, by the name that tmux gives it.
    fn key(&self, name: &str) {
        self.tmux(&["send-keys", name]);
    }

    /// Returns what the window shows.
    fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Returns what the window shows, with its colours.
    fn colours(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Waits until the window shows a text.
    fn shows(&self, text: &str) {
        until(&format!("the screen shows {text:?}: {}", self.text()), || {
            self.text().contains(text)
        });
    }

    /// Runs a line to its end in an empty window. Returns what it shows and its exit code.
    fn run(&self, line: &str) -> (String, String) {
        let number = self.lines.get() + 1;
        self.lines.set(number);
        self.types(&format!("clear; {line}; printf '<%s>%s\\n' {number} $?"));
        let end = format!("<{number}>");
        let code = |text: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| Some(line.strip_prefix(&end)?.to_string()))
        };
        until(&format!("the end of {line}"), || code(&self.text()).is_some());
        let shown = self.text();
        let code = code(&shown).unwrap();
        (shown, code)
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn tables_fit_the_window_and_colours_say_how_it_ended() {
    let host = Host::new();
    let Some(screen) = Screen::open(&host) else { return };
    host.ok(&["submit", "--wait", "--shell", &format!(": {}", "long ".repeat(60))]);
    host.exeng(&["submit", "--wait", "--tag", "red", "--shell", "exit 3"]);
    let (shown, code) = screen.run("exeng ls");
    assert_eq!(code, "0");
    let rows: Vec<&str> = shown.lines().collect();
    assert!(
        rows[0].starts_with("ID ") && rows[1].contains("failed") && rows[1].contains("red"),
        "{shown}"
    );
    assert!(rows[2].ends_with('\u{2026}') && rows[2].chars().count() == COLUMNS, "{shown}");
    let colours = screen.colours();
    assert!(
        colours.contains("\u{1b}[31mfailed") && colours.contains("\u{1b}[32mcompleted"),
        "{colours}"
    );
    screen.run("NO_COLOR=1 exeng ls");
    assert!(!screen.colours().contains("\u{1b}[31m"));
}

#[test]
fn each_verb_that_shows_something_fits_the_window() {
    let host = Host::new();
    let Some(screen) = Screen::open(&host) else { return };
    std::fs::write(host.file("plan.toml"), "[[steps]]\nname = \"one\"\ncommand = \"echo one\"\n")
        .unwrap();
    let id = host.submit("echo out; echo err >&2; exit 4");
    for (line, expected, ends) in [
        ("exeng wait @last", "", "4"),
        ("exeng show @last", "status       failed", "0"),
        ("exeng logs @last", "out", "0"),
        ("exeng rerun --wait @last", "-", "4"),
        ("exeng pin @last", "", "0"),
        ("exeng pin --remove @last", "", "0"),
        ("exeng stop @last", "has already ended", "0"),
        ("exeng signal TERM @last", "has ended", "125"),
        ("exeng pause @last", "has ended", "125"),
        ("exeng input @last </dev/null", "has ended", "125"),
        ("exeng attach @last", "err", "4"),
        ("exeng keepers", "PID", "0"),
        ("exeng doctor", "service", "0"),
        ("exeng plan check plan.toml", "1 step", "0"),
        ("exeng plan run plan.toml", "plan completed; 1 step: 1 completed", "0"),
        ("exeng plan show @last", "STEP", "0"),
        ("exeng plan ls", "1/1", "0"),
        ("exeng plan wait @last", "plan completed", "0"),
        ("exeng rm --dry-run @last", "completed", "0"),
        ("exeng run -- sh -c 'test -t 1 && echo terminal'", "terminal", "0"),
    ] {
        let (shown, code) = screen.run(line);
        assert!(shown.contains(expected), "{line} shows:\n{shown}");
        assert_eq!(code, ends, "{line} shows:\n{shown}");
        assert!(!shown.contains("panicked"), "{line} shows:\n{shown}");
    }
    host.ok(&["show", &id]);
}

#[test]
fn plan_is_drawn_while_it_runs_and_leaves_the_window_as_it_was() {
    let host = Host::new();
    let Some(screen) = Screen::open(&host) else { return };
    let plan = r#"
        [[steps]]
        name = "first"
        command = "echo first"
        [[steps]]
        name = "slow"
        command = "until test -e go; do sleep 0.05; done; exit 3"
        after = ["first"]
        [[steps]]
        name = "last"
        command = "true"
        after = ["slow"]
    "#;
    std::fs::write(host.file("plan.toml"), plan).unwrap();
    screen.types("clear; exeng plan run plan.toml; echo code:$?.");
    screen.shows("first  completed");
    screen.shows("1/3");
    screen.shows("1 running");
    assert!(screen.text().lines().any(|line| line.contains("slow ")), "{}", screen.text());
    assert!(screen.colours().contains("\u{1b}[32mcompleted"), "{}", screen.colours());
    std::fs::write(host.file("go"), "").unwrap();
    screen.shows("code:3.");
    let shown = screen.text();
    for line in [
        "slow  failed with exit code 3",
        "last  skipped: ",
        "exeng: plan failed",
        "exeng plan resume ",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.contains("1 running"), "the bars are gone: {shown}");
    screen.types("stty -a | grep -c ' echo '");
    screen.shows("\n1\n");
}

#[test]
fn what_is_followed_is_left_with_ctrl_c_and_goes_on() {
    let host = Host::new();
    let Some(screen) = Screen::open(&host) else { return };
    let id = host.ok(&[
        "submit",
        "--stdin",
        "pipe",
        "--shell",
        "echo ready; read word; echo got $word; exec sleep 1000",
    ]);
    screen.types("clear; exeng logs -f @last");
    screen.shows("ready\n");
    screen.key("C-c");
    screen.shows("^C");
    screen.types("echo code:$?.");
    screen.shows("code:130.");
    screen.types("clear; exeng attach @last; echo code:$?.");
    screen.shows("attached to");
    screen.types("word");
    screen.shows("got word");
    screen.key("C-c");
    screen.shows("detached; ");
    screen.shows("code:0.");
    assert_eq!(host.show(&id)["status"], "running");
    host.ok(&["stop", "--firm", &id]);
}
