#!/usr/bin/env python3
"""Makes `exeng.svg`, the recording in the README: a session with the real program, in a window of tmux.

    cargo build -p exeng
    docs/recording/record.py            # makes the recording anew
    docs/recording/record.py --check    # fails if exeng does not print what the recording shows

It needs Linux, Python 3.10, tmux and jq. The session has a service of its own in a temporary directory, and leaves
nothing behind.

The story is below, in `story`. Programs that run in it (`files/`) wait at gates, which the story opens when it has seen
what comes before; so each run shows the same frames, however slow the machine is. How long a frame is shown is written
in the story, too. What still varies, ids and times, is replaced (`normal.py`). So two runs make the same file, byte for
byte.
"""

import argparse
import difflib
import re
import shutil
import signal
import sys
from pathlib import Path

import normal
import picture
from terminal import Failure, Terminal

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SVG = HERE / "exeng.svg"
TITLE = "exeng in a terminal: a command with a time limit, work that outlives its service, and a plan of many steps"

# Characters that appear at a time while a command is typed, and milliseconds between them.
CHUNK, PACE = 3, 70
# Milliseconds between two pictures of a plan that runs.
LIVE = 2 * normal.TICK


class Recorder:
    """The window, and the frames that were taken of it."""

    def __init__(self, terminal: Terminal):
        self.terminal = terminal
        self.normal = normal.Normal()
        self.frames: list[picture.Frame] = []
        self.clock = 0

    def frame(self, hold: int, *patterns: str, cursor: bool = False, key: str = "") -> None:
        """Takes a frame as soon as the last rows of the screen match, to be shown for `hold` milliseconds."""
        rows = self.normal.screen(self.terminal.until(*patterns), self.clock)
        self.frames.append(picture.Frame(rows, hold, cursor, key))
        self.clock += hold

    def say(self, comment: str, hold: int) -> None:
        """Enters a comment at once."""
        self.terminal.type(f"# {comment}")
        self.frame(hold, prompt(f"# {comment}"), cursor=True)
        self.terminal.press("Enter")
        self.frame(200, prompt(), cursor=True)

    def enter(self, command: str) -> None:
        """Types a command, and starts it."""
        for at in range(0, len(command), CHUNK):
            self.terminal.type(command[at:at + CHUNK])
            self.frame(PACE, prompt(command[:at + CHUNK]), cursor=True)
        self.still(250, cursor=True)
        self.terminal.press("Enter")

    def still(self, hold: int, cursor: bool = False) -> None:
        """Shows the last frame for longer. Looks at no screen, so that nothing can have changed meanwhile."""
        self.frames.append(picture.Frame(self.frames[-1].rows, hold, cursor))
        self.clock += hold

    def finish(self, command: str, hold: int) -> None:
        """Waits for the prompt behind a command."""
        self.frame(hold, prompt(), cursor=True, key=command)

    def run(self, command: str, hold: int, running: int = 0) -> None:
        """Runs a command to its end, and shows it while it runs for so many milliseconds."""
        self.enter(command)
        if running:
            self.still(running)
        self.finish(command, hold)

    def live(self, count: int, *patterns: str) -> None:
        """Takes some frames of what moves."""
        for _ in range(count):
            self.frame(LIVE, *patterns)


def prompt(command: str = "") -> str:
    """Returns the pattern of a row with a prompt and what is typed behind it."""
    return re.escape(f"$ {command}".rstrip())


def story(recorder: Recorder) -> None:
    """Plays the session."""
    recorder.frame(600, prompt(), cursor=True)
    recorder.say("a command with a time limit, of which nothing is left", 550)
    recorder.run("exeng run --timeout 2s -- sleep 60; echo $?", hold=1100, running=2000)

    recorder.say("one that outlives this terminal", 550)
    recorder.run("exeng submit --tag nightly -- ./train", hold=700)
    follow = "exeng logs -f @last"
    recorder.enter(follow)
    for epoch in (1, 2, 3, 4):
        recorder.terminal.open_gate(f"epoch-{epoch}")
        recorder.frame(450, f"epoch {epoch} .*")
    recorder.terminal.press("C-c")
    recorder.finish(follow, hold=500)

    recorder.say("and its service, too", 550)
    recorder.run("kill -9 $(exeng doctor --json | jq .service.pid)", hold=500)
    recorder.run("exeng ls", hold=1500)
    wait = "exeng wait @last; echo $?"
    recorder.enter(wait)
    recorder.still(900)
    recorder.terminal.open_gate("epoch-5")
    recorder.terminal.open_gate("epoch-6")
    recorder.finish(wait, hold=1100)
    plan(recorder)


def plan(recorder: Recorder) -> None:
    """Plays the end of the session: a plan, with bars while it runs."""
    def bar(over: int, running: int) -> str:
        return rf"[█░]+ {over}/5 .* {running} running"

    def step(name: str) -> str:
        return rf"[{normal.SPINNER}] {name}  \S+"

    # Two steps that start at once are shown in any order here.
    first, tests = step("(build|lint)"), step(r"test \((e2e|unit)\)")
    done = r"{}  completed, .*".format
    recorder.say("many commands as one piece of work", 550)
    command = "exeng plan run ci.toml"
    recorder.enter(command)
    recorder.live(5, "exeng: plan .*", first, first, bar(0, 2))
    recorder.terminal.open_gate("lint")
    recorder.live(2, done("lint"), step("build"), bar(1, 1))
    recorder.terminal.open_gate("build")
    recorder.live(6, done("build"), tests, tests, bar(2, 2))
    recorder.terminal.open_gate("test-unit")
    recorder.live(4, done(r"test \(unit\)"), step(r"test \(e2e\)"), bar(3, 1))
    recorder.terminal.open_gate("test-e2e")
    recorder.live(4, done(r"test \(e2e\)"), step("package"), bar(4, 1))
    recorder.terminal.open_gate("package")
    recorder.finish(command, hold=3000)


def record(exeng: Path) -> list[picture.Frame]:
    """Plays the session in a window of its own. Returns its frames."""
    terminal = Terminal(exeng, HERE / "files")
    try:
        terminal.open()
        recorder = Recorder(terminal)
        story(recorder)
        return recorder.frames
    finally:
        terminal.close()


def check(frames: list[picture.Frame]) -> None:
    """Compares what exeng printed with what the committed recording shows."""
    if not SVG.exists():
        raise Failure(f"there is no {SVG.relative_to(ROOT)}; make it: docs/recording/record.py")
    shown, now = picture.read(SVG.read_text(encoding="utf-8")), picture.texts(frames)
    if shown != now:
        names = str(SVG.relative_to(ROOT)), "what exeng prints now"
        print("\n".join(difflib.unified_diff(shown, now, *names, lineterm="")))
        raise Failure("the recording is out of date; make it anew with docs/recording/record.py, and look at it")


def main() -> None:
    """Makes the recording, or checks it."""
    parser = argparse.ArgumentParser(description="Makes docs/recording/exeng.svg, or checks it.")
    parser.add_argument("--check", action="store_true", help="fail if exeng does not print what the recording shows")
    parser.add_argument("--exeng", type=Path, default=ROOT / "target/debug/exeng", help="the program")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        # What ends this script ends the session as well.
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        for tool in ("tmux", "jq"):
            if not shutil.which(tool):
                raise Failure(f"{tool} is not installed, and the recording needs it")
        if not options.exeng.exists():
            raise Failure(f"{options.exeng} does not exist; cargo build -p exeng makes it")
        frames = record(options.exeng.resolve())
        if options.check:
            check(frames)
            print("the recording shows what exeng prints")
        else:
            SVG.write_text(picture.write(frames, TITLE), encoding="utf-8")
            seconds = sum(frame.hold for frame in frames) / 1000
            print(f"{SVG.relative_to(ROOT)}: {len(frames)} frames, {seconds:g} s, {SVG.stat().st_size} bytes")
    except Failure as failure:
        sys.exit(f"record.py: {failure}")


if __name__ == "__main__":
    main()
