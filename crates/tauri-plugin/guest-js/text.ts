// Text in encodings other than UTF-8. The engine keeps bytes, so they are decoded here: the page has
// a decoder for each encoding of the web already.

import { readChunks, type ChunkRecord } from "./chunk.js";
import { ExecutionError } from "./error.js";
import type { Batch } from "./subscription.js";
import type { EventRecord, OutputStream } from "./types.js";

/** How the output of a program becomes text. */
export interface TextOptions {
  /**
   * Encoding that the program writes: a label of the Encoding Standard, such as `windows-1252`,
   * `utf-16le`, `shift_jis`. Default: UTF-8.
   */
  encoding?: string;
}

/** Length of a line, in bytes, above which it is delivered in pieces. */
const MAX_LINE_BYTES = 64 * 1024;
const NEWLINE = 10;
const LINE_ENDING = /\r?\n$/;
const NOTHING = new Uint8Array();

/** Returns a decoder. Throws an {@link ExecutionError} if the page has none for the encoding. */
export function decoder(encoding: string): TextDecoder {
  try {
    return new TextDecoder(encoding);
  } catch {
    const labels = "use a label of the Encoding Standard, such as `windows-1252`";
    throw new ExecutionError("malformed", `encoding: ${JSON.stringify(encoding)} is unknown; ${labels}`, false);
  }
}

/** Returns a function that decodes batches of chunks into lines in an encoding. */
export function lineReader(encoding: string): (raw: ArrayBuffer) => Batch<EventRecord> {
  const lines = new Lines(encoding);
  return (raw) => lines.read(readChunks(raw));
}

/** Beginning of a line whose end has not come yet. */
interface Unfinished {
  /** Position of its first byte. */
  start: number;
  bytes: Uint8Array;
}

type Output = Extract<ChunkRecord, { bytes: Uint8Array }>;

/** Makes lines of the chunks of both streams. */
export class Lines {
  readonly #decoders: Record<OutputStream, TextDecoder>;
  readonly #unfinished: Partial<Record<OutputStream, Unfinished>> = {};
  /** Bytes of a code unit, and which of them is the low one. */
  readonly #unit: { size: 1 | 2; low: 0 | 1 };

  constructor(encoding: string) {
    this.#decoders = { stdout: decoder(encoding), stderr: decoder(encoding) };
    const { encoding: name } = this.#decoders.stdout;
    this.#unit = { size: name.startsWith("utf-16") ? 2 : 1, low: name === "utf-16be" ? 1 : 0 };
  }

  read(batch: Batch<ChunkRecord>): Batch<EventRecord> {
    const records: EventRecord[] = [];
    for (const chunk of batch.records) {
      if ("bytes" in chunk) {
        this.#split(chunk, records);
        continue;
      }
      const { sequence, timestamp, execution_id, event } = chunk;
      // It ends an attempt, so no more of its lines follow.
      if (isEnd(event.type)) this.#flush(chunk, records);
      records.push({ sequence: this.#resumable(sequence), timestamp, execution_id, partial: false, event });
    }
    return { records, end: batch.end };
  }

  /** Adds the lines that end in a chunk, and keeps what follows them. */
  #split(chunk: Output, records: EventRecord[]): void {
    const { stream, sequence } = chunk;
    const begun = this.#unfinished[stream];
    const bytes = begun ? joined(begun.bytes, chunk.bytes) : chunk.bytes;
    let from = 0;
    for (let end = this.#lineEnd(bytes, 0); end > 0; end = this.#lineEnd(bytes, from)) {
      const after = sequence - (bytes.length - end);
      if (end < bytes.length) this.#unfinished[stream] = { start: after + 1, bytes: NOTHING };
      else delete this.#unfinished[stream];
      this.#add(chunk, bytes.subarray(from, end), after, false, records);
      from = end;
    }
    if (from === bytes.length) return;
    const start = begun && from === 0 ? begun.start : sequence - (bytes.length - from) + 1;
    // A copy: the frame that it came in need not stay in memory.
    this.#unfinished[stream] = { start, bytes: bytes.slice(from) };
    if (bytes.length - from > MAX_LINE_BYTES) this.#deliver(chunk, records);
  }

  /** Delivers what has come of a long line. */
  #deliver(chunk: Output, records: EventRecord[]): void {
    const { stream, sequence } = chunk;
    const { bytes } = this.#unfinished[stream]!;
    const rest = bytes.length % this.#unit.size;
    const cut = bytes.length - rest;
    if (rest > 0) this.#unfinished[stream] = { start: sequence, bytes: bytes.slice(cut) };
    else delete this.#unfinished[stream];
    this.#add(chunk, bytes.subarray(0, cut), sequence - rest, true, records);
  }

  /** Delivers what has come of lines that nothing will finish. */
  #flush(at: ChunkRecord, records: EventRecord[]): void {
    for (const stream of ["stdout", "stderr"] as const) {
      const bytes = this.#unfinished[stream]?.bytes;
      delete this.#unfinished[stream];
      if (bytes) this.#add({ ...at, stream, bytes }, bytes, at.sequence - 1, true, records);
      // A character of which only the beginning has come is shown as such, and forgotten.
      const rest = this.#decoders[stream].decode();
      const last = records.at(-1)?.event;
      if (rest && last?.type === stream) last.line += rest;
    }
  }

  #add(chunk: Output, bytes: Uint8Array, sequence: number, partial: boolean, records: EventRecord[]): void {
    const { stream, timestamp, execution_id } = chunk;
    const text = this.#decoders[stream].decode(bytes, { stream: true });
    const line = partial ? text : text.replace(LINE_ENDING, "");
    const event = { type: stream, execution_id, line };
    records.push({ sequence: this.#resumable(sequence), timestamp, execution_id, partial, event });
  }

  /** Returns the last position up to which no line is unfinished, so that `after` loses nothing. */
  #resumable(sequence: number): number {
    const before = Object.values(this.#unfinished).map(({ start }) => start - 1);
    return Math.min(sequence, ...before);
  }

  /** Returns where the line that begins at `from` ends, its newline included; 0 if it does not. */
  #lineEnd(bytes: Uint8Array, from: number): number {
    const { size, low } = this.#unit;
    if (size === 1) return bytes.indexOf(NEWLINE, from) + 1;
    for (let at = from; at + 1 < bytes.length; at += 2) {
      if (bytes[at + low] === NEWLINE && bytes[at + 1 - low] === 0) return at + 2;
    }
    return 0;
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

function isEnd(type: string): boolean {
  return ["completed", "failed", "cancelled", "timeout", "retrying"].includes(type);
}
