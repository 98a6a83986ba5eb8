#!/usr/bin/env python3
"""Summarises temperature readings: a CSV file in, one line per group out.

Progress and the summary go to stdout, warnings to stderr. DEMO_UNIT=F shows Fahrenheit instead
of Celsius. With --pause it takes its time, so that there is something to watch or to cancel.

Exit codes: 0 all well, 2 wrong usage, 3 a problem with the data, 143 stopped by SIGTERM.
"""

import argparse
import csv
import math
import os
import signal
import statistics
import sys
import time
from pathlib import Path

OK, BAD_DATA, TERMINATED = 0, 3, 128 + signal.SIGTERM  # argparse itself exits with 2
UNITS = {"C": lambda celsius: celsius, "F": lambda celsius: celsius * 9 / 5 + 32}


class DataError(Exception):
    """The data cannot be summarised."""


def arguments():
    parser = argparse.ArgumentParser(description="Summarise temperature readings.")
    default = Path(__file__).with_name("readings.csv")
    parser.add_argument("file", nargs="?", type=Path, default=default,
                        help="CSV with the columns time, station, celsius (default: readings.csv "
                             "beside this script)")
    parser.add_argument("--by", choices=["station", "time"], default="station",
                        help="the column to group by (default: station)")
    parser.add_argument("--min-rows", type=int, default=1, metavar="N",
                        help="fail if fewer rows than this can be used (default: 1)")
    parser.add_argument("--pause", type=float, default=0, metavar="SECONDS",
                        help="wait this long after each row")
    parser.add_argument("--verbose", action="store_true",
                        help="say which Python runs this")
    options = parser.parse_args()
    options.unit = os.environ.get("DEMO_UNIT", "C").upper()
    if options.unit not in UNITS:
        parser.error(f"DEMO_UNIT is {options.unit!r}, it must be C or F")
    if options.min_rows < 1:
        parser.error("--min-rows must be at least 1")
    if options.pause < 0:
        parser.error("--pause must not be negative")
    return options


def say(text):
    # Through a pipe Python would keep lines back until it has some 8 KiB of them.
    print(text, flush=True)


def warn(text):
    print(f"warning: {text}", file=sys.stderr, flush=True)


def rows(file):
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines, restval="")
            missing = {"time", "station", "celsius"} - set(reader.fieldnames or [])
            if missing:
                raise DataError(f"{file}: no column {', '.join(sorted(missing))}")
            return list(reader)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 at byte {error.start}") from error


def collect(table, options):
    groups, used = {}, 0
    quarter = max(1, len(table) // 4)
    for number, row in enumerate(table, start=1):
        try:
            celsius = float(row["celsius"])
            if not math.isfinite(celsius):
                raise ValueError
        except ValueError:
            warn(f"row {number} ({row['station']}): {row['celsius']!r} is no temperature, skipped")
        else:
            groups.setdefault(row[options.by], []).append(UNITS[options.unit](celsius))
            used += 1
        if number % quarter == 0:
            say(f"read {number:>3} of {len(table)} rows")
        time.sleep(options.pause)
    if used < options.min_rows:
        raise DataError(f"{used} rows can be used, {options.min_rows} are needed")
    return groups


def summarise(groups, options):
    width = max(map(len, [options.by, *groups]))
    say(f"{options.by:<{width}}  rows    min   mean    max  (°{options.unit})")
    for name, values in sorted(groups.items()):
        numbers = (min(values), statistics.fmean(values), max(values))
        say(f"{name:<{width}}  {len(values):>4} " + " ".join(f"{n:>6.1f}" for n in numbers))


def on_terminate(_signal, _frame):
    warn("asked to stop; no summary was made")
    sys.exit(TERMINATED)


def main():
    signal.signal(signal.SIGTERM, on_terminate)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8")
    options = arguments()
    if options.verbose:
        place = "a virtual environment" if sys.prefix != sys.base_prefix else "the system"
        say(f"Python {sys.version.split()[0]} of {place}")
    try:
        summarise(collect(rows(options.file), options), options)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_DATA
    return OK


if __name__ == "__main__":
    sys.exit(main())
