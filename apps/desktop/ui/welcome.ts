// What is shown in place of output if nothing is selected: examples.

import { h } from "./dom.ts";
import { emptyForm, type Form, type Kind } from "./form.ts";

const EXAMPLES: { kind: Kind; text: string; what: string }[] = [
  { kind: "shell", text: "for n in 1 2 3; do echo \"part $n\"; sleep 1; done", what: "Shell: lines for /bin/sh" },
  { kind: "program", text: "git log --oneline -5", what: "Program: its arguments as they are, without a shell" },
  { kind: "script", text: "test-scripts/demo.py --verbose", what: "Script: a file with its interpreter" },
  { kind: "plan", text: "build: sleep 1; echo built\ntest after build: echo tested\ndocs after build: echo documented", what: "Plan: steps that wait for each other" },
];

/** Returns examples that load the run bar. */
export function welcome(load: (form: Form) => void): HTMLElement {
  return h("div", { class: "blank" },
    h("h2", {}, "Run a command"),
    h("p", {}, "Type it above and press Enter, or start from an example. F1 shows the keyboard shortcuts."),
    h("div", { class: "examples" }, ...EXAMPLES.map(({ kind, text, what }) =>
      h("button", { type: "button", class: "example", "data-example": kind, onclick: () => load({ ...emptyForm(kind), text }) },
        h("span", {}, what),
        h("code", {}, text),
      ))),
  );
}
