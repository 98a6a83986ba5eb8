/**
 * Runs commands from a window of a Tauri app, as far as its capabilities allow.
 *
 * @module
 */

export type { EventFilter, PlanResultOptions } from "./call.js";
export type { ChunkRecord } from "./chunk.js";
export { ExecutionError } from "./error.js";
export type { ExecutionListeners } from "./events.js";
export { Execution, list, result, run, subscriptions, watch, type SubscribeOptions } from "./execution.js";
export { historyState, listHistory } from "./history.js";
export type { OutputLines, OutputPage, OutputPart } from "./output.js";
export { listPlans, Plan, planResult } from "./plan.js";
export type { BytesOptions, BytesResult, ResultOptions } from "./result.js";
export { Subscription } from "./subscription.js";
export type { TextOptions } from "./text.js";
export type * from "./types.js";
