"""Makes two recordings of the same session equal.

Ids, times and the picture of what turns vary from run to run. An id becomes a fixed one, by its order of
appearance. A time becomes that of the recording's own clock, from the first frame that shows what it is about.
"""

import random
import re
import uuid

from terminal import Row, text

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SHORT = 8
# What `indicatif` turns, one every TICK milliseconds.
SPINNER = "⠁⠁⠉⠙⠚⠒⠂⠂⠒⠲⠴⠤⠄⠄⠤⠠⠠⠤⠦⠖⠒⠐⠐⠒⠓⠋⠉⠈⠈"
TICK = 120

TIME = r"(?:\d+ms|\d+\.\d+s|\d+s|\d+m\d+s|\d+m)"
RUNNING = re.compile(rf"([{SPINNER}]) (.*)  ({TIME})")
BAR = re.compile(rf"[█░]+ \d+/\d+  ({TIME})  .*")
ENDED = re.compile(rf"(.*)  completed, ({TIME})")
PLAN_BEGAN = re.compile(r"exeng: plan [0-9a-f-]{36}")
PLAN_ENDED = re.compile(rf"exeng: plan completed; .*; ({TIME})")
PLAN = "the plan"


def short(millis: int) -> str:
    """Returns a time as exeng tells it, up to a minute."""
    if millis < 1000:
        return f"{millis}ms"
    return f"{millis // 1000}.{millis % 1000 // 100}s" if millis < 10_000 else f"{millis // 1000}s"


def replace(row: Row, span: tuple[int, int], new: str) -> None:
    """Replaces cells of a row; the new ones have the style of the first."""
    start, end = span
    row[start:end] = [(char, row[start][1]) for char in new]


class Normal:
    """What the frames have shown so far."""

    def __init__(self):
        self.ids: dict[str, str] = {}
        self.began: dict[str, int] = {}
        self.clock = 0
        # Rows of tables by what exeng printed: they are made once, and times in them stand still.
        self.tables: dict[str, Row] = {}

    def screen(self, rows: list[Row], clock: int) -> list[Row]:
        """Returns the screen that the recording shows at `clock` milliseconds. Changes the rows."""
        self.clock = clock
        for row in rows:
            self.row(row)
        self.sort_running(rows)
        for at, row in enumerate(rows):
            if re.match("ID +STATUS ", text(row)):
                end = at + 1
                while end < len(rows) and text(rows[end])[:SHORT] in self.began:
                    end += 1
                self.table(rows[at:end])
        return [self.tables.get(text(row), row) for row in rows]

    def since(self, what: str) -> int:
        """Returns the milliseconds since something was first shown."""
        return self.clock - self.began.setdefault(what, self.clock)

    def row(self, row: Row) -> None:
        """Replaces what varies in a row that is no table."""
        for match in UUID.finditer(text(row)):
            replace(row, match.span(), self.id(match[0]))
        shown = text(row)
        for old, new in self.ids.items():
            if shown.startswith(old[:SHORT] + " "):
                replace(row, (0, SHORT), new[:SHORT])
        if match := RUNNING.fullmatch(shown):
            passed = self.since(match[2])
            replace(row, match.span(3), f"{passed // 1000}s")
            replace(row, match.span(1), SPINNER[passed // TICK % len(SPINNER)])
        elif match := BAR.fullmatch(shown):
            replace(row, match.span(1), f"{self.since(PLAN) // 1000}s")
        elif match := ENDED.fullmatch(shown):
            replace(row, match.span(2), self.lasted(match[1]))
        elif PLAN_BEGAN.fullmatch(shown):
            self.since(PLAN)
        elif match := PLAN_ENDED.fullmatch(shown):
            replace(row, match.span(1), self.lasted(PLAN))

    def lasted(self, what: str) -> str:
        """Returns the time from the beginning of something to the first frame that shows its end."""
        end = self.began.setdefault(what + " ended", self.clock)
        return short(end - self.began.setdefault(what, end))

    def id(self, old: str) -> str:
        """Returns the id that stands for another one."""
        if old not in self.ids:
            bits = random.Random(len(self.ids)).getrandbits(128)
            self.ids[old] = str(uuid.UUID(int=bits, version=4))
            self.since(self.ids[old][:SHORT])
        return self.ids[old]

    def sort_running(self, rows: list[Row]) -> None:
        """Sorts steps that run, by name: two that start at once are shown in any order."""
        places = [at for at, row in enumerate(rows) if RUNNING.fullmatch(text(row))]
        running = sorted((rows[at] for at in places), key=lambda row: text(row)[2:])
        for at, row in zip(places, running):
            rows[at] = row

    def table(self, rows: list[Row]) -> None:
        """Learns the rows of a table of `exeng ls`: with other times, and columns as wide as these need."""
        if all(text(row) in self.tables for row in rows):
            return
        columns = [match.start() for match in re.finditer(r"\S+", text(rows[0]))]
        ends = [*columns[1:], None]
        cells = [[row[start:end] for start, end in zip(columns, ends)] for row in rows]
        for row in cells[1:]:
            age = self.since(text(row[0]))
            for head, cell in zip(cells[0], row):
                if text(head) in ("AGE", "TIME") and text(cell):
                    replace(cell, (0, len(cell)), short(age))
        widths = [max(len(text(row[at])) for row in cells) + 2 for at in range(len(columns))]
        plain = [(" ", "")]
        for old, row in zip(rows, cells):
            parts = [part[:len(text(part))] for part in row]
            self.tables[text(old)] = sum((part + plain * (width - len(part)) for part, width in zip(parts, widths)), [])
