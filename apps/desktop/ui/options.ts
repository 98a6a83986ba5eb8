// The options below the run bar: interpreter, directory, environment, timeout, standard input.

import { h } from "./dom.ts";
import { DEFAULT_TIMEOUT, type Field, type Form, type Kind } from "./form.ts";

type Part = Pick<Form, "interpreter" | "directory" | "environment" | "timeout" | "unlimited" | "stdin" | "merged">;

export class Options {
  readonly element = h("div", { id: "more", class: "more", role: "group", "aria-label": "Options", hidden: true });
  #interpreter = h("input", { id: "interpreter", placeholder: "from the #! line", spellcheck: false });
  #directory = h("input", { id: "directory", placeholder: "that of the app", spellcheck: false });
  #environment = h("textarea", { id: "environment", rows: 2, placeholder: "NAME=value, one per line", spellcheck: false });
  #timeout = h("input", { id: "timeout", inputMode: "decimal", placeholder: DEFAULT_TIMEOUT, spellcheck: false });
  #unlimited = h("input", { id: "unlimited", type: "checkbox", onchange: () => this.#drawTimeout() });
  #stdin = h("input", { id: "piped", type: "checkbox" });
  #merged = h("input", { id: "merged", type: "checkbox" });
  #timeoutLabel = h("label", { for: "timeout" });

  /**
   * `problem` creates the element for the fault of a field. `edited` is called with each field whose
   * content the user changes.
   */
  constructor(problem: (field: Field) => HTMLElement, edited: (field?: Field) => void) {
    const label = (id: string, text: string) => h("label", { for: id }, text);
    this.element.append(
      h("div", { class: "field of-script" }, label("interpreter", "Interpreter"), this.#interpreter),
      h("div", { class: "field wide" }, label("directory", "Directory"), this.#directory),
      h("div", { class: "field wide" },
        label("environment", "Environment"),
        this.#environment,
        h("small", { id: "environment-note" }, "The history keeps the names, not the values."),
        problem("environment"),
      ),
      h("div", { class: "field" },
        this.#timeoutLabel,
        h("div", { class: "pair" }, this.#timeout, h("label", { class: "check" }, this.#unlimited, "No timeout")),
        problem("timeout"),
      ),
      h("div", { class: "field of-streams" },
        h("span", { class: "heading" }, "Streams"),
        h("label", { class: "check" }, this.#stdin, "Open standard input"),
        h("label", { class: "check", title: "Both streams in the order in which they were written; errors have no colour of their own" },
          this.#merged, "Exact order: one stream"),
      ),
    );
    this.#environment.addEventListener("input", () => edited("environment"));
    this.#timeout.addEventListener("input", () => edited("timeout"));
    this.#unlimited.addEventListener("change", () => edited("timeout"));
    this.element.addEventListener("input", () => edited());
  }

  get value(): Part {
    return {
      interpreter: this.#interpreter.value,
      directory: this.#directory.value,
      environment: this.#environment.value,
      timeout: this.#timeout.value,
      unlimited: this.#unlimited.checked,
      stdin: this.#stdin.checked,
      merged: this.#merged.checked,
    };
  }

  set value(part: Part) {
    this.#interpreter.value = part.interpreter;
    this.#directory.value = part.directory;
    this.#environment.value = part.environment;
    this.#timeout.value = part.timeout;
    this.#unlimited.checked = part.unlimited;
    this.#stdin.checked = part.stdin;
    this.#merged.checked = part.merged;
    this.#drawTimeout();
  }

  /** Shows the options that a kind has. */
  setKind(kind: Kind): void {
    this.element.dataset.kind = kind;
    this.#timeoutLabel.textContent = kind === "plan" ? "Timeout of each step, seconds" : "Timeout, seconds";
  }

  field(field: Exclude<Field, "text">): HTMLInputElement | HTMLTextAreaElement {
    return field === "environment" ? this.#environment : this.#timeout;
  }

  #drawTimeout(): void {
    this.#timeout.disabled = this.#unlimited.checked;
  }
}
