// The run bar: a script, a program, shell lines or a plan, with its options.

import { ask } from "./dialog.ts";
import { fit, h, icon } from "./dom.ts";
import { explain } from "./errors.ts";
import { changedOptions, check, emptyForm, shellLines, type Field, type Form, type Kind, type Problem } from "./form.ts";
import { Options } from "./options.ts";
import { RadioGroup } from "./radio.ts";
import { Recall } from "./recall.ts";
import type { ExecutionInput, PlanInput } from "./store.ts";

const LABELS: Record<Kind, string> = { script: "Script", program: "Program", shell: "Shell", plan: "Plan" };
const PROMPTS: Record<Kind, string> = {
  script: "Path of a script, and arguments",
  program: "Program and arguments, without a shell",
  shell: "Line for /bin/sh: pipes, redirections, &&",
  plan: "build: make\ntest after build: make test\npackage after test: make package",
};
/** Height of the fields, in lines. They grow with the text. */
const PLAN_ROWS = 3;
const MAX_ROWS = 12;

type Input = ExecutionInput | PlanInput;

export class RunBar {
  #kind: Kind = "shell";
  #line = h("textarea", { id: "line", class: "line", rows: 1, spellcheck: false, autocomplete: "off", autocapitalize: "off" });
  #steps = h("textarea", {
    id: "steps",
    class: "steps",
    rows: PLAN_ROWS,
    spellcheck: false,
    placeholder: PROMPTS.plan,
    "aria-label": "Steps, one per line: name after others: shell line",
    hidden: true,
  });
  #tabs = new RadioGroup<Kind>("What to run", LABELS, (kind) => this.setKind(kind));
  #changed = h("span", { class: "badge", hidden: true });
  #moreButton = h("button", {
    type: "button",
    id: "more-button",
    class: "quiet",
    title: "Options: directory, environment, timeout (Ctrl+O)",
    "aria-expanded": "false",
    "aria-controls": "more",
    onclick: () => this.toggleMore(),
  }, icon("options"), h("span", {}, "Options"), this.#changed);
  #hint = h("span", { class: "hint", hidden: true }, "One step per line: name: shell line, or name after others: shell line. Ctrl+Enter runs the plan.");
  #problems = new Map<Field, HTMLElement>();
  #options = new Options((field) => this.#problem(field), (field) => this.#edited(field));
  #error = h("div", { id: "error", class: "error", role: "alert", hidden: true });
  #recall: Recall;
  #run: (input: Input) => Promise<unknown>;
  /** Variables of the form that is shown whose values were not kept. */
  #missing: string[] | undefined;

  /** `earlier` returns what was run before, oldest first. */
  constructor(root: HTMLElement, run: (input: Input) => Promise<unknown>, earlier: () => Form[]) {
    this.#run = run;
    this.#recall = new Recall(earlier);
    const form = h("form", { id: "form", noValidate: true },
      h("div", { class: "bar" },
        this.#tabs.element,
        this.#line,
        this.#hint,
        this.#moreButton,
        h("button", { id: "run", class: "primary", title: "Run (Enter, or Ctrl+Enter in a field of several lines)" }, icon("play"), "Run"),
      ),
      this.#steps,
      this.#problem("text"),
      this.#options.element,
      this.#error,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit();
    });
    form.addEventListener("keydown", (event) => this.#key(event, form));
    for (const area of [this.#line, this.#steps]) area.addEventListener("input", () => this.#edited("text"));
    root.append(form);
    new ResizeObserver(() => this.#fit()).observe(root);
    this.load(emptyForm("shell"));
  }

  /** Content of all fields. */
  get form(): Form {
    const text = this.#text().value;
    const missing = this.#missing ? { missing: this.#missing } : {};
    return { kind: this.#kind, text, ...this.#options.value, ...missing };
  }

  /** Fills all fields. */
  load(form: Form): void {
    this.setKind(form.kind);
    this.#text().value = form.text;
    this.#options.value = form;
    this.#missing = form.missing;
    this.#clearProblems();
    this.#drawChanged();
    this.#fit();
  }

  /** Fills all fields to edit them and run them again. */
  edit(form: Form): void {
    this.load(form);
    if (changedOptions(form) > 0) this.toggleMore(true);
    this.focus();
  }

  focus(): void {
    this.#text().select();
    this.#text().focus();
  }

  setKind(kind: Kind): void {
    this.#kind = kind;
    this.#tabs.show(kind);
    const plan = kind === "plan";
    this.#steps.hidden = this.#hint.hidden = !plan;
    this.#line.hidden = plan;
    this.#line.placeholder = PROMPTS[kind];
    this.#line.setAttribute("aria-label", PROMPTS[kind]);
    this.#options.setKind(kind);
    this.#show("text");
    this.#drawChanged();
    this.#fit();
  }

  toggleMore(open = this.#options.element.hidden): void {
    this.#options.element.hidden = !open;
    this.#moreButton.setAttribute("aria-expanded", String(open));
  }

  /** Shows an error, or without one hides the last. */
  fail(error?: unknown): void {
    this.#error.hidden = error === undefined;
    if (error === undefined) return;
    const { text, detail } = explain(error);
    this.#error.replaceChildren(
      h("p", {}, text),
      detail && h("details", {}, h("summary", {}, "Details"), h("code", {}, detail)),
      h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: () => this.fail() }, icon("close")),
    );
  }

  async #submit(): Promise<void> {
    const form = this.form;
    this.#clearProblems();
    const checked = check(form);
    if ("problems" in checked) return this.#refuse(checked.problems);
    const lines = shellLines(form);
    if (lines.length > 1 && !(await confirmLines(lines))) return;
    try {
      await this.#run(checked.input);
      this.#recall.reset();
      this.fail();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Shows what is wrong with the fields, and moves to the first of them. */
  #refuse(problems: Problem[]): void {
    if (problems.some(({ field }) => field !== "text")) this.toggleMore(true);
    for (const { field, message } of problems) this.#show(field, message);
    this.#input(problems[0]!.field).focus();
  }

  #key(event: KeyboardEvent, form: HTMLFormElement): void {
    const area = event.target;
    if (event.isComposing) return;
    if (event.key === "Enter") {
      const runs = event.ctrlKey ? !event.shiftKey : area === this.#line && !event.shiftKey;
      if (!runs) return;
      event.preventDefault();
      form.requestSubmit();
    } else if ((event.key === "ArrowUp" || event.key === "ArrowDown") && area instanceof HTMLTextAreaElement && area === this.#text()) {
      if (event.altKey || event.ctrlKey || event.shiftKey || event.metaKey) return;
      const by = event.key === "ArrowUp" ? -1 : 1;
      if (!atEdge(area, by)) return;
      const form = this.#recall.step(by, this.form);
      if (!form) return;
      event.preventDefault();
      this.load(form);
      const firstLine = form.text.split("\n", 1)[0]!.length;
      const caret = by === -1 ? firstLine : form.text.length;
      this.#text().focus();
      this.#text().setSelectionRange(caret, caret);
    }
  }

  #edited(field?: Field): void {
    if (field) this.#show(field);
    this.#recall.reset();
    this.#drawChanged();
    this.#fit();
  }

  #drawChanged(): void {
    const count = changedOptions(this.form);
    this.#changed.hidden = count === 0;
    this.#changed.textContent = String(count);
    this.#changed.title = `${count} changed`;
  }

  #fit(): void {
    fit(this.#text(), MAX_ROWS);
  }

  #text(): HTMLTextAreaElement {
    return this.#kind === "plan" ? this.#steps : this.#line;
  }

  #input(field: Field): HTMLInputElement | HTMLTextAreaElement {
    return field === "text" ? this.#text() : this.#options.field(field);
  }

  #problem(field: Field): HTMLElement {
    const element = h("p", { id: `${field}-problem`, class: "problem", role: "alert", hidden: true });
    this.#problems.set(field, element);
    return element;
  }

  /** Shows the fault of a field, or without one hides the last. */
  #show(field: Field, message?: string): void {
    const element = this.#problems.get(field)!;
    element.hidden = message === undefined;
    element.textContent = message ?? "";
    const inputs = field === "text" ? [this.#line, this.#steps] : [this.#options.field(field)];
    for (const input of inputs) {
      if (message === undefined) {
        input.removeAttribute("aria-invalid");
        input.removeAttribute("aria-describedby");
      } else {
        input.setAttribute("aria-invalid", "true");
        input.setAttribute("aria-describedby", element.id);
      }
    }
  }

  #clearProblems(): void {
    for (const field of this.#problems.keys()) this.#show(field);
  }
}

/** Asks before several lines are run: pasted text may have more of them than is seen. */
function confirmLines(lines: string[]): Promise<boolean> {
  return ask({
    title: `Run ${lines.length} lines?`,
    text: "The shell runs them one after the other, also if one of them fails.",
    quote: lines.join("\n"),
    yes: `Run ${lines.length} lines`,
    no: "Back",
    focus: "yes",
  });
}

/** Returns whether the caret is in the first line (-1) or in the last (1), with nothing or all selected. */
function atEdge(area: HTMLTextAreaElement, by: -1 | 1): boolean {
  const { value, selectionStart, selectionEnd } = area;
  const selected = selectionEnd - selectionStart;
  if (selected !== 0 && selected !== value.length) return false;
  return !(by === -1 ? value.slice(0, selectionStart) : value.slice(selectionEnd)).includes("\n");
}
