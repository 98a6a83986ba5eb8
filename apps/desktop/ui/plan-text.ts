// Parses a plan: one step per line, `name: shell line`, or `name after other, another: shell line`.

import type { ExecutionMetadata, LaunchRequest, PlanOptions, PlanRequest } from "tauri-plugin-execution-engine-api";

export interface Step {
  name: string;
  line: string;
  /** Indices of the steps that it waits for. */
  after: number[];
}

/** Parses the text of a plan. */
export function steps(text: string): Step[] {
  const lines = text.split("\n").map((line) => line.trim());
  const parsed = lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
    const found = /^([\w.-]+)(?:\s+after\s+([^:]+))?\s*:\s*(.+)$/.exec(line);
    if (!found) throw new Error(`“${line}” is not a step. Write “name: line”, or “name after other: line”.`);
    const [, name = "", after = "", shell = ""] = found;
    return { name, line: shell, after: after.split(",").map((other) => other.trim()).filter(Boolean) };
  });
  if (parsed.length === 0) throw new Error("Enter at least one step.");
  const index = new Map(parsed.map(({ name }, at) => [name, at]));
  if (index.size < parsed.length) throw new Error(`Two steps are called ${twice(parsed)}. Rename one of them.`);
  return parsed.map(({ name, line, after }) => ({
    name,
    line,
    after: after.map((other) => {
      const at = index.get(other);
      if (at === undefined) throw new Error(`Step ${name} waits for ${other}, but no step is called that.`);
      return at;
    }),
  }));
}

function twice(all: { name: string }[]): string {
  const names = all.map(({ name }) => name);
  return names.find((name, at) => names.indexOf(name) !== at) ?? "";
}

/** Returns the plan for the engine. Each step is a shell line, allowed by this rule of the scope. */
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

/** Returns the plan with an id, which its steps have in their labels beside those of `notes`, with their number and name. */
export function withId({ plan, steps }: { plan: PlanRequest; steps: Step[] }, id: string, notes: ExecutionMetadata): PlanRequest {
  const commands = plan.commands.map((command, at) => ({
    ...command,
    metadata: { ...notes, labels: { ...notes.labels, plan: id, step: String(at + 1), name: steps[at]?.name ?? "" } },
  }));
  return { ...plan, id, commands };
}

/**
 * Returns the row of each step in the graph: below all steps that it waits for. A step that waits for
 * none is placed directly above the first one that waits for it, which keeps the edges short.
 */
export function rows(all: Step[]): number[] {
  const known: (number | undefined)[] = all.map(() => undefined);
  const row = (at: number, path: number[]): number => {
    // The engine refuses a cycle, but it may be drawn before that.
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
