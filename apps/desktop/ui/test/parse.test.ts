import assert from "node:assert/strict";
import { test } from "node:test";

import { milliseconds, namesOnly, variables, words } from "../parse.ts";

test("a line is split into words like in a shell", () => {
  assert.deepEqual(words(`a "b c" 'd "e' f\\ g ""`), ["a", "b c", 'd "e', "f g", ""]);
  assert.deepEqual(words("  "), []);
  assert.deepEqual(words(`--name="x y"`), ["--name=x y"]);
  assert.deepEqual(words("$HOME *.txt"), ["$HOME", "*.txt"]);
});

test("inside double quotes a backslash escapes only what the POSIX shell says", () => {
  assert.deepEqual(words(String.raw`"C:\new"`), ["C:\\new"]);
  assert.deepEqual(words(String.raw`"\d+\.\w" "\$x \` \" \\"`), ["\\d+\\.\\w", '$x ` " \\']);
  assert.deepEqual(words('"one\\\ntwo"'), ["onetwo"]);
  assert.deepEqual(words(String.raw`'\d\'`), ["\\d\\"]);
  assert.deepEqual(words(String.raw`\d \"x`), ["d", '"x']);
});

test("a line that is incomplete is refused with the reason", () => {
  assert.throws(() => words(`grep "a b`), /quote " at character 6 is not closed/);
  assert.throws(() => words(`echo it's`), /quote ' at character 8 is not closed.*\\'/);
  assert.throws(() => words("echo a\\"), /ends with a backslash/);
  assert.throws(() => words("echo a\nrm b"), /more than one line.*Shell/);
  assert.deepEqual(words("echo a \\\n  b"), ["echo", "a", "b"]);
  assert.deepEqual(words('echo "a\nb"'), ["echo", "a\nb"]);
});

test("variables are parsed from lines of NAME=value", () => {
  const { values, problems } = variables("A=1\n\n# a comment\nB=x=y \r\n  C=\nD={\"e\":1}");
  assert.deepEqual(values, { A: "1", B: "x=y ", C: "", D: '{"e":1}' });
  assert.deepEqual(problems, []);
});

test("a slip in a variable is told with its line, and without its value", () => {
  const slips: [string, RegExp][] = [
    ["export A=hunter2", /Line 1: Remove “export”/],
    ["\nhunter2", /Line 2: “=” is missing/],
    ["=hunter2", /Line 1: The name/],
    ["A = hunter2", /spaces around “=”/],
    ["A= hunter2", /spaces around “=”/],
    ["A B=hunter2", /name has a space/],
    ['A="hunter2"', /quotes around the value of A/],
    ["A='hunter2'", /quotes around the value of A/],
    ["A=1\nB=2\nA=hunter2", /Line 3: A is set in line 1 already/],
  ];
  for (const [text, message] of slips) {
    const { problems } = variables(text);
    assert.equal(problems.length, 1, text);
    assert.match(problems[0]!, message);
    assert.doesNotMatch(problems[0]!, /hunter2/);
  }
  assert.equal(variables("A\nB").problems.length, 2);
});

test("names are kept without their values", () => {
  assert.equal(namesOnly("TOKEN=hunter2\n# note hunter2\nB=1"), "TOKEN=\nB=");
});

test("a timeout is a number of seconds above 0", () => {
  assert.deepEqual(["300", " 1.5 ", "0.0001"].map(milliseconds), [300_000, 1500, 1]);
  for (const text of ["", "0", "-1", "5m", "1,5", "Infinity"]) {
    assert.throws(() => milliseconds(text), /seconds above 0/, text);
  }
});
