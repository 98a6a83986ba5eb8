// The walk through earlier content of the run bar, like the history of a shell.

import type { Form } from "./form.ts";

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
