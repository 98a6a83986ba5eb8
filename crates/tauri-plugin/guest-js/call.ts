// Calls of the plugin's commands, and arguments that several of them have.

import { invoke } from "@tauri-apps/api/core";

import { toExecutionError } from "./error.js";
import type { Batch } from "./subscription.js";
import type { EventRecord } from "./types.js";

/** Calls a command of the plugin. Throws an {@link ExecutionError}. */
export async function call<T>(command: string, args: Record<string, unknown>): Promise<T> {
  try {
    return await invoke<T>(`plugin:execution-engine|${command}`, args);
  } catch (error) {
    throw toExecutionError(error);
  }
}

/** Decodes a batch of event records, which need no decoding. */
export function readRecords(raw: Batch<EventRecord>): Batch<EventRecord> {
  return raw;
}

/** Parts of the result of a plan. */
export interface PlanResultOptions {
  /** Whether it includes the text of both streams of its executions. Default: include. */
  output?: "include" | "omit";
}

/** Events of a subscription: all of them, or all but output. */
export type EventFilter = "everything" | "progress";
