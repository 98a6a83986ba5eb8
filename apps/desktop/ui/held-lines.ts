// The part of an output that the terminal holds: some lines around those that are shown. All others stay
// in the engine.

import { Execution, type ExecutionId, type LinesQuery, type OutputCursor, type OutputLines } from "tauri-plugin-execution-engine-api";

import { Painter } from "./painter.ts";
import * as format from "./format.ts";

/** Lines around those that are shown, and the last lines, that are read at once; and bytes. */
export const READ_LINES = 600;
const LAST_LINES = 300;
const READ_BYTES = 128 * 1024;
/** Lines that may be held while following. Beyond, only the last are read again. */
const MAX_HELD = 1500;
/** Longest wait for more output in one call. */
const WAIT_MS = 5000;
/** Resets the terminal, its lines included. */
const RESET = new Uint8Array([0x1b, 0x63]);
const RETURN = new Uint8Array([0x0d, 0x0a]);

export class HeldLines {
  readonly execution: Execution;
  /** Number of the first line that is held, and of the line behind the last. */
  first = 0;
  end = 0;
  /** Number of lines of the whole output so far. */
  total = 0;
  /** The lines that are held reach the end of the output so far. */
  atEnd = false;
  /** Nothing more will be written. */
  ended = false;
  /** Where the held lines end. */
  #next: OutputCursor = { stdout: 0, stderr: 0 };
  /** Where the output ended when it was last asked for. */
  #latest: OutputCursor = { stdout: 0, stderr: 0 };
  #painter = new Painter();
  #midLine = false;
  /** Number of the last range that was asked for. */
  #asked = 0;

  constructor(readonly id: ExecutionId) {
    this.execution = Execution.attach(id);
  }

  /**
   * Reads lines in place of those that are held: from a number on, or the last. Returns what to write, or
   * nothing if others were asked for meanwhile. `before` is called before they change.
   */
  async read(from: number | undefined, before: () => void): Promise<Uint8Array | undefined> {
    const asked = ++this.#asked;
    const lines = await this.#lines(from === undefined ? { max_lines: LAST_LINES } : { from, max_lines: READ_LINES });
    if (asked !== this.#asked) return undefined;
    before();
    this.#note(lines);
    this.first = lines.first;
    this.#midLine = false;
    this.#painter = new Painter(lines.styles);
    return join([RESET, ...this.#hold(lines)]);
  }

  /**
   * Waits for more output. Returns what to write, or "again" if the last lines have to be read again; nothing
   * if the output is not followed, or nothing has come.
   */
  async more(isFollowed: () => boolean): Promise<Uint8Array | "again" | undefined> {
    const after = this.#latest;
    const lines = await this.#lines({ after, wait_ms: WAIT_MS, max_lines: isFollowed() ? LAST_LINES : 1 });
    this.#note(lines);
    if (same(lines.next, this.#next)) return undefined;
    if (!isFollowed()) {
      this.atEnd = false;
      return undefined;
    }
    const fits = this.atEnd && same(after, this.#next) && !lines.skipped;
    if (!fits || lines.end - this.first > MAX_HELD) return "again";
    return join(this.#hold(lines));
  }

  #lines(query: LinesQuery): Promise<OutputLines> {
    return this.execution.readLines({ max_bytes: READ_BYTES, ...query });
  }

  /** Notes what an answer says of the whole output. */
  #note(lines: OutputLines): void {
    this.total = Math.max(this.total, lines.total);
    if (!lines.at_end) return;
    this.#latest = lines.next;
    this.ended = lines.ended;
  }

  /** Adds lines at the end, and returns what to write for them. */
  #hold(lines: OutputLines): Uint8Array[] {
    this.end = lines.end;
    this.atEnd = lines.at_end;
    this.#next = lines.next;
    const pieces = lines.parts.flatMap((part) => {
      if (part.type === "output") {
        this.#midLine = part.bytes.at(-1) !== 0x0a;
        return this.#painter.paint(part.stream, part.bytes);
      }
      const note = this.#painter.note(`${format.bytes(part.bytes)} of output are no longer available`);
      const pieces = this.#midLine ? [RETURN, note] : [note];
      this.#midLine = false;
      return pieces;
    });
    return lines.ended ? [...pieces, ...this.#painter.finish()] : pieces;
  }
}

function same(one: OutputCursor, other: OutputCursor): boolean {
  return one.stdout === other.stdout && one.stderr === other.stderr;
}

function join(pieces: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
