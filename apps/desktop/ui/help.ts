// The keys, in a dialogue.

import { h } from "./dom.ts";

const KEYS: [keys: string, what: string][] = [
  ["Ctrl+L", "go to the run bar"],
  ["Ctrl+1 2 3 4", "script, program, shell, plan"],
  ["Ctrl+O", "directory, environment, timeout"],
  ["Enter", "run"],
  ["Ctrl+.", "cancel"],
  ["Ctrl+P", "pause and resume"],
  ["Ctrl+Shift+Enter", "run again"],
  ["Alt+↑ ↓", "the execution above, below"],
  ["Ctrl+G", "filter the list"],
  ["Ctrl+F", "find in the output"],
  ["Ctrl+Shift+C", "copy the selection, or all"],
  ["End", "follow the output"],
  ["Delete", "forget an ended execution"],
  ["Ctrl+Q", "close the window; what runs is ended"],
  ["F1", "these keys"],
];

export function showHelp(): void {
  const list = h("dl");
  for (const [keys, what] of KEYS) list.append(h("dt", {}, h("kbd", {}, keys)), h("dd", {}, what));
  const dialog = h("dialog", { class: "help" },
    h("h2", {}, "Keys"),
    list,
    h("form", { method: "dialog" }, h("button", { class: "primary" }, "Close")),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
