// Formats numbers and endings, and parses what is typed into the run bar.

import type { Ending, ExecutionStatus } from "tauri-plugin-execution-engine-api";

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

const STATUS: Record<ExecutionStatus, string> = {
  pending: "Pending",
  running: "Running",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
  timeout: "Timed out",
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
      return "engine closed";
    case "engine_failed":
      return "engine failed";
  }
}

/** Splits a line into words like a shell, with quotes and backslashes, but expands nothing. */
export function words(line: string): string[] {
  const all: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let i = 0; i < line.length; i++) {
    const c = line[i]!;
    if (c === "\\" && quote !== "'" && i + 1 < line.length) {
      word = (word ?? "") + line[++i];
    } else if (quote) {
      if (c === quote) quote = undefined;
      else word = (word ?? "") + c;
    } else if (c === "'" || c === '"') {
      quote = c;
      word ??= "";
    } else if (/\s/.test(c)) {
      if (word !== undefined) all.push(word);
      word = undefined;
    } else {
      word = (word ?? "") + c;
    }
  }
  if (word !== undefined) all.push(word);
  return all;
}

/** Parses lines of `NAME=value`. */
export function variables(text: string): Record<string, string> {
  const all: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at > 0) all[line.slice(0, at).trim()] = line.slice(at + 1);
    else if (line.trim() !== "") throw new Error(`environment: “${line.trim()}” must be NAME=value`);
  }
  return all;
}
