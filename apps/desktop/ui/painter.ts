// Merges two streams for one terminal. Standard error is red unless it sets its own colours. Neither
// stream may break the other: an escape sequence or a character that is cut between two chunks is
// held back until it is complete, and colours of one stream do not apply to the other.

import type { OutputStream } from "tauri-plugin-execution-engine-api";

const ESC = 0x1b;
/** Sequences that switch to the default colour of a stream. */
const BASE: Record<OutputStream, string> = { stdout: "\x1b[0m", stderr: "\x1b[0;31m" };
/** Maximum length of a sequence that is held back. Sequences that set colours are shorter. */
const MAX_SEQUENCE = 128;
/** Maximum number of colour settings that are remembered since the last reset. */
const MAX_SETTINGS = 32;

interface Pen {
  /** Colour settings since the last reset. */
  settings: string[];
  /** Beginning of an incomplete character or sequence. */
  incomplete: Uint8Array;
}

export class Painter {
  #pens: Record<OutputStream, Pen>;
  /** The stream whose colours are set; none if they have to be set first. */
  #last: OutputStream | undefined = "stdout";

  /** `styles` are the colours that each stream has set before: sequences, one after the other. */
  constructor(styles: Record<OutputStream, string> = { stdout: "", stderr: "" }) {
    this.#pens = { stdout: pen(styles.stdout), stderr: pen(styles.stderr) };
    if (styles.stdout) this.#last = undefined;
  }

  /** Returns what to write for a remark of the app, on lines of its own. */
  note(text: string): Uint8Array {
    this.#last = undefined;
    return encode(`\x1b[0;2;3m${text}\x1b[0m\r\n`);
  }

  /** Returns what to write to the terminal for a chunk of a stream. */
  paint(stream: OutputStream, chunk: Uint8Array): Uint8Array[] {
    const pen = this.#pens[stream];
    const all = join(pen.incomplete, chunk);
    const end = complete(all);
    pen.incomplete = all.slice(end);
    const out: Uint8Array[] = [];
    if (stream !== this.#last) {
      out.push(encode(BASE[stream] + pen.settings.join("")));
      this.#last = stream;
    }
    this.#trackColours(stream, all.subarray(0, end), out);
    return out;
  }

  /** Returns what was held back, at the end of both streams. */
  finish(): Uint8Array[] {
    return [this.#pens.stdout.incomplete, this.#pens.stderr.incomplete, encode(BASE.stdout)];
  }

  /** Remembers colour settings, and restores the colour of the stream after a reset. */
  #trackColours(stream: OutputStream, bytes: Uint8Array, out: Uint8Array[]): void {
    const pen = this.#pens[stream];
    let from = 0;
    let at = bytes.indexOf(ESC);
    while (at !== -1) {
      const end = sequenceEnd(bytes, at);
      if (end !== undefined && bytes[at + 1] === 0x5b && bytes[end - 1] === 0x6d) {
        const codes = decode(bytes.subarray(at + 2, end - 1));
        const { all, foreground } = resets(codes);
        if (all) pen.settings = [];
        if (codes !== "" && codes !== "0") pen.settings = [...pen.settings, `\x1b[${codes}m`].slice(-MAX_SETTINGS);
        if (stream === "stderr" && (all || foreground)) {
          out.push(bytes.subarray(from, end), encode(BASE.stderr + pen.settings.join("")));
          from = end;
        }
      }
      at = bytes.indexOf(ESC, at + 1);
    }
    out.push(bytes.subarray(from));
  }
}

/** Returns whether these codes reset everything, or the colour of the text. */
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

function pen(style: string): Pen {
  return { settings: style ? [style] : [], incomplete: new Uint8Array() };
}

/** Returns the end of the last complete character and sequence. */
function complete(bytes: Uint8Array): number {
  const tail = Math.max(0, bytes.length - MAX_SEQUENCE);
  const at = bytes.lastIndexOf(ESC);
  if (at >= tail && sequenceEnd(bytes, at) === undefined) return at;
  return characterEnd(bytes);
}

/** Returns the end of the sequence that starts at `at`, or undefined if it is incomplete. */
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

/** Returns the end of the last complete UTF-8 character. */
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
