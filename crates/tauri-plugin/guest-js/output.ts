// Decodes parts of an output, which travel in binary frames: see `src/output/frame.rs`.

import { readFrame } from "./frame.js";
import type { OutputCursor, OutputStream } from "./types.js";

/** Part of an output: bytes of a stream, or how many bytes are missing or left out. */
export type OutputPart =
  | { type: "output"; stream: OutputStream; bytes: Uint8Array }
  /** No longer kept. */
  | { type: "missed"; bytes: number }
  /** Left out by the window of the query. */
  | { type: "omitted"; bytes: number };

/** Page of an output, by bytes. */
export interface OutputPage {
  parts: OutputPart[];
  /** Cursor of the page that follows. */
  next: OutputCursor;
  /** Nothing follows: the execution has ended, and all of its output was told. */
  ended: boolean;
}

/** Range of lines of an output. */
export interface OutputLines {
  /** Number of the line of the first byte, from 0. */
  first: number;
  /** Bytes of that line that come before; 0 if it is whole. */
  column: number;
  /** Number of the line behind the last of these; one that is cut or unfinished counts. */
  end: number;
  /** Number of lines so far, an unfinished one included. */
  total: number;
  /** Cursor of what follows, for `after`. */
  next: OutputCursor;
  /** Nothing more follows so far. */
  at_end: boolean;
  /** Nothing more will follow. */
  ended: boolean;
  /** Some of what follows `after` is left out. */
  skipped: boolean;
  /** Escape sequences that set the colours of each stream at the first byte. */
  styles: Record<OutputStream, string>;
  /** Output in the order in which it was read. What is missing stands for one line. */
  parts: OutputPart[];
}

type FramePart = { stream: OutputStream; length: number } | { missed: number } | { omitted: number };

/** Decodes a frame with parts: a page, or a range of lines. */
export function readParts<T extends OutputPage | OutputLines>(raw: ArrayBuffer): T {
  const { header, bytes: all } = readFrame<Omit<T, "parts"> & { parts: FramePart[] }>(raw);
  let at = 0;
  const parts = header.parts.map((part): OutputPart => {
    if ("missed" in part) return { type: "missed", bytes: part.missed };
    if ("omitted" in part) return { type: "omitted", bytes: part.omitted };
    const bytes = all.subarray(at, at + part.length);
    at += part.length;
    return { type: "output", stream: part.stream, bytes };
  });
  return { ...header, parts } as unknown as T;
}
