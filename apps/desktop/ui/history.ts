// Runs that the engine no longer has: those of earlier starts of the app, and those that it has forgotten. The
// plugin keeps them, with their output; this holds what was read of them.

import type { HistoryEntry, HistoryPage, HistoryQuery, HistoryState } from "tauri-plugin-execution-engine-api";

/** Entries that are read at once. */
const PAGE = 100;

/** Calls of the plugin. */
export interface Source {
  list: (query: HistoryQuery) => Promise<HistoryPage>;
  state: () => Promise<HistoryState>;
}

export class History {
  #source: Source;
  /** Newest first. */
  #entries = new Map<string, HistoryEntry>();
  #state: HistoryState | undefined;
  #unreadable: unknown;

  constructor(source: Source) {
    this.#source = source;
  }

  /** What was read, oldest first. */
  get entries(): HistoryEntry[] {
    return [...this.#entries.values()].reverse();
  }

  get(id: string): HistoryEntry | undefined {
    return this.#entries.get(id);
  }

  /** Returns a step of a plan. */
  ofPlan(plan: string): HistoryEntry | undefined {
    for (const entry of this.#entries.values()) if (entry.summary.metadata.labels?.plan === plan) return entry;
    return undefined;
  }

  /** Whether something has still to be stored. */
  get isWriting(): boolean {
    return (this.#state?.waiting ?? 0) > 0;
  }

  /** Returns what is wrong with the history, in words; undefined if runs are kept. */
  get problem(): string | undefined {
    return problem(this.#state, this.#unreadable);
  }

  /** Asks whether runs are kept. */
  async check(): Promise<void> {
    this.#state = await this.#source.state();
  }

  /** Reads all entries. */
  async read(): Promise<void> {
    await this.check();
    await this.#readUntil(() => false);
  }

  /** Reads entries on from the newest, until it has these, if they are kept. */
  async find(ids: string[]): Promise<void> {
    const missing = ids.filter((id) => !this.#entries.get(id)?.result);
    if (missing.length > 0) await this.#readUntil(() => missing.every((id) => this.#entries.has(id)));
  }

  /** Forgets entries that were removed. */
  forget(ids: Iterable<string>): void {
    for (const id of ids) this.#entries.delete(id);
  }

  async #readUntil(isEnough: () => boolean): Promise<void> {
    if (!this.#state?.kept) return;
    const read = new Map<string, HistoryEntry>();
    let cursor: string | null = null;
    try {
      do {
        const page: HistoryPage = await this.#source.list({ limit: PAGE, cursor });
        for (const entry of page.entries) read.set(entry.summary.id, entry);
        this.#entries = new Map([...read, ...[...this.#entries].filter(([id]) => !read.has(id))]);
        cursor = page.next;
      } while (cursor !== null && !isEnough());
      this.#unreadable = undefined;
    } catch (error) {
      this.#unreadable = error;
    }
  }
}

/** Returns what is wrong with a history, and what to do about it. */
export function problem(state: HistoryState | undefined, unreadable?: unknown): string | undefined {
  if (!state) return undefined;
  if (!state.kept) return `${notKept(state.reason ?? "this app was built without a history")} Everything else works.`;
  if (unreadable !== undefined) {
    return `Earlier runs cannot be listed: ${unreadable instanceof Error ? unreadable.message : String(unreadable)}. Everything else works.`;
  }
  if (state.last_error === null) return undefined;
  return `Some runs of this start could not be kept for the next: ${state.last_error}. They stay in the list until the app closes.`;
}

function notKept(reason: string): string {
  if (reason.includes("in use by another process")) {
    return "Another instance of this app is open, and has the history. This one keeps no runs and lists no earlier ones: use the other, or close both and start the app again.";
  }
  return `Runs are not kept, and earlier ones not listed: ${reason}. Then start the app again.`;
}
