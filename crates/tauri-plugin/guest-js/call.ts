import { invoke } from "@tauri-apps/api/core";

import { failure } from "./error.js";
import type { Batch } from "./subscription.js";
import type { EventRecord } from "./types.js";

/** Calls a command of the plugin. */
export async function call<T>(command: string, args: Record<string, unknown>): Promise<T> {
  try {
    return await invoke<T>(`plugin:execution-engine|${command}`, args);
  } catch (error) {
    throw failure(error);
  }
}

/** Batches of records are what they are. */
export function readRecords(raw: Batch<EventRecord>): Batch<EventRecord> {
  return raw;
}

/** Whether the text of both streams comes with a result. It may be large. */
export interface Texts {
  output?: "include" | "omit";
}

/** What a subscription is about: output, too, or beginnings and endings only. */
export type About = "everything" | "progress";
