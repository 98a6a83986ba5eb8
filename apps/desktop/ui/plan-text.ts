// A plan as it is typed: a step a line, `name: shell line`, or `name after other, another: ..`.

import type { LaunchRequest, PlanOptions, PlanRequest } from "tauri-plugin-execution-engine-api";

export interface Step {
  name: string;
  line: string;
  /** The indices of the steps that it waits for. */
  after: number[];
}

export function steps(text: string): Step[] {
  const lines = text.split("\n").map((line) => line.trim());
  const parsed = lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
    const found = /^([\w.-]+)(?:\s+after\s+([^:]+))?\s*:\s*(.+)$/.exec(line);
    if (!found) throw new Error(`plan: “${line}” is not “name: line” or “name after other: line”`);
    const [, name = "", after = "", shell = ""] = found;
    return { name, line: shell, after: after.split(",").map((other) => other.trim()).filter(Boolean) };
  });
  if (parsed.length === 0) throw new Error("plan: it has no steps");
  const index = new Map(parsed.map(({ name }, at) => [name, at]));
  if (index.size < parsed.length) throw new Error("plan: two steps have the same name");
  return parsed.map(({ name, line, after }) => ({
    name,
    line,
    after: after.map((other) => {
      const at = index.get(other);
      if (at === undefined) throw new Error(`plan: ${name} waits for ${other}, which there is not`);
      return at;
    }),
  }));
}

/** The plan for the engine; each step is a line for a shell, by this rule of the scope. */
export function request(all: Step[], rule: string, common: Partial<LaunchRequest>): { plan: PlanRequest; options: PlanOptions } {
  const dependencies = Object.fromEntries(all.map(({ after }, at) => [at, after]));
  return {
    plan: {
      description: all.map(({ name }) => name).join(", "),
      strategy: { type: "dependency_graph", dependencies },
      commands: all.map(({ line }) => ({
        ...common,
        rule,
        command: { type: "shell", command: line, shell: "/bin/sh" },
      })),
    },
    options: { steps: all.map(({ name }) => ({ name })) },
  };
}

/**
 * In which row each step stands: below all that it waits for. One that waits for nothing stands just
 * above the first that waits for it, so that no line runs past steps it has nothing to do with.
 */
export function rows(all: Step[]): number[] {
  const known: (number | undefined)[] = all.map(() => undefined);
  const row = (at: number, path: number[]): number => {
    // The engine refuses a circle; a picture of one must not go round for ever.
    if (path.includes(at)) return 0;
    known[at] ??= Math.max(-1, ...(all[at]?.after ?? []).map((other) => row(other, [...path, at]))) + 1;
    return known[at];
  };
  const found = all.map((_, at) => row(at, []));
  return found.map((own, at) => {
    const below = found.filter((_, other) => all[other]!.after.includes(at));
    return all[at]!.after.length > 0 || below.length === 0 ? own : Math.max(0, Math.min(...below) - 1);
  });
}
