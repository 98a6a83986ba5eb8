// Creates the parts of the window and connects the keyboard.

import "@fontsource-variable/inter";
import "@fontsource-variable/jetbrains-mono";
import "./style.css";

import { getCurrentWindow } from "@tauri-apps/api/window";
import { Execution, subscriptions } from "tauri-plugin-execution-engine-api";

import { Details } from "./details.ts";
import { h, icon } from "./dom.ts";
import { check, type Form } from "./form.ts";
import { isLive } from "./format.ts";
import { showHelp } from "./help.ts";
import { connect, cycle } from "./keyboard.ts";
import { List } from "./list.ts";
import { addNotice } from "./notice.ts";
import { Pane } from "./pane.ts";
import { answerQuitting } from "./quit.ts";
import { Removals } from "./removals.ts";
import { RunBar } from "./run-bar.ts";
import { Store, type ExecutionInput, type PlanInput } from "./store.ts";
import { applyScheme, toggleScheme } from "./theme.ts";
import { Toast } from "./toast.ts";
import { View } from "./view.ts";

const byId = (id: string) => document.getElementById(id)!;

const store = new Store();
const start = async (input: ExecutionInput | PlanInput) => {
  if ("plan" in input) return store.startPlan(input);
  const id = await store.start(input);
  if (input.options.stdin && store.selected === id) view.focusInput();
  return id;
};
const bar = new RunBar(byId("run-bar"), start, () => store.forms());
const fail = (error: unknown) => bar.fail(error);
addNotice(byId("run-bar"), store);
const removals = new Removals(store, new Toast(), fail);
const list = new List(byId("list"), store, removals);
const view = new View(byId("view"), store, { fail, edit: (form) => bar.edit(form), remove: () => list.removeSelected() });
const pane = new Pane(byId("details"));
new Details(byId("details"), store, runWithInput);

const counts = h("span", { id: "counts" });
const recolour = () => view.screen.retheme();
const quiet = (id: string, name: Parameters<typeof icon>[0], title: string, onclick: () => void) =>
  h("button", { type: "button", id, class: "quiet", title, "aria-label": title, onclick }, icon(name));
byId("status-bar").append(
  counts,
  h("span", { class: "gap" }),
  pane.button,
  quiet("theme", "sun", "Switch between light and dark", () => toggleScheme(recolour)),
  quiet("help", "help", "Keyboard shortcuts (F1)", showHelp),
);
applyScheme(recolour);
store.onChange(() => {
  const running = store.executions.filter(isLive).length;
  counts.textContent = `${running} running, ${store.executions.length - running} ended`;
});

/** Runs a command again with standard input open, or loads the run bar if something is missing. */
function runWithInput(form: Form): void {
  const open = { ...form, stdin: true };
  const checked = check(open);
  if ("input" in checked) start(checked.input).catch(fail);
  else bar.edit(open);
}

const parts = [
  { element: byId("run-bar"), focus: () => bar.focus() },
  { element: byId("list"), focus: () => list.focus() },
  { element: byId("view"), focus: () => view.focus() },
  { element: byId("details"), focus: () => byId("details").focus() },
  { element: byId("status-bar"), focus: () => byId("details-button").focus() },
];

connect({
  F1: showHelp,
  F6: () => cycle(parts, 1),
  "Shift+F6": () => cycle(parts, -1),
  "Alt+ArrowDown": () => list.step(1),
  "Alt+ArrowUp": () => list.step(-1),
  "Ctrl+l": () => bar.focus(),
  "Ctrl+1": () => bar.setKind("script"),
  "Ctrl+2": () => bar.setKind("program"),
  "Ctrl+3": () => bar.setKind("shell"),
  "Ctrl+4": () => bar.setKind("plan"),
  "Ctrl+o": () => bar.toggleMore(),
  "Ctrl+f": () => view.startSearch(),
  "Ctrl+g": () => list.focusFilter(),
  "Ctrl+i": () => pane.toggle(),
  "Ctrl+p": () => view.controls.togglePause(),
  "Ctrl+q": () => void getCurrentWindow().close(),
  "Ctrl+.": () => view.controls.cancel(),
  "Ctrl+C": () => view.copy().catch(fail),
  "Ctrl+c": () => {
    if (view.screen.hasSelection()) view.copy().catch(fail);
    else document.execCommand("copy");
  },
  "Ctrl+e": () => view.controls.edit(),
  "Ctrl+z": () => removals.undo(),
  "Ctrl+Shift+Enter": () => view.controls.rerun(),
  End: () => view.screen.follow(true),
  Delete: () => list.removeSelected(),
  Escape: () => {
    if (!pane.closeDrawer()) view.endSearch();
  },
});

// For the window tests.
Object.assign(window, { app: { store, screen: view.screen, Execution, subscriptions } });

bar.focus();
answerQuitting(fail);
store.follow().catch(fail);
