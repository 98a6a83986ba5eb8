// The run bar: a script, a program, a shell line or a plan, with its options.

import { ExecutionError, type Command } from "tauri-plugin-execution-engine-api";

import { h, icon } from "./dom.ts";
import { variables, words } from "./format.ts";
import { request as planRequest, steps } from "./plan-text.ts";
import type { ExecutionInput, PlanInput } from "./store.ts";

type Kind = "script" | "program" | "shell" | "plan";

const KINDS: Record<Kind, { label: string; prompt: string }> = {
  script: { label: "Script", prompt: "Path of a script, and arguments" },
  program: { label: "Program", prompt: "Program and arguments, without a shell" },
  shell: { label: "Shell", prompt: "Line for /bin/sh: pipes, redirections, &&" },
  plan: { label: "Plan", prompt: "build: make\ntest after build: make test\npackage after test: make package" },
};

/** Names of the rules in `capabilities/main.json`. */
const RULES: Record<Kind, string> = { script: "scripts", program: "programs", shell: "shells", plan: "shells" };

/** Height of the field for a plan, in lines. It grows with the text. */
const MIN_ROWS = 3;
const MAX_ROWS = 12;

export class RunBar {
  #kind: Kind = "shell";
  #line = h("input", {
    id: "line",
    class: "line",
    spellcheck: false,
    autocomplete: "off",
    autocapitalize: "off",
    required: true,
  });
  #steps = h("textarea", {
    id: "steps",
    class: "steps",
    rows: MIN_ROWS,
    spellcheck: false,
    placeholder: KINDS.plan.prompt,
    oninput: () => {
      const lines = this.#steps.value.split("\n").length;
      this.#steps.rows = Math.min(MAX_ROWS, Math.max(MIN_ROWS, lines));
    },
    "aria-label": "Steps, one per line: name after others: shell line",
    hidden: true,
  });
  #interpreter = h("input", { id: "interpreter", placeholder: "from the #! line", value: "python3", spellcheck: false });
  #directory = h("input", { id: "directory", placeholder: "working directory of the app", spellcheck: false });
  #environment = h("textarea", { id: "environment", rows: 2, placeholder: "NAME=value, one per line", spellcheck: false });
  #timeout = h("input", { id: "timeout", type: "number", min: "0.1", step: "any", placeholder: "300" });
  #stdin = h("input", { id: "piped", type: "checkbox" });
  #more = h("div", { id: "more", class: "more", hidden: true });
  #moreButton = h("button", {
    type: "button",
    id: "more-button",
    class: "quiet",
    title: "Options: directory, environment, timeout (Ctrl+O)",
    "aria-expanded": "false",
    onclick: () => this.toggleMore(),
  }, icon("options"), "Options");
  #hint = h("span", { class: "hint", hidden: true }, "One step per line: name: shell line, or name after others: shell line. Ctrl+Enter runs the plan.");
  #error = h("p", { id: "error", class: "error", role: "alert", hidden: true });
  #tabs = h("div", { class: "segmented", role: "radiogroup", "aria-label": "What to run" });

  constructor(root: HTMLElement, run: (input: ExecutionInput | PlanInput) => Promise<unknown>) {
    for (const kind of Object.keys(KINDS) as Kind[]) {
      this.#tabs.append(
        h("button", {
          type: "button",
          role: "radio",
          "data-kind": kind,
          onclick: () => this.setKind(kind),
        }, KINDS[kind].label),
      );
    }
    const field = (label: string, input: HTMLElement, style = "") =>
      h("label", { class: `field ${style}` }, h("span", {}, label), input);
    this.#more.append(
      field("Interpreter", this.#interpreter, "of-script"),
      field("Directory", this.#directory, "wide"),
      field("Environment", this.#environment, "wide"),
      field("Timeout, s", this.#timeout, "narrow"),
      h("label", { class: "check" }, this.#stdin, "Open standard input"),
    );
    const form = h("form", { id: "form" },
      h("div", { class: "bar" },
        this.#tabs,
        this.#line,
        this.#hint,
        this.#moreButton,
        h("button", { id: "run", class: "primary", title: "Run (Enter)" }, icon("play"), "Run"),
      ),
      this.#steps,
      this.#more,
      this.#error,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit(run);
    });
    // Enter adds a line in a field of several lines, so Ctrl+Enter submits from every field.
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.ctrlKey) {
        event.preventDefault();
        form.requestSubmit();
      }
    });
    root.append(form);
    this.setKind("shell");
  }

  focus(): void {
    const input = this.#kind === "plan" ? this.#steps : this.#line;
    input.select();
    input.focus();
  }

  setKind(kind: Kind): void {
    this.#kind = kind;
    for (const tab of this.#tabs.children) {
      tab.setAttribute("aria-checked", String((tab as HTMLElement).dataset.kind === kind));
    }
    const plan = kind === "plan";
    this.#steps.hidden = this.#hint.hidden = !plan;
    this.#line.hidden = this.#line.disabled = plan;
    this.#line.placeholder = KINDS[kind].prompt;
    this.#line.setAttribute("aria-label", KINDS[kind].prompt);
    this.#more.dataset.kind = kind;
  }

  toggleMore(open = this.#more.hidden): void {
    this.#more.hidden = !open;
    this.#moreButton.setAttribute("aria-expanded", String(open));
  }

  /** Shows an error, or without one hides the last. */
  fail(error?: unknown): void {
    this.#error.hidden = error === undefined;
    if (error === undefined) return;
    const code = error instanceof ExecutionError ? error.code : "";
    const message = error instanceof Error ? error.message : String(error);
    this.#error.replaceChildren(
      ...(code ? [h("span", { class: "code" }, code)] : []),
      message,
      h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: () => this.fail() }, icon("close")),
    );
  }

  async #submit(run: (input: ExecutionInput | PlanInput) => Promise<unknown>): Promise<void> {
    try {
      await run(this.#input());
      this.fail();
    } catch (error) {
      this.fail(error);
    }
  }

  #input(): ExecutionInput | PlanInput {
    const seconds = this.#timeout.value.trim();
    const common = {
      env: variables(this.#environment.value),
      working_dir: this.#directory.value.trim() || null,
      timeout_ms: seconds === "" ? null : Math.max(1, Math.round(Number(seconds) * 1000)),
    };
    if (this.#kind === "plan") {
      const all = steps(this.#steps.value);
      return { ...planRequest(all, RULES.plan, common), steps: all };
    }
    const request = { ...this.#command(), ...common };
    return { request, options: this.#stdin.checked ? { stdin: { type: "piped" } } : {} };
  }

  #command(): { rule: string; command: Command } {
    const line = this.#line.value.trim();
    if (this.#kind === "shell") {
      return { rule: RULES.shell, command: { type: "shell", command: line, shell: "/bin/sh" } };
    }
    const [first = "", ...args] = words(line);
    if (this.#kind === "program") {
      return { rule: RULES.program, command: { type: "exec", program: first, args } };
    }
    const interpreter = this.#interpreter.value.trim();
    if (args.length === 0) {
      const rule = interpreter ? RULES.script : "executables";
      return { rule, command: { type: "script", path: first, interpreter: interpreter || null } };
    }
    // A script command has no arguments, so a script with arguments runs as a program.
    const [program, ...rest] = interpreter ? [interpreter, first, ...args] : [first, ...args];
    return { rule: RULES.program, command: { type: "exec", program: program!, args: rest } };
  }
}
