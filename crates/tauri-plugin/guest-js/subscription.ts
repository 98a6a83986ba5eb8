// The stream of records of one subscription, with flow control.

import { Channel, invoke } from "@tauri-apps/api/core";

import { toExecutionError } from "./error.js";

/** A decoded batch. */
export interface Batch<T> {
  records: T[];
  /** `true` for the last one. */
  end: boolean;
}

/**
 * Stream of records, for `for await`. While the loop is busy, further records stay in the engine;
 * an `output_missed` event reports those that it had to discard.
 *
 * Leaving the loop closes the subscription.
 */
export class Subscription<T> implements AsyncIterableIterator<T> {
  #id: number | undefined;
  #batches: Batch<T>[] = [];
  #position = 0;
  #ended = false;
  #pending: (() => void)[] = [];

  private constructor() {}

  /** Opens a subscription with a command of the plugin. `read` decodes a batch. */
  static async open<T, Raw>(
    command: string,
    args: Record<string, unknown>,
    read: (raw: Raw) => Batch<T>,
  ): Promise<Subscription<T>> {
    const subscription = new Subscription<T>();
    const channel = new Channel<Raw>((raw) => subscription.#receive(read(raw)));
    try {
      subscription.#id = await invoke<number>(`plugin:execution-engine|${command}`, {
        ...args,
        channel,
      });
    } catch (error) {
      throw toExecutionError(error);
    }
    return subscription;
  }

  /** Returns the next record; done when the execution has ended and all records are read. */
  async next(): Promise<IteratorResult<T>> {
    for (;;) {
      const batch = this.#batches[0];
      if (batch && this.#position < batch.records.length) {
        return { done: false, value: batch.records[this.#position++]! };
      }
      if (batch) {
        this.#batches.shift();
        this.#position = 0;
        if (batch.end) this.#ended = true;
        else this.#ack();
        continue;
      }
      if (this.#ended) return { done: true, value: undefined };
      await new Promise<void>((resolve) => this.#pending.push(resolve));
    }
  }

  /** Closes the subscription. The execution continues. */
  async return(): Promise<IteratorResult<T>> {
    const open = !this.#ended && !this.#batches.some((batch) => batch.end);
    this.#ended = true;
    this.#batches = [];
    this.#wake();
    if (open) await this.#send("unsubscribe");
    return { done: true, value: undefined };
  }

  /** Like {@link return}. */
  async close(): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #receive(batch: Batch<T>): void {
    if (this.#ended) return;
    this.#batches.push(batch);
    this.#wake();
  }

  #wake(): void {
    for (const resume of this.#pending.splice(0)) resume();
  }

  #ack(): void {
    // Not awaited: the reader waits for the next batch, not for the answer to this call.
    this.#send("ack").catch(console.error);
  }

  async #send(command: string): Promise<void> {
    await invoke(`plugin:execution-engine|${command}`, { subscription: this.#id });
  }
}
