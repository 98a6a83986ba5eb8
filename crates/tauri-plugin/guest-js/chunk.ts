// Decodes output in bytes. It travels in a binary frame, see `src/streaming/batch.rs`.

import { readFrame } from "./frame.js";
import type { Batch } from "./subscription.js";
import type { ExecutionEvent, ExecutionId, OutputStream } from "./types.js";

/** Output as bytes, or an event, with its position in the sequence of its execution. */
export type ChunkRecord = {
  sequence: number;
  timestamp: string;
  execution_id: ExecutionId;
} & ({ stream: OutputStream; bytes: Uint8Array } | { event: ExecutionEvent });

interface ChunkHeader {
  sequence: number;
  timestamp: string;
  execution_id: ExecutionId;
  stream?: OutputStream;
  length?: number;
  event?: ExecutionEvent;
}

/** Decodes a frame with the bytes of all chunks. */
export function readChunks(raw: ArrayBuffer): Batch<ChunkRecord> {
  const { header, bytes } = readFrame<{ records: ChunkHeader[]; end: boolean }>(raw);
  let offset = 0;
  const records = header.records.map((entry): ChunkRecord => {
    const { sequence, timestamp, execution_id } = entry;
    const common = { sequence, timestamp, execution_id };
    if (entry.event) return { ...common, event: entry.event };
    const start = offset;
    offset += entry.length ?? 0;
    return { ...common, stream: entry.stream ?? "stdout", bytes: bytes.subarray(start, offset) };
  });
  return { records, end: header.end };
}
