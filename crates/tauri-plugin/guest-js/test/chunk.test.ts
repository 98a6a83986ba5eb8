import assert from "node:assert/strict";
import { test } from "node:test";

import { readChunks } from "../chunk.js";
import { frame } from "./frame.js";

test("a frame is decoded into chunks with their bytes, and events", () => {
  const common = { timestamp: "2026-01-02T03:04:05Z", execution_id: "1" };
  const event = { type: "cancelled", execution_id: "1", duration_ms: 1 } as const;
  const header = {
    records: [
      { ...common, sequence: 2, stream: "stdout", length: 2 },
      { ...common, sequence: 3, stream: "stderr", length: 1 },
      { ...common, sequence: 4, event },
    ],
    end: true,
  };
  const batch = readChunks(frame(header, [255, 10, 7]));
  assert.equal(batch.end, true);
  assert.deepEqual(batch.records, [
    { ...common, sequence: 2, stream: "stdout", bytes: new Uint8Array([255, 10]) },
    { ...common, sequence: 3, stream: "stderr", bytes: new Uint8Array([7]) },
    { ...common, sequence: 4, event },
  ]);
});
