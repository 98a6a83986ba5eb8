import assert from "node:assert/strict";
import { test } from "node:test";

import * as format from "../format.ts";

test("a line is split into words like in a shell", () => {
  assert.deepEqual(format.words(`a "b c" 'd "e' f\\ g ""`), ["a", "b c", 'd "e', "f g", ""]);
  assert.deepEqual(format.words("  "), []);
  assert.deepEqual(format.words(`--name="x y"`), ["--name=x y"]);
  assert.deepEqual(format.words("$HOME *.txt"), ["$HOME", "*.txt"]);
});

test("variables are parsed from lines of NAME=value", () => {
  assert.deepEqual(format.variables("A=1\n\nB=x=y \n"), { A: "1", B: "x=y " });
  assert.throws(() => format.variables("A"), /NAME=value/);
});

test("durations and sizes have a short form", () => {
  assert.deepEqual([0, 999, 1500, 61_000, 3_723_000].map(format.duration), ["0 ms", "999 ms", "1.5 s", "1:01 min", "1:02 h"]);
  assert.deepEqual([5, 2048, 150 * 1024 ** 2].map(format.bytes), ["5 B", "2.0 KiB", "150 MiB"]);
});
