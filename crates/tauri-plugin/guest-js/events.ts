// Listeners in the style of Node's event emitters, beside the async iterator.

import { toExecutionError, type ExecutionError } from "./error.js";
import type { Subscription } from "./subscription.js";
import type { EventRecord, ExecutionResult } from "./types.js";

/** Listeners of {@link Execution.on} by the name of their event. */
export interface ExecutionListeners {
  /** A line of standard output. */
  stdout: (line: string, record: EventRecord) => void;
  /** A line of standard error. */
  stderr: (line: string, record: EventRecord) => void;
  /** Everything else: the start, changes of the status, the ending. */
  event: (record: EventRecord) => void;
  /** The result, after all lines. */
  close: (result: ExecutionResult) => void;
  /** A call to the plugin failed, for instance because a permission is missing. */
  error: (error: ExecutionError) => void;
}

type Name = keyof ExecutionListeners;

/** What listeners are told about. */
export interface Source {
  records(): Promise<Subscription<EventRecord>>;
  readonly result: Promise<ExecutionResult>;
}

/** All listeners of an execution. */
export class Listeners {
  /** Listeners that have been added in this turn of the event loop. */
  #latest: Group | undefined;
  readonly #groups = new Set<Group>();

  constructor(private readonly source: Source) {}

  add<E extends Name>(name: E, listener: ExecutionListeners[E]): void {
    this.#latest ??= this.#open();
    this.#latest.add(name, listener);
  }

  remove<E extends Name>(name: E, listener: ExecutionListeners[E]): void {
    for (const group of this.#groups) group.remove(name, listener);
  }

  #open(): Group {
    const group = new Group();
    this.#groups.add(group);
    queueMicrotask(() => {
      this.#latest = undefined;
      void group.run(this.source).then(() => this.#groups.delete(group));
    });
    return group;
  }
}

/** Listeners that share a subscription, so that they are told of all in one order. */
class Group {
  readonly #listeners: { [E in Name]: Set<ExecutionListeners[E]> } = {
    stdout: new Set(),
    stderr: new Set(),
    event: new Set(),
    close: new Set(),
    error: new Set(),
  };

  add<E extends Name>(name: E, listener: ExecutionListeners[E]): void {
    this.#listeners[name].add(listener);
  }

  remove<E extends Name>(name: E, listener: ExecutionListeners[E]): void {
    this.#listeners[name].delete(listener);
  }

  async run(source: Source): Promise<void> {
    const { close, error } = this.#listeners;
    try {
      if (this.#reads()) {
        for await (const record of await source.records()) {
          this.#tell(record);
          if (!this.#reads()) break;
        }
      }
      if (close.size > 0) {
        const result = await source.result;
        call(close, (listener) => listener(result));
      }
    } catch (failure) {
      const failed = toExecutionError(failure);
      if (error.size === 0) console.error(failed);
      call(error, (listener) => listener(failed));
    }
  }

  /** Whether a listener needs the records. */
  #reads(): boolean {
    const { stdout, stderr, event } = this.#listeners;
    return stdout.size + stderr.size + event.size > 0;
  }

  #tell(record: EventRecord): void {
    const { event } = record;
    if (event.type === "stdout" || event.type === "stderr") {
      call(this.#listeners[event.type], (listener) => listener(event.line, record));
    } else {
      call(this.#listeners.event, (listener) => listener(record));
    }
  }
}

/** Calls each listener. One that throws keeps the others from nothing. */
function call<L>(listeners: Set<L>, how: (listener: L) => void): void {
  for (const listener of [...listeners]) {
    try {
      how(listener);
    } catch (error) {
      console.error(error);
    }
  }
}
