// One execution, and calls about all of them.

import { invoke } from "@tauri-apps/api/core";

import { call, readRecords, type EventFilter } from "./call.js";
import { readChunks, type ChunkRecord } from "./chunk.js";
import { toExecutionError } from "./error.js";
import { Listeners, type ExecutionListeners } from "./events.js";
import { callForResult, type BytesOptions, type BytesResult, type ResultOptions } from "./result.js";
import { readParts, type OutputLines, type OutputPage } from "./output.js";
import { Subscription } from "./subscription.js";
import { decoder, lineReader, type TextOptions } from "./text.js";
import type {
  EventRecord,
  ExecutionId,
  ExecutionOptions,
  ExecutionResult,
  ExecutionStatus,
  ExecutionSummary,
  LaunchRequest,
  LinesQuery,
  OutputMatches,
  OutputQuery,
  SearchQuery,
  Signal,
} from "./types.js";

/** Start of a subscription. */
export interface SubscribeOptions {
  /**
   * Delivers only what follows this sequence number. Default: everything from the beginning. With
   * an encoding it loses nothing, but may repeat some lines.
   */
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
  #listeners: Listeners | undefined;

  private constructor(
    readonly id: ExecutionId,
    readonly encoding: string | undefined,
  ) {}

  /**
   * Starts an execution. A rule of the scope must allow it. With an `encoding`, its lines and the
   * text of its result are decoded from that.
   */
  static async start(
    request: LaunchRequest,
    options?: ExecutionOptions,
    text: TextOptions = {},
  ): Promise<Execution> {
    if (text.encoding !== undefined) decoder(text.encoding);
    return new Execution(await call<ExecutionId>("execute", { request, options }), text.encoding);
  }

  /**
   * Starts a sidecar: a program that is bundled with the app, named as in `bundle.externalBin` of
   * `tauri.conf.json`. A rule with this `sidecar` must allow it. For a directory, variables or a
   * timeout, use {@link start} with `{ sidecar: name, args, .. }`.
   */
  static sidecar(
    name: string,
    args: string[] = [],
    options?: ExecutionOptions,
    text?: TextOptions,
  ): Promise<Execution> {
    return Execution.start({ sidecar: name, args }, options, text);
  }

  /** Returns a handle of an existing execution. */
  static attach(id: ExecutionId, text: TextOptions = {}): Execution {
    if (text.encoding !== undefined) decoder(text.encoding);
    return new Execution(id, text.encoding);
  }

  /** The result, as soon as the execution has ended, in whatever way. */
  get result(): Promise<ExecutionResult> {
    this.#result ??= this.wait();
    return this.#result;
  }

  /** Process id of its program, in the last attempt; null while it is queued. */
  get pid(): Promise<number | null> {
    return this.summary().then(({ pid }) => pid);
  }

  /** Waits for the result. Unlike {@link result}, each call asks the engine again. */
  wait(options?: ResultOptions): Promise<ExecutionResult>;
  wait(options: BytesOptions): Promise<BytesResult>;
  wait(options: ResultOptions | BytesOptions = {}): Promise<ExecutionResult | BytesResult> {
    return callForResult("wait", { id: this.id }, { ...this.#text(), ...options });
  }

  /**
   * Adds a listener: for lines of `stdout` and `stderr`, for the `close` after all of them, for any
   * other `event`, or for an `error` of a call. It is told everything from the beginning, also if
   * that has happened before.
   *
   * ```ts
   * execution
   *   .on("stdout", (line) => console.log(line))
   *   .on("close", ({ exit_code }) => console.log(`exit code ${exit_code}`));
   * ```
   */
  on<E extends keyof ExecutionListeners>(name: E, listener: ExecutionListeners[E]): this {
    this.#listeners ??= new Listeners(this);
    this.#listeners.add(name, listener);
    return this;
  }

  /** Removes a listener. */
  off<E extends keyof ExecutionListeners>(name: E, listener: ExecutionListeners[E]): this {
    this.#listeners?.remove(name, listener);
    return this;
  }

  /** Subscribes to lines and events: replays earlier ones, then continues live up to the end. */
  async records(options: SubscribeOptions = {}): Promise<Subscription<EventRecord>> {
    const args = { id: this.id, after: options.after ?? null };
    if (this.encoding !== undefined) {
      return Subscription.open("subscribe", { ...args, format: "chunks" }, lineReader(this.encoding));
    }
    return Subscription.open("subscribe", { ...args, format: "lines" }, readRecords);
  }

  /** Like {@link records}, but with output as bytes, as it was read: for terminals. */
  async chunks(options: SubscribeOptions = {}): Promise<Subscription<ChunkRecord>> {
    const args = { id: this.id, after: options.after ?? null, format: "chunks" };
    return Subscription.open("subscribe", args, readChunks);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<EventRecord> {
    yield* await this.records();
  }

  /**
   * Reads output from a cursor on, by bytes. Each page has the cursor of the next one, so a page that
   * asks again and again gets each byte once.
   */
  async readOutput(query: OutputQuery = {}): Promise<OutputPage> {
    return readParts<OutputPage>(await call("read_output", { id: this.id, query }));
  }

  /**
   * Reads lines: the last, those from a number on, or what follows lines that were read before. For
   * views that show a part of a long output, and need not hold the rest.
   */
  async readLines(query: LinesQuery = {}): Promise<OutputLines> {
    return readParts<OutputLines>(await call("read_lines", { id: this.id, query }));
  }

  /**
   * Searches all output that is kept, as it is shown: line by line, without escape sequences. It takes some seconds at
   * most, and waits while two others search.
   */
  search(query: SearchQuery): Promise<OutputMatches> {
    return call("search_output", { id: this.id, query });
  }

  /** Returns the current status. */
  status(): Promise<ExecutionStatus> {
    return call("status", { id: this.id });
  }

  /** Returns what the list of executions says about it. */
  summary(): Promise<ExecutionSummary> {
    return call("summary", { id: this.id });
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

  #text(): TextOptions {
    return this.encoding === undefined ? {} : { encoding: this.encoding };
  }
}

/**
 * Runs a command and waits for its result: with text, decoded from another `encoding` if there is
 * one, or with `{ output: "bytes" }` as bytes.
 */
export function run(
  request: LaunchRequest,
  options?: ExecutionOptions,
  output?: ResultOptions,
): Promise<ExecutionResult>;
export function run(
  request: LaunchRequest,
  options: ExecutionOptions | undefined,
  output: BytesOptions,
): Promise<BytesResult>;
export function run(
  request: LaunchRequest,
  options?: ExecutionOptions,
  output: ResultOptions | BytesOptions = {},
): Promise<ExecutionResult | BytesResult> {
  return callForResult("run", { request, options }, output);
}

/**
 * Returns the executions that are active or remembered, oldest first: those of this window, and what the scope of
 * `execution-engine:allow-list` adds.
 */
export function list(): Promise<ExecutionSummary[]> {
  return call("list", {});
}

/** Returns the result of an execution, or null if it has not ended. */
export function result(id: ExecutionId, options?: ResultOptions): Promise<ExecutionResult | null>;
export function result(id: ExecutionId, options: BytesOptions): Promise<BytesResult | null>;
export function result(
  id: ExecutionId,
  options: ResultOptions | BytesOptions = {},
): Promise<ExecutionResult | BytesResult | null> {
  return callForResult("result", { id }, options);
}

/** Subscribes to the events of the executions that `list` returns, and of new ones, from now on. */
export function watch(filter: EventFilter = "everything"): Promise<Subscription<EventRecord>> {
  return Subscription.open("subscribe_all", { filter }, readRecords);
}

/** Returns the number of open subscriptions of this page. */
export function subscriptions(): Promise<number> {
  return call("subscriptions", {});
}
