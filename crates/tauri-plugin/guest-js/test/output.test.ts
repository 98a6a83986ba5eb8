import assert from "node:assert/strict";
import { test } from "node:test";

import { readParts, type OutputLines } from "../output.js";

test("a frame is decoded into parts with their bytes, and what is missing", () => {
  const header = {
    first: 3, column: 0, end: 9, total: 9, next: { stdout: 5, stderr: 1 }, at_end: true, ended: false, skipped: false,
    styles: { stdout: "", stderr: "\x1b[1m" },
    parts: [{ stream: "stdout", length: 2 }, { missed: 7 }, { omitted: 8 }, { stream: "stderr", length: 1 }],
  };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const raw = new Uint8Array(4 + text.length + 3);
  new DataView(raw.buffer).setUint32(0, text.length, true);
  raw.set(text, 4);
  raw.set([255, 10, 7], 4 + text.length);
  assert.deepEqual(readParts<OutputLines>(raw.buffer), {
    ...header,
    parts: [
      { type: "output", stream: "stdout", bytes: new Uint8Array([255, 10]) },
      { type: "missed", bytes: 7 },
      { type: "omitted", bytes: 8 },
      { type: "output", stream: "stderr", bytes: new Uint8Array([7]) },
    ],
  });
});
