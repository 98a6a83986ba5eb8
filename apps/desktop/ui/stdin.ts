// The line below the output that goes to the standard input of a program, and what was sent. The output
// has none of it: without a terminal, nothing echoes what is typed.

import { Execution, type ExecutionSummary } from "tauri-plugin-execution-engine-api";

import { h, icon } from "./dom.ts";
import * as format from "./format.ts";
import type { Store } from "./store.ts";

/** Silence after which a program may be waiting for input. */
const SILENT_MS = 3000;
const CHECK_MS = 1000;
/** Maximum number of sent lines to show; they are in memory only. */
const MAX_SENT = 500;
/** What is shown for a hidden line, whatever its length. */
const HIDDEN = "••••••••";

export class StandardInput {
  readonly element: HTMLFormElement;
  /** What was sent to the selected execution. */
  readonly sent = h("div", { id: "sent", class: "sent", role: "log", "aria-label": "Sent to standard input", tabIndex: 0, hidden: true });
  #lines = new Map<string, HTMLElement[]>();
  #shown: string | undefined;
  #store: Store;
  #fail: (error: unknown) => void;
  #line = h("input", { id: "stdin", placeholder: "A line for standard input; Enter sends it", "aria-label": "Standard input", spellcheck: false, autocomplete: "off" });
  #hide = h("button", { type: "button", id: "hide-stdin", class: "quiet", title: "Hide what is typed, such as a password", "aria-label": "Hide what is typed", "aria-pressed": "false", onclick: () => this.#toggleHidden() }, icon("eye"));
  #hint = h("p", { id: "stdin-hint", class: "hint", role: "status" });
  #heard: Silence | undefined;

  constructor(store: Store, fail: (error: unknown) => void) {
    this.#store = store;
    this.#fail = fail;
    this.element = h("form", { class: "stdin", hidden: true },
      h("span", { "aria-hidden": "true" }, "›"),
      this.#line,
      this.#hide,
      h("button", { type: "button", id: "eof", class: "quiet", title: "Close standard input (Ctrl+D)", onclick: () => this.#close() }, "Close"),
      this.#hint,
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    this.#line.addEventListener("keydown", (event) => {
      if (event.key !== "d" || !event.ctrlKey) return;
      event.preventDefault();
      this.#close();
    });
    setInterval(() => this.#listen(), CHECK_MS);
  }

  /** Shows the line if the program can read one, and what was sent. */
  draw(): void {
    const id = this.#store.current?.id;
    if (id !== this.#shown) this.#drawSent(id);
    this.element.hidden = !this.#isOpen(this.#store.current);
    if (this.element.hidden) this.#hint.textContent = "";
  }

  focus(): void {
    this.#line.focus();
  }

  #isOpen(execution: ExecutionSummary | undefined): execution is ExecutionSummary {
    if (!execution || !format.isLive(execution)) return false;
    return this.#store.input(execution.id)?.options.stdin?.type === "piped";
  }

  /**
   * Says when a program is silent. Whether it reads or works cannot be known from outside: a pipe does
   * not tell that somebody waits at its other end.
   */
  #listen(): void {
    const execution = this.#store.current;
    if (!this.#isOpen(execution) || this.#store.paused.has(execution.id)) {
      this.#heard = undefined;
      return;
    }
    void this.#store.refresh();
    const bytes = execution.stdout_stats.seen_bytes + execution.stderr_stats.seen_bytes;
    this.#heard = silence(this.#heard, execution.id, bytes, performance.now());
    const ms = performance.now() - this.#heard.since;
    const text = ms < SILENT_MS ? "" : "No output for some seconds. The program may be waiting for a line, or it may be working.";
    if (this.#hint.textContent !== text) this.#hint.textContent = text;
  }

  async #send(): Promise<void> {
    const id = this.#store.current?.id;
    if (!id) return;
    const line = this.#line.value;
    const what = h("span", {}, this.#line.type === "password" ? HIDDEN : line);
    this.#line.value = "";
    this.#heard = undefined;
    this.#hint.textContent = "";
    try {
      await Execution.attach(id).write(`${line}\n`);
      this.#echo(id, what);
    } catch (error) {
      this.#fail(error);
    }
  }

  #close(): void {
    const id = this.#store.current?.id;
    if (id) Execution.attach(id).closeStdin().then(() => this.#echo(id, h("em", {}, "end of input")), this.#fail);
  }

  #echo(id: string, what: HTMLElement): void {
    const lines = this.#lines.get(id) ?? [];
    lines.push(h("p", {}, "› ", what));
    this.#lines.set(id, lines.slice(-MAX_SENT));
    this.#drawSent(this.#store.current?.id);
  }

  #drawSent(id: string | undefined): void {
    this.#shown = id;
    const lines = (id && this.#lines.get(id)) || [];
    this.sent.hidden = lines.length === 0;
    this.sent.replaceChildren(...lines);
    this.sent.scrollTop = this.sent.scrollHeight;
  }

  #toggleHidden(): void {
    const hidden = this.#line.type !== "password";
    this.#line.type = hidden ? "password" : "text";
    this.#hide.setAttribute("aria-pressed", String(hidden));
  }
}

/** Since when an execution has written nothing. */
interface Silence {
  id: string;
  bytes: number;
  since: number;
}

function silence(known: Silence | undefined, id: string, bytes: number, now: number): Silence {
  return known?.id === id && known.bytes === bytes ? known : { id, bytes, since: now };
}
