import assert from "node:assert/strict";
import { test } from "node:test";

import { Painter } from "../painter.ts";

type Piece = ["out" | "err", string | number[]];

/** Returns the output for these chunks. */
function painted(...pieces: Piece[]): string {
  const painter = new Painter();
  const all = pieces.flatMap(([stream, content]) => {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : new Uint8Array(content);
    return painter.paint(stream === "out" ? "stdout" : "stderr", bytes);
  });
  return Buffer.concat(all).toString("utf8");
}

const RED = "\x1b[0;31m";
const PLAIN = "\x1b[0m";

test("standard output is unchanged", () => {
  assert.equal(painted(["out", "a\r\n\x1b[32mb\x1b[0m"]), "a\r\n\x1b[32mb\x1b[0m");
});

test("standard error is red, standard output is not", () => {
  assert.equal(painted(["out", "a\n"], ["err", "b\n"], ["out", "c\n"]), `a\n${RED}b\n${PLAIN}c\n`);
});

test("a reset on standard error restores red", () => {
  assert.equal(painted(["err", "\x1b[1mb\x1b[0mc"]), `${RED}\x1b[1mb\x1b[0m${RED}c`);
  assert.equal(painted(["err", "\x1b[mc"]), `${RED}\x1b[m${RED}c`);
  assert.equal(painted(["err", "\x1b[32mb\x1b[39mc"]), `${RED}\x1b[32mb\x1b[39m${RED}\x1b[32m\x1b[39mc`);
});

test("a colour of one stream does not apply to the other, and is restored", () => {
  assert.equal(
    painted(["out", "\x1b[34mblue"], ["err", "e"], ["out", "blue"]),
    `\x1b[34mblue${RED}e${PLAIN}\x1b[34mblue`,
  );
});

test("a zero in a colour code is not a reset", () => {
  assert.equal(
    painted(["out", "\x1b[38;5;0mx\x1b[48;2;0;0;0my"], ["err", "e"], ["out", "z"]),
    `\x1b[38;5;0mx\x1b[48;2;0;0;0my${RED}e${PLAIN}\x1b[38;5;0m\x1b[48;2;0;0;0mz`,
  );
});

test("a sequence or character that is cut between two chunks is held back", () => {
  assert.equal(painted(["out", "a\x1b[3"], ["err", "e"], ["out", "4mb"]), `a${RED}e${PLAIN}\x1b[34mb`);
  assert.equal(painted(["out", [0xe2, 0x82]], ["err", "e"], ["out", [0xac]]), `${RED}e${PLAIN}€`);
});

test("bytes that are not UTF-8 are not held back for ever", () => {
  const painter = new Painter();
  painter.paint("stdout", new Uint8Array([0xff, 0xfe, 0x80, 0x80, 0x80, 0x80]));
  const pieces = painter.paint("stdout", new TextEncoder().encode("a"));
  assert.equal(Buffer.concat(pieces).toString("latin1").at(-1), "a");
});

test("all bytes are written in order, wherever they are cut", () => {
  const text = "a\x1b[1;31mré\x1b[0m€\x1b]0;title\x07\x1b[2K𝄞\n";
  const bytes = new TextEncoder().encode(text);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const painter = new Painter();
    const pieces = [bytes.subarray(0, cut), bytes.subarray(cut)].flatMap((part) => painter.paint("stdout", part));
    assert.equal(Buffer.concat(pieces).toString("utf8"), text, `cut at ${cut}`);
  }
});

test("an output that begins in the middle has the colours that were set before", () => {
  const painter = new Painter({ stdout: "\x1b[32m", stderr: "\x1b[1m" });
  const paint = (stream: "stdout" | "stderr", text: string) =>
    Buffer.concat(painter.paint(stream, new TextEncoder().encode(text))).toString();
  assert.equal(paint("stdout", "green"), `${PLAIN}\x1b[32mgreen`);
  assert.equal(paint("stderr", "bold"), `${RED}\x1b[1mbold`);
  assert.equal(Buffer.from(painter.note("a note")).toString(), "\x1b[0;2;3ma note\x1b[0m\r\n");
  assert.equal(paint("stderr", "bold"), `${RED}\x1b[1mbold`);
});
