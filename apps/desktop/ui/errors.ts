// Errors in words for the user of the app. Those of the engine and the plugin are written for the
// authors of apps and capabilities.

import { ExecutionError } from "tauri-plugin-execution-engine-api";

/** Error for the user, with what an author needs beside it. */
export interface Explained {
  text: string;
  /** Code and message as they came. */
  detail: string;
}

/** Sentences for codes whose messages name parts of the programming interface. */
const SENTENCES: Record<string, string> = {
  denied: "This window may not do that.",
  not_found: "It is no longer in the list.",
  plan_not_found: "The plan is no longer in the list.",
  already_ended: "It has ended already.",
  stdin_not_piped: "Its standard input is closed. Choose Open standard input under Options before you run it.",
  stdin_closed: "It does not read any more: its standard input is closed.",
  shutting_down: "The app is closing, so nothing new is started.",
};

export function explain(error: unknown): Explained {
  if (!(error instanceof ExecutionError)) {
    const message = error instanceof Error ? error.message : String(error);
    return { text: message, detail: "" };
  }
  const { code, message } = error;
  const detail = `${code}: ${message}`;
  if (code === "refused") return { text: refusal(message), detail };
  return { text: SENTENCES[code] ?? sentence(message), detail };
}

function refusal(message: string): string {
  const at = /^commands\[(\d+)\]: /.exec(message);
  const step = at ? `Step ${Number(at[1]) + 1}: ` : "";
  if (/`no-sudo`|`no-su`/.test(message)) {
    return `${step}sudo and su do not work here: they ask for a password on a terminal, and there is none. Use a terminal, or pkexec, which asks in a window of its own.`;
  }
  return `${step}The rules of this app do not allow this command. Nothing was started.`;
}

/** Rewrites a message of the engine: words of its interface, and steps counted from 0. */
function sentence(message: string): string {
  const text = message
    .replace(/^plan: /, "")
    .replace(/\bsteps? (\d+)(?: \("([^"]*)"\))?/g, (_, index: string, name?: string) =>
      name === undefined ? `step ${Number(index) + 1}` : `step ${Number(index) + 1} (${name})`)
    .replace(/\bworking_dir\b/g, "directory")
    .replace(/(\S)$/, (last) => (/[.!?)]/.test(last) ? last : `${last}.`));
  return text.charAt(0).toUpperCase() + text.slice(1);
}
