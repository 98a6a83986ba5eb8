// Executions for tests, as the engine and the history tell of them.

import type { ExecutionOptions, ExecutionRequest, ExecutionResult, ExecutionSummary, HistoryEntry } from "tauri-plugin-execution-engine-api";

export function at(second: number): string {
  return `2026-11-29T10:00:${String(second).padStart(2, "0")}Z`;
}

/** Returns an execution that has completed in the second of its start. */
export function execution(id: string, second: number, labels?: Record<string, string>): ExecutionSummary {
  const stats = { seen_bytes: 0, kept_bytes: 0 };
  return {
    id, status: "completed", command: `command ${id}`, pid: 1, started_at: at(second), completed_at: at(second), waited_ms: 0,
    duration_ms: 5, attempts: 1, stdout_stats: stats, stderr_stats: stats, truncated: false,
    ending: { type: "exited", code: 0 }, metadata: labels ? { labels } : {},
  };
}

/** Returns an ended execution as the history has it. */
export function entry(
  summary: ExecutionSummary,
  request: Partial<ExecutionRequest> = {},
  options: ExecutionOptions = {},
  env_names: string[] = [],
): HistoryEntry {
  const { id, metadata } = summary;
  return {
    summary,
    accepted_at: summary.started_at,
    request: {
      id, command: { type: "shell", command: summary.command, shell: "/bin/sh" }, env: {}, working_dir: null, timeout_ms: 300_000,
      output_log_path: null, metadata, ...request,
    },
    options,
    env_names,
    result: { id } as ExecutionResult,
  };
}
