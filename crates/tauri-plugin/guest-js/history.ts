// What was run before, also before a restart of the app.

import { call } from "./call.js";
import type { HistoryPage, HistoryQuery, HistoryState } from "./types.js";

/**
 * Returns a page of the history: executions of this window, and what the scope of
 * `execution-engine:allow-list-history` adds, the one that was accepted last first. With `next` as the
 * `cursor`, the page that follows. `Execution.attach(id)` reads and searches their output.
 *
 * Throws an error with the code `no_history` if the app keeps none ({@link historyState}).
 */
export function listHistory(query: HistoryQuery = {}): Promise<HistoryPage> {
  return call("list_history", { query });
}

/** Says whether executions are kept for the next start of the app, and why if they are not. */
export function historyState(): Promise<HistoryState> {
  return call("history_state", {});
}
