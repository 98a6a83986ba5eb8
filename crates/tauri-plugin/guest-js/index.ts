/**
 * Runs commands from a Tauri window, as far as its capabilities allow.
 *
 * @module
 */

export type { ChunkRecord } from "./chunk.js";
export { ExecutionError } from "./error.js";
export type { About, Texts } from "./call.js";
export { Execution, list, result, run, subscriptions, watch, type From } from "./execution.js";
export { listPlans, Plan, planResult } from "./plan.js";
export { Subscription } from "./subscription.js";
export type * from "./types.js";
