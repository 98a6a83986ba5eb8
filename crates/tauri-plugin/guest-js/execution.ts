// One execution, and calls about all of them.

import { invoke } from "@tauri-apps/api/core";

import { call, readRecords, type EventFilter, type ResultOptions } from "./call.js";
import { readChunks, type ChunkRecord } from "./chunk.js";
import { toExecutionError } from "./error.js";
import { Subscription } from "./subscription.js";
import type {
  EventRecord,
  ExecutionId,
  ExecutionOptions,
  ExecutionResult,
  ExecutionStatus,
  ExecutionSummary,
  LaunchRequest,
  Signal,
} from "./types.js";

/** Start of a subscription. */
export interface SubscribeOptions {
  /** Delivers only what follows this sequence number. Default: everything from the beginning. */
  after?: number;
}

/**
 * Handle of an execution.
 *
 * ```ts
 * const execution = await Execution.start({ rule: "report", args: ["--month", "2026-10"] });
 * for await (const { event } of execution) {
 *   if (event.type === "stdout") console.log(event.line);
 * }
 * const { success, exit_code } = await execution.result;
 * ```
 */
export class Execution implements AsyncIterable<EventRecord> {
  #result: Promise<ExecutionResult> | undefined;

  private constructor(readonly id: ExecutionId) {}

  /** Starts an execution. A rule of the scope must allow it. */
  static async start(request: LaunchRequest, options?: ExecutionOptions): Promise<Execution> {
    return new Execution(await call<ExecutionId>("execute", { request, options }));
  }

  /** Returns a handle of an existing execution. */
  static attach(id: ExecutionId): Execution {
    return new Execution(id);
  }

  /** The result, as soon as the execution has ended, in whatever way. */
  get result(): Promise<ExecutionResult> {
    this.#result ??= this.wait();
    return this.#result;
  }

  /** Waits for the result. Unlike {@link result}, each call asks the engine again. */
  wait(options: ResultOptions = {}): Promise<ExecutionResult> {
    return call("wait", { id: this.id, ...options });
  }

  /** Subscribes to lines and events: replays earlier ones, then continues live up to the end. */
  async records(options: SubscribeOptions = {}): Promise<Subscription<EventRecord>> {
    const args = { id: this.id, after: options.after ?? null, format: "lines" };
    return Subscription.open("subscribe", args, readRecords);
  }

  /** Like {@link records}, but with output as bytes, as it was read: for terminals. */
  async chunks(options: SubscribeOptions = {}): Promise<Subscription<ChunkRecord>> {
    const args = { id: this.id, after: options.after ?? null, format: "chunks" };
    return Subscription.open("subscribe", args, readChunks);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<EventRecord> {
    yield* await this.records();
  }

  /** Returns the current status. */
  status(): Promise<ExecutionStatus> {
    return call("status", { id: this.id });
  }

  /** Returns the log so far. */
  logs(): Promise<string> {
    return call("logs", { id: this.id });
  }

  /** Returns the path of the log file, or null if there is none. */
  logPath(): Promise<string | null> {
    return call("log_path", { id: this.id });
  }

  /** Stops the process tree: with the stop signal, and after a grace period with the final one. */
  cancel(): Promise<void> {
    return call("cancel", { id: this.id });
  }

  /** Sends a signal to all of its processes and returns how many received it. */
  signal(signal: Signal): Promise<number> {
    return call("signal", { id: this.id, signal });
  }

  /** Pauses its processes. The timeout is paused, too. */
  pause(): Promise<void> {
    return call("pause", { id: this.id });
  }

  /** Resumes its processes. */
  resume(): Promise<void> {
    return call("resume", { id: this.id });
  }

  /** Writes to its standard input. It must have been started with `{ stdin: { type: "piped" } }`. */
  async write(data: string | Uint8Array): Promise<number> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    try {
      return await invoke<number>("plugin:execution-engine|write_stdin", bytes, {
        headers: { "execution-id": this.id },
      });
    } catch (error) {
      throw toExecutionError(error);
    }
  }

  /** Closes its standard input. */
  closeStdin(): Promise<void> {
    return call("close_stdin", { id: this.id });
  }

  /** Removes its record. It must have ended. */
  remove(): Promise<void> {
    return call("remove", { id: this.id });
  }
}

/** Runs a command and waits for its result. */
export function run(request: LaunchRequest, options?: ExecutionOptions): Promise<ExecutionResult> {
  return call("run", { request, options });
}

/** Returns all executions that are active or remembered, oldest first. */
export function list(): Promise<ExecutionSummary[]> {
  return call("list", {});
}

/** Returns the result of an execution, or null if it has not ended. */
export function result(id: ExecutionId, options: ResultOptions = {}): Promise<ExecutionResult | null> {
  return call("result", { id, ...options });
}

/** Subscribes to the events of all executions from now on. */
export function watch(filter: EventFilter = "everything"): Promise<Subscription<EventRecord>> {
  return Subscription.open("subscribe_all", { filter }, readRecords);
}

/** Returns the number of open subscriptions of this page. */
export function subscriptions(): Promise<number> {
  return call("subscriptions", {});
}
