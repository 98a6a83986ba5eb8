// Lines in other encodings, made of chunks that are cut anywhere.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ExecutionError } from "../index.js";
import { decoder, Lines } from "../text.js";
import type { EventRecord, OutputStream } from "../types.js";

const common = { timestamp: "2026-01-02T03:04:05Z", execution_id: "1" };
let position = 0;

function output(stream: OutputStream, bytes: number[]) {
  position += bytes.length;
  return { ...common, sequence: position, stream, bytes: Uint8Array.from(bytes) };
}

function ending() {
  position += 1;
  return { ...common, sequence: position, event: { type: "cancelled", execution_id: "1", duration_ms: 1 } } as const;
}

/** Reads chunks in batches of one, and returns the lines as `[stream, line, partial, sequence]`. */
function lines(encoding: string, chunks: (ReturnType<typeof output> | ReturnType<typeof ending>)[]) {
  const reader = new Lines(encoding);
  const records = chunks.flatMap((chunk) => reader.read({ records: [chunk], end: false }).records);
  return records.map(({ sequence, partial, event }: EventRecord) => [
    event.type,
    "line" in event ? event.line : "",
    partial,
    sequence,
  ]);
}

test("lines are decoded wherever the chunks are cut", () => {
  const texts: [string, number[]][] = [
    ["windows-1252", [0xe9, 0x0a, 0x80, 0x0d, 0x0a]],
    ["shift_jis", [0x93, 0xfa, 0x0a, 0x96, 0x7b, 0x0d, 0x0a]],
    ["utf-16le", [0xff, 0xfe, 0xe9, 0, 0x0a, 0, 0x0a, 1, 0xac, 0x20, 0x0d, 0, 0x0a, 0]],
    ["utf-16be", [0xfe, 0xff, 0, 0xe9, 0, 0x0a, 1, 0x0a, 0x20, 0xac, 0, 0x0d, 0, 0x0a]],
  ];
  const expected = { "windows-1252": ["é", "€"], shift_jis: ["日", "本"], "utf-16le": ["é", "Ċ€"], "utf-16be": ["é", "Ċ€"] };
  for (const [encoding, bytes] of texts) {
    for (let cut = 0; cut <= bytes.length; cut++) {
      position = 0;
      const parts = [bytes.slice(0, cut), bytes.slice(cut)].filter((part) => part.length > 0);
      const read = lines(encoding, parts.map((part) => output("stdout", part)));
      assert.deepEqual(read.map(([, line]) => line), expected[encoding as keyof typeof expected], `${encoding}, ${cut}`);
      assert.equal(read.at(-1)![3], bytes.length, "the position of the last byte");
    }
  }
});

test("what has no newline is delivered before the ending", () => {
  position = 0;
  const read = lines("windows-1252", [output("stderr", [0xe9]), output("stdout", [0x61]), ending()]);
  assert.deepEqual(read, [
    ["stdout", "a", true, 0],
    ["stderr", "é", true, 2],
    ["cancelled", "", false, 3],
  ]);
});

test("a position never lies behind a line that is unfinished", () => {
  position = 0;
  const read = lines("windows-1252", [output("stderr", [0x61]), output("stdout", [0x62, 0x0a]), output("stderr", [0x0a])]);
  assert.deepEqual(read, [
    ["stdout", "b", false, 0],
    ["stderr", "a", false, 4],
  ]);
});

test("the position of an unfinished line is that of its first byte, however many chunks it has", () => {
  position = 0;
  const chunks = [output("stderr", [0x61]), output("stdout", [0x62, 0x0a]), output("stderr", [0x63]), output("stdout", [0x64, 0x0a])];
  assert.deepEqual(lines("windows-1252", chunks), [
    ["stdout", "b", false, 0],
    ["stdout", "d", false, 0],
  ]);
});

test("a long line comes in pieces", () => {
  position = 0;
  const long = new Array<number>(100_000).fill(0x61);
  const read = lines("utf-16le", [output("stdout", [...long.flatMap((byte) => [byte, 0]), 0x62]), output("stdout", [0, 0x0a, 0])]);
  assert.deepEqual(read.map(([, line, partial, sequence]) => [(line as string).length, partial, sequence]), [
    [100_000, true, 200_000],
    [1, false, 200_004],
  ]);
});

test("an incomplete character at the end is shown as such", () => {
  position = 0;
  const read = lines("shift_jis", [output("stdout", [0x93]), ending()]);
  assert.equal(read[0]![1], "\u{fffd}");
});

test("an unknown encoding is an error that names it", () => {
  assert.throws(() => decoder("klingon"), (error) => {
    assert.ok(error instanceof ExecutionError);
    assert.match(error.message, /"klingon".*Encoding Standard/);
    return true;
  });
});
