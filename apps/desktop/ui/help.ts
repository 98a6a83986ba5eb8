// The dialog of keyboard shortcuts, and of what the app keeps.

import { show } from "./dialog.ts";
import { h } from "./dom.ts";

const KEYS: [keys: string, what: string][] = [
  ["Enter", "run; Shift+Enter adds a line, Ctrl+Enter runs a plan"],
  ["↑ ↓", "in the run bar, in its first or last line: earlier and later runs"],
  ["Ctrl+L", "go to the run bar"],
  ["Ctrl+1 2 3 4", "choose script, program, shell, plan"],
  ["Ctrl+O", "show options: directory, environment, timeout"],
  ["Ctrl+.", "cancel"],
  ["Ctrl+P", "pause or resume"],
  ["Ctrl+Shift+Enter", "run again"],
  ["Ctrl+E", "edit the selected run in the run bar"],
  ["Alt+↑ ↓", "select the run above, below"],
  ["← →", "in the list: hide or show the steps of a plan"],
  ["Ctrl+G", "filter the list"],
  ["Ctrl+F", "find in the output"],
  ["Ctrl+Shift+C", "copy the selection, or all output"],
  ["End", "follow the output"],
  ["Ctrl+I", "show or hide the details"],
  ["Delete, Ctrl+Z", "remove an ended run from the list, undo it"],
  ["F6, Shift+F6", "go to the next, the previous part of the window"],
  ["Ctrl+Q", "close the window and stop all executions"],
  ["F1", "show this help"],
];

export function showHelp(): void {
  const list = h("dl");
  for (const [keys, what] of KEYS) list.append(h("dt", {}, h("kbd", {}, keys)), h("dd", {}, what));
  show({ class: "help", "aria-labelledby": "help-title" },
    h("h2", { id: "help-title" }, "Keyboard shortcuts"),
    h("div", { class: "scroll", tabIndex: 0, role: "group", "aria-label": "Keyboard shortcuts" },
      list,
      h("h3", {}, "History"),
      h("p", {}, "Runs are kept in the data directory of this app for 90 days, with their options and output. It does not keep: the values of environment variables, lines typed for standard input, and commands that start with a space. A password in a command line is kept, and one that a program prints; the bin above the list removes them."),
    ),
    h("form", { method: "dialog" }, h("button", { class: "primary" }, "Close")),
  );
}
