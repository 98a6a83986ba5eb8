// What was typed in the run bar, in the labels of an execution as far as its request does not tell it, and
// back. Values of environment variables are in no label: the history does not keep them.

import type { ExecutionMetadata, HistoryEntry } from "tauri-plugin-execution-engine-api";

import { emptyForm, NO_TIMEOUT_MS, type Form, type Kind } from "./form.ts";

/** Tag of executions that are not kept, also in `src-tauri/src/lib.rs`. */
const PRIVATE = "private";
const KINDS: readonly string[] = ["script", "program", "shell", "plan"] satisfies Kind[];

/** Returns whether a run is not kept: its text starts with a space. */
export function isPrivate(form: Form): boolean {
  return form.text.startsWith(" ");
}

/** Returns the notes on an execution that was started from the run bar. */
export function metadata(form: Form): ExecutionMetadata {
  const labels: Record<string, string> = { kind: form.kind };
  // Of the other kinds the request has the words, or one step, or another program.
  if (form.kind !== "shell") labels.typed = form.text;
  if (form.kind === "script") labels.interpreter = form.interpreter;
  // The request has it without links.
  if (form.directory.trim() !== "") labels.directory = form.directory.trim();
  return { labels, ...(isPrivate(form) ? { tags: [PRIVATE] } : {}) };
}

/**
 * Returns the content of the run bar that an execution of the history, or its plan, was started from. Undefined if it was
 * not started from the run bar.
 */
export function formOf({ request, options, env_names }: HistoryEntry): Form | undefined {
  const { kind, typed, interpreter, directory = "" } = request.metadata.labels ?? {};
  const text = typed ?? (request.command.type === "shell" ? request.command.command : undefined);
  if (!isKind(kind) || text === undefined) return undefined;
  const fresh = emptyForm(kind);
  const unlimited = request.timeout_ms === NO_TIMEOUT_MS;
  return {
    ...fresh,
    text,
    interpreter: interpreter ?? fresh.interpreter,
    directory,
    environment: env_names.map((name) => `${name}=`).join("\n"),
    ...(env_names.length > 0 ? { missing: env_names } : {}),
    timeout: unlimited || request.timeout_ms === null ? fresh.timeout : String(request.timeout_ms / 1000),
    unlimited,
    stdin: kind !== "plan" && options.stdin?.type === "piped",
    merged: kind !== "plan" && options.output === "merged",
  };
}

function isKind(text: string | undefined): text is Kind {
  return text !== undefined && KINDS.includes(text);
}
