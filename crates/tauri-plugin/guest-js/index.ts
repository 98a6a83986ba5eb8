/**
 * Runs commands from a Tauri window, as far as its capabilities allow.
 *
 * @module
 */

export type { ChunkRecord } from "./chunk.js";
export { ExecutionError } from "./error.js";
export { Execution, list, result, run, subscriptions, watch, type About, type From, type Texts } from "./execution.js";
export { Subscription } from "./subscription.js";
export type * from "./types.js";
