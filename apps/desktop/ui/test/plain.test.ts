import assert from "node:assert/strict";
import { test } from "node:test";

import { plain } from "../plain.ts";

test("text without sequences is unchanged", () => {
  assert.equal(plain("one\n\ttwo €\n"), "one\n\ttwo €\n");
});

test("sequences are removed", () => {
  assert.equal(plain("\x1b[1;31mred\x1b[0m \x1b[2Kplain\x1b(B\n"), "red plain\n");
  assert.equal(plain("\x1b]0;title\x07a \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n"), "a link\n");
});

test("what was written over is left out", () => {
  assert.equal(plain("10 %\r50 %\rdone\nnext\r\nlast\r"), "done\nnext\nlast");
});
