// Decodes output in bytes. It travels in a binary frame, see `src/streaming/batch.rs`.

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

/** Decodes a frame: the length of the header, the header, and the bytes of all chunks. */
export function readChunks(raw: ArrayBuffer): Batch<ChunkRecord> {
  const length = new DataView(raw).getUint32(0, true);
  const text = new TextDecoder().decode(new Uint8Array(raw, 4, length));
  const header = JSON.parse(text) as { records: ChunkHeader[]; end: boolean };
  let offset = 4 + length;
  const records = header.records.map((entry): ChunkRecord => {
    const { sequence, timestamp, execution_id } = entry;
    const common = { sequence, timestamp, execution_id };
    if (entry.event) return { ...common, event: entry.event };
    const bytes = new Uint8Array(raw, offset, entry.length ?? 0);
    offset += bytes.length;
    return { ...common, stream: entry.stream ?? "stdout", bytes };
  });
  return { records, end: header.end };
}
