// The dialog of keyboard shortcuts.

import { h } from "./dom.ts";

const KEYS: [keys: string, what: string][] = [
  ["Ctrl+L", "go to the run bar"],
  ["Ctrl+1 2 3 4", "choose script, program, shell, plan"],
  ["Ctrl+O", "show options: directory, environment, timeout"],
  ["Enter", "run"],
  ["Ctrl+.", "cancel"],
  ["Ctrl+P", "pause or resume"],
  ["Ctrl+Shift+Enter", "run again"],
  ["Alt+↑ ↓", "select the execution above, below"],
  ["Ctrl+G", "filter the list"],
  ["Ctrl+F", "find in the output"],
  ["Ctrl+Shift+C", "copy the selection, or all output"],
  ["End", "follow the output"],
  ["Delete", "remove an ended execution from the list"],
  ["Ctrl+Q", "close the window and stop all executions"],
  ["F1", "show keyboard shortcuts"],
];

export function showHelp(): void {
  const list = h("dl");
  for (const [keys, what] of KEYS) list.append(h("dt", {}, h("kbd", {}, keys)), h("dd", {}, what));
  const dialog = h("dialog", { class: "help" },
    h("h2", {}, "Keyboard shortcuts"),
    list,
    h("form", { method: "dialog" }, h("button", { class: "primary" }, "Close")),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
