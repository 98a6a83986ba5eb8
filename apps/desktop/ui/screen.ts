// The terminal with the output of one execution. It holds the lines around those that are shown; the engine
// has all, and finds what is searched for.

import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { UnicodeGraphemesAddon } from "@xterm/addon-unicode-graphemes";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { type ExecutionId, type OutputMatch, type SearchFrom } from "tauri-plugin-execution-engine-api";

import { HeldLines, READ_LINES } from "./held-lines.ts";
import { plain } from "./plain.ts";
import { ScrollTrack } from "./scroll-track.ts";
import { matchColours, theme } from "./theme.ts";
import "./screen.css";

const FONT = '"JetBrains Mono Variable"';
/** Rows to scroll back to: more than the held lines need, unless nearly all of them are folded. */
const MAX_ROWS = 6000;
/** Rows before an end of the held lines from which others are read. */
const MARGIN = 200;
/** Pause between two reads of new output: a frame or two, and longer if it is not shown. */
const FOLLOW_MS = 33;
const WATCH_MS = 250;
/** Bytes that are read at once to copy all. */
const COPY_BYTES = 1024 * 1024;

/** Matches of a search: their number, and the position of the current one. */
export interface Matches {
  at: number;
  count: number;
  /** There may be more, which the search had no time for. */
  incomplete?: boolean;
}

export class Screen {
  readonly #terminal = new Terminal({
    scrollback: MAX_ROWS,
    convertEol: true,
    disableStdin: true,
    cursorStyle: "bar",
    cursorInactiveStyle: "none",
    fontFamily: "monospace",
    fontSize: 13,
    lineHeight: 1.25,
    allowProposedApi: true,
    // Black text on the dark background, and bright yellow on the light one, would not be readable.
    minimumContrastRatio: 4.5,
    theme: theme(),
  });
  readonly #fit = new FitAddon();
  readonly #highlighter = new SearchAddon({ highlightLimit: 2000 });
  readonly #track: ScrollTrack;
  #held: HeldLines | undefined;
  #following = true;
  /** Rows at which lines begin; made when needed. */
  #rows: number[] | undefined;
  /** Others are being read because an end of the held lines is near. */
  #settling = false;
  /** Part of a row that the wheel was turned. */
  #wheel = 0;
  #match: OutputMatch | undefined;
  #searches = 0;
  onFollow: (following: boolean) => void = () => {};
  onMatches: (matches: Matches) => void = () => {};
  onError: (error: unknown) => void = () => {};

  constructor(root: HTMLElement) {
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.loadAddon(this.#highlighter);
    // Joined emoji and combining marks take the cells of one character.
    this.#terminal.loadAddon(new UnicodeGraphemesAddon());
    this.#terminal.open(root);
    this.#track = new ScrollTrack((part) => this.#dragged(part));
    root.append(this.#track.element);
    new ResizeObserver(() => this.#resized()).observe(root);
    // If the cells are measured before the font is loaded, they have the size of another font.
    void document.fonts.load(`${this.#terminal.options.fontSize}px ${FONT}`).then(() => {
      this.#terminal.options.fontFamily = `${FONT}, monospace`;
      this.#resized();
    });
    root.addEventListener("wheel", (event) => this.#wheeled(event), { capture: true, passive: false });
    this.#terminal.attachCustomKeyEventHandler((event) => !this.#key(event));
  }

  /** Shows the end of the output of an execution, and follows it. */
  async show(id: ExecutionId | undefined): Promise<void> {
    if (id === this.#held?.id) return;
    const held = id ? new HeldLines(id) : undefined;
    this.#held = held;
    this.#match = undefined;
    this.#setFollowing(true);
    if (!held) return this.#terminal.reset();
    try {
      await this.#read(held);
      while (this.#held === held && !held.ended) await this.#readMore(held);
    } catch (error) {
      if (this.#held === held) this.#terminal.write(`\x1bc\x1b[2;3m${String(error)}\x1b[0m\r\n`);
    }
  }

  /**
   * Reads lines in place of those that are held: around a line, or the last. Then that line is at the top, or
   * what was there when they came.
   */
  async #read(held: HeldLines, line?: number, then: "line" | "same" = "line"): Promise<void> {
    const from = line === undefined ? undefined : Math.max(0, line - READ_LINES / 2);
    const output = await held.read(from, () => (line = then === "same" ? this.#top() : line));
    if (!output || this.#held !== held) return;
    await this.#write(output);
    if (this.#following) this.#terminal.scrollToBottom();
    else this.#terminal.scrollToLine(this.#rowOf(line ?? held.end));
    this.#draw(held);
  }

  async #readMore(held: HeldLines): Promise<void> {
    const output = await held.more(() => this.#following);
    if (this.#held !== held) return;
    if (output === "again") await this.#read(held);
    else if (output) await this.#write(output);
    this.#draw(held);
    const pause = this.#following ? FOLLOW_MS : WATCH_MS;
    if (!held.ended) await new Promise((resolve) => setTimeout(resolve, pause));
  }

  #write(output: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#terminal.write(output, () => {
        this.#rows = undefined;
        resolve();
      });
    });
  }

  follow(on: boolean): void {
    this.#setFollowing(on);
    const held = this.#held;
    if (!on || !held) return;
    this.#terminal.scrollToBottom();
    if (!held.atEnd) this.#read(held).catch(this.onError);
    this.#draw(held);
  }

  #setFollowing(on: boolean): void {
    this.#following = on;
    this.onFollow(on);
  }

  /** Shows a line at the top. */
  async #jump(line: number): Promise<void> {
    const held = this.#held;
    if (!held) return;
    this.#setFollowing(false);
    const last = Math.min(line + this.#terminal.rows, held.total);
    if (line < held.first || last > held.end) return this.#read(held, line);
    this.#terminal.scrollToLine(this.#rowOf(line));
    this.#settle();
  }

  #scroll(rows: number): void {
    if (rows === 0) return;
    this.#terminal.scrollLines(rows);
    this.#settle();
  }

  /** Reads other lines if those that are shown are near an end of the held ones. */
  #settle(): void {
    const held = this.#held;
    if (!held) return;
    const { viewportY, baseY } = this.#terminal.buffer.active;
    const isBottom = viewportY >= baseY && held.atEnd;
    if (isBottom !== this.#following) this.#setFollowing(isBottom);
    this.#draw(held);
    const isShort = (viewportY < MARGIN && held.first > 0) || (baseY - viewportY < MARGIN && !held.atEnd);
    if (!isShort || this.#settling) return;
    this.#settling = true;
    this.#read(held, this.#top(), "same").catch(this.onError).finally(() => (this.#settling = false));
  }

  #dragged(part: number): void {
    const held = this.#held;
    if (!held) return;
    if (part >= 1) return this.follow(true);
    this.#jump(Math.round(part * Math.max(0, held.total - this.#terminal.rows))).catch(this.onError);
  }

  #wheeled(event: WheelEvent): void {
    event.preventDefault();
    event.stopPropagation();
    const unit = [1 / this.#rowHeight(), 1, this.#terminal.rows][event.deltaMode] ?? 1;
    this.#wheel += event.deltaY * unit;
    const rows = Math.trunc(this.#wheel);
    this.#wheel -= rows;
    this.#scroll(rows);
  }

  /** Scrolls by a key; returns whether it was one. */
  #key(event: KeyboardEvent): boolean {
    if (event.type !== "keydown" || event.ctrlKey || event.altKey || event.metaKey) return false;
    const page = this.#terminal.rows - 1;
    const rows = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page }[event.key];
    if (rows !== undefined) this.#scroll(rows);
    else if (event.key === "Home") this.#jump(0).catch(this.onError);
    else if (event.key === "End") this.follow(true);
    else return false;
    event.preventDefault();
    return true;
  }

  #resized(): void {
    const top = this.#top();
    this.#fit.fit();
    this.#rows = undefined;
    if (this.#following) this.#terminal.scrollToBottom();
    else this.#terminal.scrollToLine(this.#rowOf(top));
    // A change of the size ends the selection, and then the highlighter marks again.
    if (this.#match) this.#select(this.#match);
    if (this.#held) this.#draw(this.#held);
  }

  #draw(held: HeldLines): void {
    this.#track.draw(held.total, this.#top(), this.#terminal.rows);
  }

  #rowHeight(): number {
    return Math.max(1, this.#track.element.clientHeight / this.#terminal.rows);
  }

  /** Returns the rows at which the held lines begin: those that do not continue the row before. */
  #lineRows(): number[] {
    if (this.#rows) return this.#rows;
    const buffer = this.#terminal.buffer.active;
    this.#rows = [];
    for (let row = 0; row < buffer.length; row++) if (!buffer.getLine(row)?.isWrapped) this.#rows.push(row);
    return this.#rows;
  }

  #rowOf(line: number): number {
    const rows = this.#lineRows();
    return rows[Math.min(Math.max(0, line - (this.#held?.first ?? 0)), rows.length - 1)] ?? 0;
  }

  /** Returns the number of the line at the top. */
  #top(): number {
    const { viewportY } = this.#terminal.buffer.active;
    const rows = this.#lineRows();
    let [low, high] = [0, rows.length];
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if (rows[middle]! <= viewportY) low = middle;
      else high = middle;
    }
    return (this.#held?.first ?? 0) + low;
  }

  /** Finds a text in the whole output, and shows the match. */
  async find(text: string, direction: "next" | "previous", typing = false): Promise<void> {
    const search = ++this.#searches;
    const held = this.#held;
    if (text === "" || !held) {
      this.#match = undefined;
      this.#highlighter.clearDecorations();
      return this.onMatches({ at: 0, count: 0 });
    }
    const from = this.#searchFrom(direction, typing);
    const found = await held.execution.search({
      pattern: text, from, direction: direction === "next" ? "forward" : "backward",
    });
    if (search !== this.#searches || this.#held !== held) return;
    this.#match = found.matches[0];
    this.onMatches({ at: this.#match ? found.index + 1 : 0, count: found.total, incomplete: found.incomplete });
    if (this.#match) await this.#reveal(this.#match, text);
    else this.#highlighter.clearDecorations();
  }

  #searchFrom(direction: "next" | "previous", typing: boolean): SearchFrom {
    const match = this.#match;
    if (match) return { line: match.line, column: match.column + (direction === "next" && !typing ? 1 : 0) };
    return { line: this.#top() + (direction === "next" ? 0 : this.#terminal.rows) };
  }

  async #reveal(match: OutputMatch, text: string): Promise<void> {
    const { rows } = this.#terminal;
    const top = this.#top();
    if (match.line < top || match.line >= top + rows - 1 || match.line >= (this.#held?.end ?? 0)) {
      await this.#jump(Math.max(0, match.line - Math.floor(rows / 2)));
    }
    this.#select(match);
    const { match: colour, current } = matchColours();
    this.#highlighter.findNext(text, {
      incremental: true,
      decorations: {
        matchBackground: colour,
        matchOverviewRuler: colour,
        activeMatchBackground: current,
        activeMatchColorOverviewRuler: current,
      },
    });
  }

  /** Selects the beginning of a match: the highlighter, which marks all that are held, takes it as the current. */
  #select(match: OutputMatch): void {
    const { cols } = this.#terminal;
    this.#terminal.select(match.column % cols, this.#rowOf(match.line) + Math.floor(match.column / cols), 1);
  }

  endSearch(): void {
    this.#match = undefined;
    this.#highlighter.clearDecorations();
    this.#terminal.clearSelection();
  }

  selection(): string {
    return this.#terminal.getSelection();
  }

  /** Reads the whole output as text. */
  async text(): Promise<string> {
    const held = this.#held;
    if (!held) return "";
    const decoder = new TextDecoder();
    let text = "";
    for (let cursor = { stdout: 0, stderr: 0 }; ; ) {
      const page = await held.execution.readOutput({ cursor, max_bytes: COPY_BYTES });
      for (const part of page.parts) if (part.type === "output") text += decoder.decode(part.bytes);
      if (page.ended || page.parts.length === 0) return plain(text);
      cursor = page.next;
    }
  }

  /** Number of lines of the whole output, for the window tests. */
  get lines(): number {
    return this.#held?.total ?? 0;
  }

  /** Number of rows that the terminal holds, for the window tests. */
  get heldRows(): number {
    return this.#terminal.buffer.active.length;
  }

  /** Returns the rows that are shown, for the window tests. */
  visible(): string[] {
    const { viewportY } = this.#terminal.buffer.active;
    const row = (at: number) => this.#terminal.buffer.active.getLine(viewportY + at)?.translateToString(true) ?? "";
    return Array.from({ length: this.#terminal.rows }, (_, at) => row(at));
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
