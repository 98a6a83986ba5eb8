import assert from "node:assert/strict";
import { test } from "node:test";

import * as format from "../format.ts";

test("durations and sizes have a short form", () => {
  assert.deepEqual([0, 999, 1500, 61_000, 3_723_000].map(format.duration), ["0 ms", "999 ms", "1.5 s", "1:01 min", "1:02 h"]);
  assert.deepEqual([5, 2048, 150 * 1024 ** 2].map(format.bytes), ["5 B", "2.0 KiB", "150 MiB"]);
});

test("the time of today is shown, and the date of another day", () => {
  const now = new Date(2026, 10, 29, 12, 0, 0);
  assert.match(format.when(new Date(2026, 10, 29, 8, 5, 6).toISOString(), now), /^0?8:05:06/);
  assert.match(format.when(new Date(2026, 10, 28, 8, 5, 6).toISOString(), now), /28/);
  assert.match(format.when(new Date(2025, 10, 28, 8, 5, 6).toISOString(), now), /2025/);
});
