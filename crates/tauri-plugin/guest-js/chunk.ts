import type { ExecutionEvent, ExecutionId, OutputStream } from "./types.js";
import type { Batch } from "./subscription.js";

/** Output as bytes, or an event, with its place in the life of its execution. */
export type ChunkRecord = {
  sequence: number;
  timestamp: string;
  execution_id: ExecutionId;
} & ({ stream: OutputStream; bytes: Uint8Array } | { event: ExecutionEvent });

interface Entry {
  sequence: number;
  timestamp: string;
  execution_id: ExecutionId;
  stream?: OutputStream;
  length?: number;
  event?: ExecutionEvent;
}

/** Reads a batch of chunks: the length of a header, the header, and the bytes of all chunks. */
export function readChunks(raw: ArrayBuffer): Batch<ChunkRecord> {
  const length = new DataView(raw).getUint32(0, true);
  const text = new TextDecoder().decode(new Uint8Array(raw, 4, length));
  const header = JSON.parse(text) as { records: Entry[]; end: boolean };
  let at = 4 + length;
  const records = header.records.map((entry): ChunkRecord => {
    const { sequence, timestamp, execution_id } = entry;
    const place = { sequence, timestamp, execution_id };
    if (entry.event) return { ...place, event: entry.event };
    const bytes = new Uint8Array(raw, at, entry.length ?? 0);
    at += bytes.length;
    return { ...place, stream: entry.stream ?? "stdout", bytes };
  });
  return { records, end: header.end };
}
