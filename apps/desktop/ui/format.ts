// Formats numbers, times and endings.

import type { Ending, ExecutionStatus, ExecutionSummary, PlanSummary } from "tauri-plugin-execution-engine-api";

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.floor(ms / 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  if (s < 3600) return `${Math.floor(s / 60)}:${two(s % 60)} min`;
  return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)} h`;
}

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = count / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

export function time(iso: string): string {
  return new Date(iso).toLocaleTimeString([], { hour12: false });
}

/** Returns the time of today, or the date of another day. */
export function when(iso: string, now = new Date()): string {
  const then = new Date(iso);
  if (then.toDateString() === now.toDateString()) return time(iso);
  return then.toLocaleDateString([], { day: "numeric", month: "short", ...(then.getFullYear() === now.getFullYear() ? {} : { year: "numeric" }) });
}

/** Returns how long an execution or a plan took, or has been running so far. */
export function elapsed(entry: ExecutionSummary | PlanSummary): number {
  if (!isLive(entry)) return entry.duration_ms;
  return Math.max(entry.duration_ms, Date.now() - Date.parse(entry.started_at));
}

export function isLive({ status }: { status: ExecutionStatus }): boolean {
  return status === "pending" || status === "running";
}

const STATUS: Record<ExecutionStatus, string> = {
  pending: "Pending",
  running: "Running",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
  timeout: "Timed out",
  lost: "Lost",
};

export function status(status: ExecutionStatus): string {
  return STATUS[status];
}

/** Returns an ending in words, short enough for a list. */
export function ending(ending: Ending): string {
  switch (ending.type) {
    case "exited":
      return `exit ${ending.code}`;
    case "signaled":
      return `signal ${ending.signal}`;
    case "timed_out":
      return "timeout";
    case "idle_timed_out":
      return "no output";
    case "cancelled":
      return "cancelled";
    case "output_limit":
      return "output limit";
    case "output_lost":
      return "output lost";
    case "spawn_failed":
      return "not started";
    case "resource_limit":
      return `limit: ${ending.limit.replaceAll("_", " ")}`;
    case "plan_deadline":
      return "plan deadline";
    case "not_run":
      return "never ran";
    case "status_unknown":
      return "status unknown";
    case "engine_closed":
      return "stopped with the app";
    case "engine_failed":
      return "engine failed";
    case "lost":
      return "lost";
    case "worker_lost":
      return "worker lost";
    case "unknown":
      return "ending unknown";
  }
}
