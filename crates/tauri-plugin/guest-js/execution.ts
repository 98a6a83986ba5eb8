import { invoke } from "@tauri-apps/api/core";

import { call, readRecords, type About, type Texts } from "./call.js";
import { readChunks, type ChunkRecord } from "./chunk.js";
import { failure } from "./error.js";
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

/** Where a subscription begins. */
export interface From {
  /** Only what comes after this sequence number; from the beginning if it is left out. */
  after?: number;
}

/**
 * One execution.
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

  private constructor(
    /** Its id. */
    readonly id: ExecutionId,
  ) {}

  /** Starts one. */
  static async start(request: LaunchRequest, options?: ExecutionOptions): Promise<Execution> {
    return new Execution(await call<ExecutionId>("execute", { request, options }));
  }

  /** One that exists already. */
  static attach(id: ExecutionId): Execution {
    return new Execution(id);
  }

  /** What comes of it, whichever way it ends. */
  get result(): Promise<ExecutionResult> {
    this.#result ??= this.wait();
    return this.#result;
  }

  /** The same, asked anew, and without the text of its output if that is not needed. */
  wait(texts: Texts = {}): Promise<ExecutionResult> {
    return call("wait", { id: this.id, ...texts });
  }

  /** Lines and events, what there is already and then live, up to the end. */
  async records(from: From = {}): Promise<Subscription<EventRecord>> {
    const args = { id: this.id, after: from.after ?? null, form: "lines" };
    return Subscription.open("subscribe", args, readRecords);
  }

  /** The same with output as bytes, as it came: for terminals. */
  async chunks(from: From = {}): Promise<Subscription<ChunkRecord>> {
    const args = { id: this.id, after: from.after ?? null, form: "chunks" };
    return Subscription.open("subscribe", args, readChunks);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<EventRecord> {
    yield* await this.records();
  }

  /** Where it stands. */
  status(): Promise<ExecutionStatus> {
    return call("status", { id: this.id });
  }

  /** Its log so far. */
  logs(): Promise<string> {
    return call("logs", { id: this.id });
  }

  /** The file of its log, if it has one. */
  logPath(): Promise<string | null> {
    return call("log_path", { id: this.id });
  }

  /** Stops its process tree: politely, and for good after the grace. */
  cancel(): Promise<void> {
    return call("cancel", { id: this.id });
  }

  /** Sends a signal to all its processes and says how many got it. */
  signal(signal: Signal): Promise<number> {
    return call("signal", { id: this.id, signal });
  }

  /** Lets its processes stand still; its timeout does not run meanwhile. */
  pause(): Promise<void> {
    return call("pause", { id: this.id });
  }

  /** Lets it go on. */
  resume(): Promise<void> {
    return call("resume", { id: this.id });
  }

  /** Writes to its standard input, which its options must have made `piped`. */
  async write(data: string | Uint8Array): Promise<number> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    try {
      return await invoke<number>("plugin:execution-engine|write_stdin", bytes, {
        headers: { "execution-id": this.id },
      });
    } catch (error) {
      throw failure(error);
    }
  }

  /** Ends its standard input. */
  closeStdin(): Promise<void> {
    return call("close_stdin", { id: this.id });
  }

  /** Forgets it, once it has ended. */
  remove(): Promise<void> {
    return call("remove", { id: this.id });
  }
}

/** Runs something and waits for its result. */
export function run(request: LaunchRequest, options?: ExecutionOptions): Promise<ExecutionResult> {
  return call("run", { request, options });
}

/** All executions that are running or remembered, oldest first. */
export function list(): Promise<ExecutionSummary[]> {
  return call("list", {});
}

/** The result of an execution, or null while it runs. */
export function result(id: ExecutionId, texts: Texts = {}): Promise<ExecutionResult | null> {
  return call("result", { id, ...texts });
}

/** The events of all executions from now on. */
export function watch(about: About = "everything"): Promise<Subscription<EventRecord>> {
  return Subscription.open("subscribe_all", { about }, readRecords);
}

/** How many subscriptions this page has open. */
export function subscriptions(): Promise<number> {
  return call("subscriptions", {});
}
