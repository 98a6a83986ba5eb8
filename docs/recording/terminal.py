"""A shell in a window of tmux, with a service of its own.

The server of tmux, the state of exeng and all files are in one temporary directory. `close` ends what was started
there: the server through its socket, the service and its keepers by the process ids that exeng tells.
"""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

COLUMNS = 90
LINES = 26
# What a machine under load may need for one step of the session, in seconds.
DEADLINE = 60

# A row of the screen is a list of cells: a character and its style, which is a word of class names.
Cell = tuple[str, str]
Row = list[Cell]

SGR = re.compile(r"\x1b\[([0-9;]*)m|(.)")
COLOURS = {31: "red", 32: "green", 33: "yellow", 36: "cyan"}


class Failure(Exception):
    """What went wrong, in words for whoever runs this."""


def text(row: Row) -> str:
    """Returns the characters of a row without the spaces at its end."""
    return "".join(char for char, _ in row).rstrip()


def parse(line: str, style: dict) -> Row:
    """Returns the cells of a line as `tmux capture-pane -e` prints it. `style` goes on from line to line."""
    row = []
    for match in SGR.finditer(line):
        if match[2] is None:
            for code in match[1].split(";"):
                change(style, int(code or 0))
        else:
            row.append((match[2], " ".join(value for value in style.values() if value)))
    return row


def change(style: dict, code: int) -> None:
    """Changes a style by a code of SGR."""
    if code == 0:
        style.clear()
    elif code in (1, 2):
        style["weight"] = {1: "bold", 2: "dim"}[code]
    elif code in COLOURS or code == 39:
        style["colour"] = COLOURS.get(code)
    elif code != 49:
        raise Failure(f"the screen has the style SGR {code}, which the picture has not; add it to terminal.py")


class Terminal:
    """The window, its shell and its service."""

    def __init__(self, exeng: Path, files: Path):
        self.exeng = exeng
        self.directory = Path(tempfile.mkdtemp(prefix="exeng-recording-"))
        self.work = self.directory / "work"
        shutil.copytree(files, self.work)
        (self.work / "gates").mkdir()
        (self.directory / "bin").mkdir()
        (self.directory / "bin" / "exeng").symlink_to(exeng)
        # Nothing of the caller's environment: neither NO_COLOR nor a service that it has.
        self.env = {
            "PATH": f"{self.directory}/bin:{os.environ['PATH']}",
            "HOME": str(self.directory),
            "TERM": "screen-256color",
            "LC_ALL": "C.UTF-8",
            "EXENG_STATE_DIR": str(self.directory / "state"),
        }

    def open(self) -> None:
        """Opens the window with a shell in it."""
        size = ["-x", str(COLUMNS), "-y", str(LINES)]
        # Several words are started as they are; one would be a line for the shell of the user.
        shell = ["env", "PS1=\x1b[1;32m$\x1b[0m ", "sh", "-i"]
        self.tmux("-f", "/dev/null", "new-session", "-d", *size, *shell)

    def tmux(self, *words: str) -> str:
        """Runs a command of tmux on this server."""
        command = ["tmux", "-u", "-S", str(self.directory / "tmux"), *words]
        done = subprocess.run(command, env=self.env, cwd=self.work, capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"tmux {words} failed: {done.stderr.strip()}")
        return done.stdout

    def type(self, keys: str) -> None:
        """Types text."""
        # A semicolon at the end of a word would separate two commands of tmux.
        self.tmux("send-keys", "-l", "--", re.sub(";$", r"\\;", keys))

    def press(self, key: str) -> None:
        """Presses a key, by the name that tmux gives it."""
        self.tmux("send-keys", key)

    def open_gate(self, name: str) -> None:
        """Lets a program of the session go on."""
        (self.work / "gates" / name).touch()

    def screen(self) -> list[Row]:
        """Returns the rows of the screen up to the last that is not empty."""
        style: dict = {}
        rows = [parse(line, style) for line in self.tmux("capture-pane", "-p", "-e").split("\n")]
        while rows and not text(rows[-1]):
            rows.pop()
        return rows

    def until(self, *patterns: str) -> list[Row]:
        """Waits until the last rows of the screen match these patterns, one each. Returns the screen."""
        end = time.monotonic() + DEADLINE
        while True:
            rows = self.screen()
            last = [text(row) for row in rows[-len(patterns):]]
            if len(last) == len(patterns) and all(map(re.fullmatch, patterns, last)):
                return rows
            if time.monotonic() > end:
                shown = "\n".join(map(text, rows))
                wanted = "\n".join(patterns)
                raise Failure(f"after {DEADLINE} s the screen does not end in\n{wanted}\nIt shows\n{shown}")
            time.sleep(0.01)  # tmux has no way to wait for what a screen shows

    def json(self, *words: str):
        """Returns what a verb of exeng prints as JSON."""
        done = subprocess.run([self.exeng, *words, "--json"], env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"exeng {words} failed: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def close(self) -> None:
        """Ends all that was started, and removes the directory."""
        try:
            if (self.directory / "tmux").exists():
                self.tmux("kill-server")
            if (self.directory / "state").exists():
                # The service first: it would start what waits, in a new keeper. Neither verb starts one.
                end_process(self.json("doctor")["service"]["pid"])
                for keeper in self.json("keepers"):
                    end_process(keeper["pid"])
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)


def end_process(pid: int | None) -> None:
    """Ends a process politely and waits until it is gone. None, or one that is gone, is fine."""
    if pid is None:
        return
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], DEADLINE)[0]:
            raise Failure(f"process {pid} does not end after SIGTERM; end it by hand")
    finally:
        os.close(handle)
