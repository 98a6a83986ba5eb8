"""Writes a recording as an animated SVG, and reads the texts of its key frames back.

All frames stand side by side, and a CSS animation moves one after the other behind a window. A row of the screen that
several frames have is in the file once.
"""

import re
import xml.etree.ElementTree as xml
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from normal import SPINNER
from terminal import COLUMNS, LINES, Failure, Row, text

# Of a cell, and around the screen, in pixels.
WIDTH, HEIGHT, FONT, BORDER = 9, 19, 15, 14
STRIP = COLUMNS * WIDTH
# Of bars, and how opaque each is.
BLOCKS = {"█": 1, "░": .3}
# The first character of braille, and column and row of the dot that each bit of the others stands for.
BRAILLE = 0x2800
DOTS = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]
# What one element shows: the same block again and again, one picture of what turns, or words with single spaces.
PART = re.compile(rf" *(█+|░+|[{SPINNER}]|[^ █░{SPINNER}]+(?: [^ █░{SPINNER}]+)*|$)")
SVG = "{http://www.w3.org/2000/svg}"

STYLE = """\
svg{--back:#151b23;--edge:#3d444d;--fore:#d1d7e0;--red:#ff7b72;--green:#56d364;--yellow:#e3b341;--cyan:#56d4dd}
@media(prefers-color-scheme:light){svg{--back:#f6f8fa;--edge:#d1d9e0;--fore:#1f2328;--red:#cf222e;--green:#1a7f37;\
--yellow:#7d4e00;--cyan:#1b7c83}}
.back{fill:var(--back);stroke:var(--edge)}
text{fill:var(--fore);font:%dpx ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}
.red{fill:var(--red)}.green{fill:var(--green)}.yellow{fill:var(--yellow)}.cyan{fill:var(--cyan)}
path{stroke:var(--cyan);stroke-width:2.4;stroke-linecap:round}
.bold{font-weight:bold}.dim{opacity:.65}
#cursor{fill:var(--fore);opacity:.7}
""" % FONT


@dataclass
class Frame:
    """A picture of the screen."""

    rows: list[Row]
    # Milliseconds for which it is shown.
    hold: int
    # Whether the cursor is shown, behind the last row.
    cursor: bool
    # The command that it shows the end of.
    key: str = ""


def write(frames: list[Frame], title: str) -> str:
    """Returns the SVG of some frames."""
    rows: dict[str, int] = {}
    strip = []
    for number, frame in enumerate(frames):
        name = f" data-key={quoteattr(frame.key)}" if frame.key else ""
        strip.append(f'<g transform="translate({number * STRIP})"{name}>{picture(frame, rows)}</g>')
    defs = [f'<g id="r{number}">{shown}</g>' for shown, number in rows.items()]
    width, height = STRIP + 2 * BORDER, LINES * HEIGHT + 2 * BORDER
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-labelledby="title">',
        f'<title id="title">{escape(title)}</title>',
        "<!-- Made by docs/recording/record.py from a session with the real program. -->",
        f"<style>\n{STYLE}{animation(frames)}</style>",
        "<defs>", f'<rect id="cursor" width="{WIDTH}" height="{HEIGHT - 2}"/>', *defs, "</defs>",
        f'<rect class="back" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        f'<svg x="{BORDER}" y="{BORDER}" width="{STRIP}" height="{LINES * HEIGHT}" overflow="hidden">',
        '<g id="strip">', *strip, "</g>", "</svg>", "</svg>", ""])


def picture(frame: Frame, rows: dict[str, int]) -> str:
    """Returns the elements of a frame, and adds to the rows that frames refer to."""
    uses = []
    for at, row in enumerate(frame.rows):
        if shown := runs(row):
            number = rows.setdefault(shown, len(rows))
            uses.append(f'<use href="#r{number}" y="{at * HEIGHT}"/>')
    if frame.cursor:
        # Behind the space that follows a prompt, which the text of a row does not have at its end.
        column = max(len(text(frame.rows[-1])), 2)
        uses.append(f'<use href="#cursor" x="{column * WIDTH}" y="{(len(frame.rows) - 1) * HEIGHT + 1}"/>')
    return "".join(uses)


def runs(row: Row) -> str:
    """Returns the text elements of a row, one for each part of one style without wide gaps."""
    elements = []
    at = 0
    while at < len(text(row)):
        style = row[at][1]
        same = next((end for end in range(at, len(row)) if row[end][1] != style), len(row))
        match = PART.match("".join(char for char, _ in row[at:same]))
        assert match, "whatever a cell has, it is a space or a part"
        at += match.end()
        if part := match[1]:
            elements.append(element(part, (at - len(part)) * WIDTH, f' class="{style}"' if style else ""))
    return "".join(elements)


def element(part: str, x: int, style: str) -> str:
    """Returns the element of a part of a row. What few fonts have is drawn."""
    width = len(part) * WIDTH
    if part[0] in BLOCKS:
        opacity = f' fill-opacity="{BLOCKS[part[0]]}"'
        return f'<rect x="{x}" y="3" width="{width}" height="{FONT - 2}" data-text="{part}"{style}{opacity}/>'
    if part[0] in SPINNER:
        bits = ord(part[0]) - BRAILLE
        places = [place for bit, place in enumerate(DOTS) if bits >> bit & 1]
        dots = "".join(f"M{x + 2 + 4 * column} {4 + 4 * row}h0" for column, row in places)
        return f'<path d="{dots}" data-text="{part}"{style}/>'
    # Whatever the font, each cell is in its place.
    place = f'x="{x}" y="{FONT}" textLength="{width}" lengthAdjust="spacingAndGlyphs"'
    return f"<text {place}{style}>{escape(part)}</text>"


def animation(frames: list[Frame]) -> str:
    """Returns the CSS that shows each frame for its time."""
    whole = sum(frame.hold for frame in frames)
    steps, clock = [], 0
    for number, frame in enumerate(frames):
        steps.append(f"{100 * clock / whole:.3f}%{{transform:translate({-number * STRIP}px)}}")
        clock += frame.hold
    last = f"translate({(1 - len(frames)) * STRIP}px)"
    return (f"@keyframes play{{{''.join(steps)}}}\n"
            f"#strip{{animation:play {whole / 1000:g}s step-end infinite}}\n"
            f"@media(prefers-reduced-motion:reduce){{#strip{{animation:none;transform:{last}}}}}\n")


def texts(frames: list[Frame]) -> list[str]:
    """Returns the lines of all key frames, each headed by its command."""
    lines = []
    for frame in frames:
        if frame.key:
            lines += [f"== after {frame.key}", *map(text, frame.rows)]
    return lines


def read(svg: str) -> list[str]:
    """Returns the lines of all key frames of an SVG, as `texts` does for frames."""
    root = xml.fromstring(svg)
    rows = {f"#{row.get('id')}": shown_text(row) for row in root.iterfind(f"{SVG}defs/{SVG}g")}
    strip = root.find(f".//{SVG}g[@id='strip']")
    if strip is None:
        raise Failure("the SVG has no frames; make it anew")
    lines = []
    for frame in strip:
        if key := frame.get("data-key"):
            places = {int(use.get("y", 0)) // HEIGHT: rows[use.get("href", "")]
                      for use in frame if use.get("href") in rows}
            lines += [f"== after {key}", *(places.get(at, "") for at in range(max(places) + 1))]
    return lines


def shown_text(row: xml.Element) -> str:
    """Returns the text of a row."""
    line = ""
    for part in row:
        line = line.ljust(int(part.get("x", 0)) // WIDTH) + (part.get("data-text") or part.text or "")
    return line
