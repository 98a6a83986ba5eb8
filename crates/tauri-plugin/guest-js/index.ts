/**
 * Runs commands from a window of a Tauri app, as far as its capabilities allow.
 *
 * @module
 */

export type { EventFilter, ResultOptions } from "./call.js";
export type { ChunkRecord } from "./chunk.js";
export { ExecutionError } from "./error.js";
export { Execution, list, result, run, subscriptions, watch, type SubscribeOptions } from "./execution.js";
export { listPlans, Plan, planResult } from "./plan.js";
export { Subscription } from "./subscription.js";
export type * from "./types.js";
