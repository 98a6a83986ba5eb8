// Runs of this and earlier sessions, in the storage of the page. It leaves out the values of
// environment variables, and what was typed on standard input.

import type { ExecutionStatus } from "tauri-plugin-execution-engine-api";

import type { Form } from "./form.ts";
import { namesOnly, variables } from "./parse.ts";

/** A run that was started here. */
export interface PastRun {
  /** Id of the execution or the plan. */
  id: string;
  /** Content of the run bar. The environment has names only. */
  form: Form;
  title: string;
  started_at: string;
  /** Missing while it runs, and if the app ended first. */
  status?: ExecutionStatus;
  /** Ending in words. */
  outcome?: string;
  duration_ms?: number;
}

/** Part of `Storage` that is needed. */
export interface Shelf {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

const KEY = "history";
/** Maximum number of runs to keep; the oldest are removed first. */
export const MAX_RUNS = 200;

export class History {
  #shelf: Shelf;
  #runs: PastRun[];

  constructor(shelf: Shelf) {
    this.#shelf = shelf;
    this.#runs = read(shelf);
  }

  /** All runs, oldest first. */
  get runs(): readonly PastRun[] {
    return this.#runs;
  }

  get(id: string | undefined): PastRun | undefined {
    return this.#runs.find((run) => run.id === id);
  }

  /** Adds a run, unless its text starts with a space: such a run is not kept. */
  add(run: PastRun): void {
    if (run.form.text.startsWith(" ")) return;
    this.#runs.push({ ...run, form: withoutSecrets(run.form) });
    this.#runs = this.#runs.slice(-MAX_RUNS);
    this.#write();
  }

  /** Notes how a run ended. */
  ended(id: string, status: ExecutionStatus, outcome: string, duration_ms: number): void {
    const run = this.get(id);
    if (!run || run.status) return;
    Object.assign(run, { status, outcome, duration_ms });
    this.#write();
  }

  /** Removes runs and returns them, to undo it. */
  remove(ids: ReadonlySet<string>): PastRun[] {
    const removed = this.#runs.filter(({ id }) => ids.has(id));
    this.#runs = this.#runs.filter(({ id }) => !ids.has(id));
    if (removed.length > 0) this.#write();
    return removed;
  }

  /** Adds removed runs again, in their places. */
  restore(runs: PastRun[]): void {
    this.#runs = [...this.#runs, ...runs].sort((a, b) => a.started_at.localeCompare(b.started_at));
    if (runs.length > 0) this.#write();
  }

  #write(): void {
    this.#shelf.setItem(KEY, JSON.stringify(this.#runs));
  }
}

function read(shelf: Shelf): PastRun[] {
  try {
    const all: unknown = JSON.parse(shelf.getItem(KEY) ?? "[]");
    return Array.isArray(all) ? all.filter((run) => typeof run?.id === "string" && typeof run.form?.text === "string") : [];
  } catch {
    return [];
  }
}

function withoutSecrets(form: Form): Form {
  const names = Object.keys(variables(form.environment).values);
  return { ...form, environment: namesOnly(form.environment), ...(names.length > 0 ? { missing: names } : {}) };
}

/** Walks through earlier content of the run bar, like the history of a shell. */
export class Recall {
  #forms: () => Form[];
  #walked: Form[] = [];
  /** Position in the walk; its length is the draft. */
  #at = 0;
  #draft: Form | undefined;

  /** `forms` returns the earlier content, oldest first. */
  constructor(forms: () => Form[]) {
    this.#forms = forms;
  }

  /** Returns what to show next: older (-1) or newer (1). Undefined at either end. */
  step(by: -1 | 1, shown: Form): Form | undefined {
    if (!this.#draft) {
      if (by === 1) return undefined;
      this.#walked = distinct(this.#forms());
      // The newest is often what is still shown.
      const newest = this.#walked.at(-1);
      if (newest && key(newest) === key(shown)) this.#walked.pop();
      this.#at = this.#walked.length;
      this.#draft = shown;
    }
    const next = this.#at + by;
    if (next < 0 || next > this.#walked.length) return undefined;
    this.#at = next;
    const form = this.#walked[next];
    if (form) return form;
    const draft = this.#draft;
    this.#draft = undefined;
    return draft;
  }

  /** Ends the walk: the next one starts at the newest. */
  reset(): void {
    this.#draft = undefined;
  }
}

/** Keeps the last of all that are equal. */
function distinct(forms: Form[]): Form[] {
  const last = new Map<string, Form>();
  for (const form of forms) {
    last.delete(key(form));
    last.set(key(form), form);
  }
  return [...last.values()];
}

function key({ kind, text, interpreter, directory, environment, timeout, unlimited, stdin, merged }: Form): string {
  const used = kind === "script" ? interpreter : "";
  return JSON.stringify([kind, text.trim(), used, directory, environment, timeout, unlimited, stdin, merged]);
}
