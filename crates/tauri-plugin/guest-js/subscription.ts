import { Channel, invoke } from "@tauri-apps/api/core";

import { failure } from "./error.js";

/** What a batch is once it is read. */
export interface Batch<T> {
  records: T[];
  /** Whether it is the last one. */
  end: boolean;
}

/**
 * Records as they come, for `for await`. The engine is held back while the loop is busy: what has
 * not been read stays there, and what it cannot hold is told by an `output_missed` event.
 *
 * Leaving the loop ends the subscription.
 */
export class Subscription<T> implements AsyncIterableIterator<T> {
  #number: number | undefined;
  #waiting: Batch<T>[] = [];
  #taken = 0;
  #ended = false;
  #readers: (() => void)[] = [];

  private constructor() {}

  /** Opens a subscription with a command of the plugin. */
  static async open<T, Raw>(
    command: string,
    args: Record<string, unknown>,
    read: (raw: Raw) => Batch<T>,
  ): Promise<Subscription<T>> {
    const subscription = new Subscription<T>();
    const channel = new Channel<Raw>((raw) => subscription.#arrived(read(raw)));
    try {
      subscription.#number = await invoke<number>(`plugin:execution-engine|${command}`, {
        ...args,
        channel,
      });
    } catch (error) {
      throw failure(error);
    }
    return subscription;
  }

  /** The next record; done when the execution has ended and all has been read. */
  async next(): Promise<IteratorResult<T>> {
    for (;;) {
      const batch = this.#waiting[0];
      if (batch && this.#taken < batch.records.length) {
        return { done: false, value: batch.records[this.#taken++]! };
      }
      if (batch) {
        this.#waiting.shift();
        this.#taken = 0;
        if (batch.end) this.#ended = true;
        else this.#confirm();
        continue;
      }
      if (this.#ended) return { done: true, value: undefined };
      await new Promise<void>((resolve) => this.#readers.push(resolve));
    }
  }

  /** Ends the subscription; the execution goes on. */
  async return(): Promise<IteratorResult<T>> {
    const open = !this.#ended && !this.#waiting.some((batch) => batch.end);
    this.#ended = true;
    this.#waiting = [];
    this.#wake();
    if (open) await this.#tell("unsubscribe");
    return { done: true, value: undefined };
  }

  /** Ends the subscription. */
  async close(): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #arrived(batch: Batch<T>): void {
    if (this.#ended) return;
    this.#waiting.push(batch);
    this.#wake();
  }

  #wake(): void {
    for (const reader of this.#readers.splice(0)) reader();
  }

  #confirm(): void {
    // Nobody waits for it: the next batch is the answer.
    this.#tell("confirm").catch(console.error);
  }

  async #tell(command: string): Promise<void> {
    await invoke(`plugin:execution-engine|${command}`, { subscription: this.#number });
  }
}
