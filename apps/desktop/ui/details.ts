// The right column: ending, resources and containment receipt of the selected execution or plan.

import {
  Execution,
  Plan,
  type ContainmentLevel,
  type ContainmentReceipt,
  type ExecutionResult,
  type ExecutionStatus,
  type ExecutionSummary,
  type PlanExecutionResult,
  type PlanSummary,
  type Signal,
} from "tauri-plugin-execution-engine-api";

import { h, replace } from "./dom.ts";
import { DEFAULT_TIMEOUT, type Form } from "./form.ts";
import * as format from "./format.ts";
import { variables } from "./parse.ts";
import type { Store } from "./store.ts";

export class Details {
  #root: HTMLElement;
  #store: Store;
  #shown = "";
  #clock = h("dd");
  #runWithInput: (form: Form) => void;

  /** `runWithInput` runs a command again with standard input open. */
  constructor(root: HTMLElement, store: Store, runWithInput: (form: Form) => void) {
    this.#root = root;
    this.#store = store;
    this.#runWithInput = runWithInput;
    store.onChange(() => void this.#draw());
    setInterval(() => this.#tick(), 200);
    void this.#draw();
  }

  async #draw(): Promise<void> {
    const plan = this.#store.currentPlan;
    if (plan) return this.#drawPlan(plan);
    const execution = this.#store.current;
    const paused = execution && this.#store.paused.has(execution.id);
    const key = `${execution?.id} ${execution?.status} ${paused}`;
    if (key === this.#shown) return;
    this.#shown = key;
    if (!execution) {
      replace(this.#root, h("p", { class: "empty" }, "The result of the selected run is shown here."));
      return;
    }
    if (!execution.ending) {
      replace(this.#root, this.#live(execution, Boolean(paused)));
      return;
    }
    try {
      const result = await this.#result(execution.id);
      if (this.#shown === key) replace(this.#root, ...ended(execution, result), this.#request(execution));
    } catch (error) {
      if (this.#shown === key) replace(this.#root, h("p", { class: "empty" }, String(error)));
    }
  }

  /** Returns the result of an execution without the text of its output, which may be large. */
  async #result(id: string): Promise<ExecutionResult> {
    // To leave the text out, the engine would have to read all of it from the history first.
    return this.#store.history.get(id)?.result ?? Execution.attach(id).wait({ output: "omit" });
  }

  async #drawPlan(plan: PlanSummary): Promise<void> {
    const key = `${plan.id} ${plan.status} ${plan.ended}`;
    if (key === this.#shown) return;
    this.#shown = key;
    if (format.isLive(plan)) {
      this.#tick();
      replace(this.#root, 
        headline(plan.status, format.status(plan.status), ""),
        facts("Plan", [
          ["Steps", `${plan.ended} of ${plan.total} ended`],
          ["Running for", this.#clock],
          ["Started", format.time(plan.started_at)],
          ["Id", id(plan.id)],
        ]),
      );
      return;
    }
    if (this.#store.isPastPlan(plan.id)) {
      replace(this.#root, ...planOfSteps(plan, this.#store.executionsOf(plan.id)));
      return;
    }
    const result = await Plan.attach(plan.id).wait({ output: "omit" });
    if (this.#shown === key) replace(this.#root, ...planEnded(result));
  }

  #live(execution: ExecutionSummary, paused: boolean): HTMLElement {
    this.#tick();
    return h("div", {},
      headline(paused ? "paused" : execution.status, paused ? "Paused" : format.status(execution.status), ""),
      facts("Execution", [
        ["Running for", this.#clock],
        ["Started", format.time(execution.started_at)],
        ["Process", execution.pid === null ? null : String(execution.pid)],
        ["Id", id(execution.id)],
      ]),
      this.#request(execution),
    );
  }

  /** Returns the options that an execution was started with. */
  #request(execution: ExecutionSummary): HTMLElement | string {
    const plan = execution.metadata.labels?.plan;
    const form = this.#store.form(plan ?? execution.id);
    if (!form) return "";
    const names = Object.keys(variables(form.environment).values);
    const section = facts("Options", [
      ["Directory", form.directory.trim() || "that of the app"],
      ["Variables", names.join(", ") || null],
      ["Timeout", timeout(form)],
      ["Standard input", plan === undefined && form.stdin ? "open" : "closed"],
      ["Streams", plan === undefined && form.merged ? "one, in exact order" : null],
    ]);
    if (execution.ending && plan === undefined && !form.stdin) {
      const title = "A program that reads its standard input has found the end of it at once. This runs it again with input that you type.";
      section.append(h("button", { type: "button", id: "with-input", title, onclick: () => this.#runWithInput(form) }, "Run again with input"));
    }
    return section;
  }

  #tick(): void {
    const execution = this.#store.current ?? this.#store.currentPlan;
    if (execution && format.isLive(execution)) this.#clock.textContent = format.duration(format.elapsed(execution));
  }
}

function ended(execution: ExecutionSummary, result: ExecutionResult): HTMLElement[] {
  const { usage, containment: receipt } = result;
  const sections = [
    headline(execution.status, endingTitle(result), result.error ?? ""),
    facts("Execution", [
      ["Exit code", result.exit_code === -1 ? "none" : String(result.exit_code)],
      ["Duration", format.duration(result.duration_ms)],
      ["Attempts", result.attempts > 1 ? String(result.attempts) : null],
      ["Started", format.time(result.started_at)],
      ["Ended", format.time(result.completed_at)],
      ["Id", id(result.id)],
    ]),
    facts("Output", [
      ["stdout", stream(result.stdout_stats)],
      ["stderr", stream(result.stderr_stats)],
      ["Overflow file", result.stdout_overflow_file ?? result.stderr_overflow_file],
      ["Output error", result.output_error],
    ]),
  ];
  if (usage) {
    sections.push(
      facts("Resources", [
        ["CPU, user", format.duration(usage.user_ms)],
        ["CPU, system", format.duration(usage.system_ms)],
        // Null if it was not above the peak of the app: Linux does not tell the two apart then.
        ["Peak memory", usage.peak_memory_bytes === null ? null : format.bytes(usage.peak_memory_bytes)],
        ["CPU, all processes", usage.tree && format.duration(usage.tree.user_ms + usage.tree.system_ms)],
      ]),
    );
  }
  sections.push(containment(receipt));
  return sections;
}

function planEnded(result: PlanExecutionResult): HTMLElement[] {
  const { ending, stats } = result;
  const step = ending.type === "failed" ? ending.step : undefined;
  const reason = step ? `${step.name ?? `step ${step.index + 1}`} failed first` : "";
  const count = (number: number) => (number === 0 ? null : String(number));
  return [
    headline(result.status, format.status(result.status), reason),
    facts("Plan", [
      ["Duration", format.duration(result.total_duration_ms)],
      ["Started", format.time(result.started_at)],
      ["Id", id(result.plan_id)],
    ]),
    facts("Steps", [
      ["All", String(stats.total)],
      ["Completed", count(stats.completed)],
      ["Failed", count(stats.failed)],
      ["Allowed to fail", count(stats.allowed_failures)],
      ["Cancelled", count(stats.cancelled)],
      ["Timed out", count(stats.timeout)],
      ["Never ran", count(stats.not_run)],
    ]),
  ];
}

/** Returns what the steps of a plan tell that the engine no longer has. */
function planOfSteps(plan: PlanSummary, ran: ExecutionSummary[]): HTMLElement[] {
  const count = (status: ExecutionStatus) => {
    const number = ran.filter((step) => step.status === status).length;
    return number === 0 ? null : String(number);
  };
  return [
    headline(plan.status, format.status(plan.status), ""),
    facts("Plan", [
      ["Duration", format.duration(plan.duration_ms)],
      ["Started", format.time(plan.started_at)],
      ["Id", id(plan.id)],
    ]),
    facts("Steps", [
      ["All", String(plan.total)],
      ["Completed", count("completed")],
      ["Failed", count("failed")],
      ["Cancelled", count("cancelled")],
      ["Timed out", count("timeout")],
      ["Lost", count("lost")],
      ["Never ran", plan.total === ran.length ? null : String(plan.total - ran.length)],
    ]),
  ];
}

function containment(receipt: ContainmentReceipt): HTMLElement {
  const named = ({ pid, name, reason }: { pid: number; name: string; reason: string }) =>
    `${name} (${pid})${reason ? `: ${reason}` : ""}`;
  const rest = receipt.survivors.length === 0 ? "none" : receipt.survivors.map(named).join(", ");
  return facts("Processes after the end", [
    ["Still running", receipt.proven || rest !== "none" ? rest : "none found"],
    ["Left on purpose", receipt.left_running.map(named).join(", ") || null],
    ["Stopped", receipt.stopped === 0 ? "none" : String(receipt.stopped)],
    ["Last signal", receipt.signal === null ? null : signal(receipt.signal)],
    ["Stopping took", receipt.stopped === 0 ? null : format.duration(receipt.took_ms)],
    ["Checked by", CHECKED_BY[receipt.level]],
  ]);
}

/** What the engine looks through for processes that are left. */
const CHECKED_BY: Record<ContainmentLevel, string> = {
  cgroup: "control group: all processes",
  process_tree: "process tree: all descendants",
  process_group: "process group: not those that left it",
};

function timeout(form: Form): string {
  if (form.unlimited) return "none";
  return form.timeout.trim() === DEFAULT_TIMEOUT ? `${DEFAULT_TIMEOUT} s (default)` : `${form.timeout.trim()} s`;
}

function endingTitle({ ending }: ExecutionResult): string {
  switch (ending.type) {
    case "exited":
      return ending.code === 0 ? "Completed" : `Failed with exit code ${ending.code}`;
    case "cancelled":
      return "Cancelled";
    case "timed_out":
      return `Timed out after ${format.duration(ending.timeout_ms)}`;
    case "idle_timed_out":
      return `Stopped after ${format.duration(ending.idle_timeout_ms)} without output`;
    case "spawn_failed":
      return "Could not start";
    default: {
      const text = format.ending(ending);
      return text[0]!.toUpperCase() + text.slice(1);
    }
  }
}

function headline(style: string, title: string, reason: string): HTMLElement {
  return h("header", { class: `headline ${style}` },
    h("h2", { id: "ending" }, h("span", { class: "dot" }), title),
    reason && reason.toLowerCase() !== title.toLowerCase() ? h("p", { class: "reason" }, reason) : null,
  );
}

type Fact = [name: string, value: string | HTMLElement | null | undefined];

/** Creates a titled list, without the facts that have no value. */
function facts(title: string, all: Fact[]): HTMLElement {
  const list = h("dl");
  for (const [name, value] of all) {
    if (value === null || value === undefined || value === "") continue;
    const content = value instanceof HTMLElement && value.tagName === "DD" ? value : h("dd", {}, value);
    list.append(h("dt", {}, name), content);
  }
  return h("section", { class: "facts" }, h("h3", {}, title), list);
}

function stream({ seen_bytes, kept_bytes }: { seen_bytes: number; kept_bytes: number }): string {
  const seen = format.bytes(seen_bytes);
  return seen_bytes === kept_bytes ? seen : `${seen}, kept ${format.bytes(kept_bytes)}`;
}

function id(text: string): HTMLElement {
  return h("code", { title: text }, text.slice(0, 8));
}

function signal(signal: Signal): string {
  if (typeof signal === "number") return String(signal);
  return signal.replaceAll("_", " ");
}
