// The terminal with the output of one execution.

import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { Execution, type ChunkRecord, type ExecutionId, type Subscription } from "tauri-plugin-execution-engine-api";

import { Painter } from "./painter.ts";
import { matchColours, theme } from "./theme.ts";
import * as format from "./format.ts";

const FONT = '"JetBrains Mono Variable"';
/** Maximum number of lines to scroll back to. */
const MAX_LINES = 500_000;
/** Bytes that xterm may buffer before reading pauses, which makes the engine hold the rest. */
const MAX_BUFFERED = 512 * 1024;

/** Matches of a search: their number, and the position of the current one. */
export interface Matches {
  at: number;
  count: number;
}

export class Screen {
  readonly #terminal = new Terminal({
    scrollback: MAX_LINES,
    convertEol: true,
    disableStdin: true,
    cursorStyle: "bar",
    cursorInactiveStyle: "none",
    fontFamily: "monospace",
    fontSize: 13,
    lineHeight: 1.25,
    allowProposedApi: true,
    theme: theme(),
  });
  readonly #fit = new FitAddon();
  readonly #search = new SearchAddon({ highlightLimit: 2000 });
  #subscription: Subscription<ChunkRecord> | undefined;
  #shown: ExecutionId | undefined;
  #following = true;
  onFollow: (following: boolean) => void = () => {};
  onMatches: (matches: Matches) => void = () => {};

  constructor(root: HTMLElement) {
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.loadAddon(this.#search);
    this.#terminal.open(root);
    new ResizeObserver(() => this.#fit.fit()).observe(root);
    // If the cells are measured before the font is loaded, they have the size of another font.
    void document.fonts.load(`${this.#terminal.options.fontSize}px ${FONT}`).then(() => {
      this.#terminal.options.fontFamily = `${FONT}, monospace`;
      this.#fit.fit();
    });
    this.#terminal.onScroll(() => this.#scrolled());
    root.addEventListener("wheel", () => requestAnimationFrame(() => this.#scrolled()), { passive: true });
    this.#search.onDidChangeResults(({ resultIndex, resultCount }) =>
      this.onMatches({ at: resultIndex + 1, count: resultCount }),
    );
  }

  /** Shows the output of an execution: from the beginning, then live. */
  async show(id: ExecutionId | undefined): Promise<void> {
    if (id === this.#shown) return;
    this.#shown = id;
    const previous = this.#subscription;
    this.#subscription = undefined;
    void previous?.close();
    this.#terminal.reset();
    this.follow(true);
    if (!id) return;
    try {
      const chunks = await Execution.attach(id).chunks();
      if (this.#shown !== id) return void chunks.close();
      this.#subscription = chunks;
      await this.#play(id, chunks);
    } catch (error) {
      if (this.#shown === id) this.#note(String(error));
    }
  }

  async #play(id: ExecutionId, chunks: Subscription<ChunkRecord>): Promise<void> {
    const painter = new Painter();
    let buffered = 0;
    let resume: (() => void) | undefined;
    for await (const record of chunks) {
      if (this.#shown !== id) return;
      if ("event" in record) {
        if (record.event.type === "output_missed") {
          this.#note(`${format.bytes(record.event.bytes)} of output are no longer available`);
        } else if (record.event.type === "retrying") {
          const { attempt, ending, delay_ms } = record.event;
          this.#note(`attempt ${attempt}: ${format.ending(ending)}; retry in ${format.duration(delay_ms)}`);
        } else if (record.event.type === "failed" && record.sequence > 0) {
          this.#note(record.event.error);
        }
        continue;
      }
      for (const piece of painter.paint(record.stream, record.bytes)) {
        buffered += piece.length;
        this.#terminal.write(piece, () => {
          buffered -= piece.length;
          if (buffered < MAX_BUFFERED) resume?.();
        });
      }
      if (buffered >= MAX_BUFFERED) await new Promise<void>((resolve) => (resume = resolve));
    }
    if (this.#shown !== id) return;
    for (const piece of painter.finish()) this.#terminal.write(piece);
  }

  #note(text: string): void {
    this.#terminal.write(`\r\n\x1b[0;2;3m${text}\x1b[0m\r\n`);
  }

  follow(on: boolean): void {
    this.#following = on;
    if (on) this.#terminal.scrollToBottom();
    this.onFollow(on);
  }

  #scrolled(): void {
    const { viewportY, baseY } = this.#terminal.buffer.active;
    const bottom = viewportY >= baseY;
    if (bottom !== this.#following) {
      this.#following = bottom;
      this.onFollow(bottom);
    }
  }

  find(text: string, direction: "next" | "previous", typing = false): void {
    if (text === "") {
      this.#search.clearDecorations();
      this.onMatches({ at: 0, count: 0 });
      return;
    }
    const { match, current } = matchColours();
    const options = {
      incremental: typing,
      decorations: {
        matchBackground: match,
        matchOverviewRuler: current,
        activeMatchBackground: current,
        activeMatchColorOverviewRuler: current,
      },
    };
    if (direction === "next") this.#search.findNext(text, options);
    else this.#search.findPrevious(text, options);
  }

  endSearch(): void {
    this.#search.clearDecorations();
    this.#terminal.clearSelection();
  }

  /** Returns the selection, or else all text. */
  text(): string {
    const selection = this.#terminal.getSelection();
    if (selection) return selection;
    const buffer = this.#terminal.buffer.active;
    const lines: string[] = [];
    for (let y = 0; y < buffer.length; y++) {
      const line = buffer.getLine(y);
      if (!line) continue;
      const text = line.translateToString(true);
      if (line.isWrapped) lines[lines.length - 1] += text;
      else lines.push(text);
    }
    return `${lines.join("\n").trimEnd()}\n`;
  }

  /** Number of lines, for the window tests. */
  get lines(): number {
    const { baseY, cursorY } = this.#terminal.buffer.active;
    return baseY + cursorY;
  }

  /** Returns one line, for the window tests. */
  line(at: number): string | undefined {
    return this.#terminal.buffer.active.getLine(at)?.translateToString(true);
  }

  hasSelection(): boolean {
    return this.#terminal.hasSelection();
  }

  retheme(): void {
    this.#terminal.options.theme = theme();
  }

  focus(): void {
    this.#terminal.focus();
  }
}
