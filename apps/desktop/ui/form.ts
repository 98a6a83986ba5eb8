// What the fields of the run bar hold, and the request that they make.

import type { Command, ExecutionOptions } from "tauri-plugin-execution-engine-api";

import { milliseconds, variables, words } from "./parse.ts";
import { request as planRequest, steps } from "./plan-text.ts";
import type { ExecutionInput, PlanInput } from "./store.ts";
import { metadata } from "./typed.ts";

export type Kind = "script" | "program" | "shell" | "plan";

/** Content of all fields. */
export interface Form {
  kind: Kind;
  /** The line, or the lines for a shell, or the steps of a plan. */
  text: string;
  interpreter: string;
  directory: string;
  /** Lines of `NAME=value`. */
  environment: string;
  /** Names of variables whose values were not kept, so that they must be entered again. */
  missing?: string[];
  /** Seconds. */
  timeout: string;
  unlimited: boolean;
  /** Whether standard input is open. */
  stdin: boolean;
  /** Whether both streams are captured as one, in the order in which they were written. */
  merged: boolean;
}

export type Field = "text" | "environment" | "timeout";

/** Fault in a field, in words for the user. */
export interface Problem {
  field: Field;
  message: string;
}

/** Default timeout, in seconds: that of the engine. */
export const DEFAULT_TIMEOUT = "300";
/** Timeout that stands for none: JSON has no larger exact integer for a page. It is 285 000 years. */
export const NO_TIMEOUT_MS = Number.MAX_SAFE_INTEGER;

/** Names of the rules in `capabilities/main.json`. */
const RULES: Record<Kind, string> = { script: "scripts", program: "programs", shell: "shells", plan: "shells" };

/** Returns the fields with their defaults. */
export function emptyForm(kind: Kind): Form {
  return {
    kind,
    text: "",
    interpreter: "python3",
    directory: "",
    environment: "",
    timeout: DEFAULT_TIMEOUT,
    unlimited: false,
    stdin: false,
    merged: false,
  };
}

/** Returns how many options differ from their defaults. */
export function changedOptions(form: Form): number {
  const fresh = emptyForm(form.kind);
  const changed = [
    form.kind === "script" && form.interpreter.trim() !== fresh.interpreter,
    form.directory.trim() !== "",
    form.environment.trim() !== "",
    form.unlimited || form.timeout.trim() !== fresh.timeout,
    form.stdin && form.kind !== "plan",
    form.merged && form.kind !== "plan",
  ];
  return changed.filter(Boolean).length;
}

/** Returns the lines that a shell would run one after the other; one for all other kinds. */
export function shellLines(form: Form): string[] {
  if (form.kind !== "shell") return [form.text];
  return form.text.split("\n").filter((line) => line.trim() !== "");
}

/** Returns the input for the engine, or what is wrong with the fields. */
export function check(form: Form): { input: ExecutionInput | PlanInput } | { problems: Problem[] } {
  const problems: Problem[] = [];
  const attempt = <T>(field: Field, parse: () => T): T | undefined => {
    try {
      return parse();
    } catch (error) {
      problems.push({ field, message: (error as Error).message });
      return undefined;
    }
  };
  const { values, problems: faults } = variables(form.environment);
  if (faults.length > 0) problems.push({ field: "environment", message: faults.join("\n") });
  const empty = (form.missing ?? []).filter((name) => values[name] === "");
  if (empty.length > 0) {
    const message = `Values of variables are not kept when the app closes. Enter that of ${empty.join(", ")}.`;
    problems.push({ field: "environment", message });
  }
  const timeout = form.unlimited ? NO_TIMEOUT_MS : attempt("timeout", () => milliseconds(form.timeout));
  const common = { env: values, working_dir: form.directory.trim() || null, timeout_ms: timeout ?? null };
  const input = attempt("text", () => parsed(form, common));
  return input && problems.length === 0 ? { input } : { problems };
}

function parsed(form: Form, common: { env: Record<string, string>; working_dir: string | null; timeout_ms: number | null }): ExecutionInput | PlanInput {
  if (form.text.trim() === "") throw new Error(form.kind === "plan" ? "Enter at least one step." : "Enter what to run.");
  if (form.kind === "plan") {
    const all = steps(form.text);
    return { ...planRequest(all, RULES.plan, common), steps: all, form };
  }
  const options: ExecutionOptions = {};
  if (form.stdin) options.stdin = { type: "piped" };
  if (form.merged) options.output = "merged";
  return { request: { ...command(form), ...common, metadata: metadata(form) }, options, form };
}

function command(form: Form): { rule: string; command: Command } {
  if (form.kind === "shell") {
    return { rule: RULES.shell, command: { type: "shell", command: form.text.trim(), shell: "/bin/sh" } };
  }
  const [first = "", ...args] = words(form.text.trim());
  if (form.kind === "program") {
    return { rule: RULES.program, command: { type: "exec", program: first, args } };
  }
  const interpreter = form.interpreter.trim();
  if (args.length === 0) {
    const rule = interpreter ? RULES.script : "executables";
    return { rule, command: { type: "script", path: first, interpreter: interpreter || null } };
  }
  // No rule of the scope allows arguments of a script, so a script with arguments runs as a program.
  const [program, ...rest] = interpreter ? [interpreter, first, ...args] : [first, ...args];
  return { rule: RULES.program, command: { type: "exec", program: program!, args: rest } };
}
