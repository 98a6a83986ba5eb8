// Two streams on one screen. Each has its colours, and standard error a colour of its own beneath
// them, so that one can tell them apart. Neither may break the other: an escape sequence or a
// character that is cut between two chunks waits for its rest, and colours that one stream has set
// do not run into the other.

import type { OutputStream } from "tauri-plugin-execution-engine-api";

const ESC = 0x1b;
/** Red, and what undoes it. */
const BASE: Record<OutputStream, string> = { stdout: "\x1b[0m", stderr: "\x1b[0;31m" };
/** The longest sequence that is waited for; anything longer is no sequence that sets a colour. */
const LONGEST = 128;
/** So many settings of colours are remembered until a reset. */
const MOST = 32;

interface Pen {
  /** What has been set since the last reset. */
  set: string[];
  /** The beginning of something that is not complete. */
  rest: Uint8Array;
}

export class Painter {
  #pens: Record<OutputStream, Pen> = { stdout: pen(), stderr: pen() };
  #last: OutputStream = "stdout";

  /** What to write on the screen for a chunk of a stream. */
  paint(stream: OutputStream, chunk: Uint8Array): Uint8Array[] {
    const pen = this.#pens[stream];
    const all = join(pen.rest, chunk);
    const end = complete(all);
    pen.rest = all.slice(end);
    const out: Uint8Array[] = [];
    if (stream !== this.#last) {
      out.push(encode(BASE[stream] + pen.set.join("")));
      this.#last = stream;
    }
    this.#follow(stream, all.subarray(0, end), out);
    return out;
  }

  /** What is left when there is no more to come. */
  finish(): Uint8Array[] {
    return [this.#pens.stdout.rest, this.#pens.stderr.rest, encode(BASE.stdout)];
  }

  /** Remembers the colours that are set, and puts the colour of the stream back after a reset. */
  #follow(stream: OutputStream, bytes: Uint8Array, out: Uint8Array[]): void {
    const pen = this.#pens[stream];
    let from = 0;
    let at = bytes.indexOf(ESC);
    while (at !== -1) {
      const end = sequenceEnd(bytes, at);
      if (end !== undefined && bytes[at + 1] === 0x5b && bytes[end - 1] === 0x6d) {
        const codes = decode(bytes.subarray(at + 2, end - 1));
        const { all, foreground } = resets(codes);
        if (all) pen.set = [];
        if (codes !== "" && codes !== "0") pen.set = [...pen.set, `\x1b[${codes}m`].slice(-MOST);
        if (stream === "stderr" && (all || foreground)) {
          out.push(bytes.subarray(from, end), encode(BASE.stderr + pen.set.join("")));
          from = end;
        }
      }
      at = bytes.indexOf(ESC, at + 1);
    }
    out.push(bytes.subarray(from));
  }
}

/** Whether these codes take back everything, or the colour of the text. */
function resets(codes: string): { all: boolean; foreground: boolean } {
  const parts = codes.split(/[;:]/).map(Number);
  let all = false;
  let foreground = false;
  for (let i = 0; i < parts.length; i++) {
    const code = parts[i]!;
    // 38 and 48 name a colour with the numbers that follow, which may be 0.
    if (code === 38 || code === 48) i += parts[i + 1] === 2 ? 4 : 2;
    else if (code === 0) all = true;
    else if (code === 39) foreground = true;
  }
  return { all, foreground };
}

function pen(): Pen {
  return { set: [], rest: new Uint8Array() };
}

/** Up to where there are whole characters and whole sequences. */
function complete(bytes: Uint8Array): number {
  const tail = Math.max(0, bytes.length - LONGEST);
  const at = bytes.lastIndexOf(ESC);
  if (at >= tail && sequenceEnd(bytes, at) === undefined) return at;
  return characterEnd(bytes);
}

/** Where the sequence that begins here ends; undefined if it is not there yet. */
function sequenceEnd(bytes: Uint8Array, at: number): number | undefined {
  const kind = bytes[at + 1];
  if (kind === undefined) return undefined;
  if (kind !== 0x5b) return at + 2;
  for (let i = at + 2; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte >= 0x40 && byte <= 0x7e) return i + 1;
    if (byte < 0x20) return i;
  }
  return undefined;
}

/** The end without a UTF-8 character that is not complete. */
function characterEnd(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) return bytes.length;
    if (byte >= 0xc0) {
      const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return needs > back ? bytes.length - back : bytes.length;
    }
  }
  return bytes.length;
}

function join(one: Uint8Array, other: Uint8Array): Uint8Array {
  if (one.length === 0) return other;
  const all = new Uint8Array(one.length + other.length);
  all.set(one);
  all.set(other, one.length);
  return all;
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
