// Creates the parts of the window and connects the keyboard.

import "@fontsource-variable/inter";
import "@fontsource-variable/jetbrains-mono";
import "./style.css";

import { getCurrentWindow } from "@tauri-apps/api/window";
import { Execution, subscriptions } from "tauri-plugin-execution-engine-api";

import { Details } from "./details.ts";
import { h, icon } from "./dom.ts";
import { showHelp } from "./help.ts";
import { List } from "./list.ts";
import { RunBar } from "./run-bar.ts";
import { isLive, Store } from "./store.ts";
import { applyScheme, toggleScheme } from "./theme.ts";
import { View } from "./view.ts";

const byId = (id: string) => document.getElementById(id)!;

const store = new Store();
const bar = new RunBar(byId("run-bar"), (input) =>
  "plan" in input ? store.startPlan(input) : store.start(input),
);
const list = new List(byId("list"), store);
const view = new View(byId("view"), store, (error) => bar.fail(error));
new Details(byId("details"), store);

const counts = h("span", { id: "counts" });
const recolour = () => view.screen.retheme();
byId("status-bar").append(
  counts,
  h("span", { class: "gap" }),
  h("button", { type: "button", id: "theme", class: "quiet", title: "Switch between light and dark", "aria-label": "Switch between light and dark", onclick: () => toggleScheme(recolour) }, icon("sun")),
  h("button", { type: "button", id: "help", class: "quiet", title: "Keyboard shortcuts (F1)", "aria-label": "Keyboard shortcuts", onclick: showHelp }, icon("help")),
);
applyScheme(recolour);
store.onChange(() => {
  const running = store.executions.filter(isLive).length;
  counts.textContent = `${running} running, ${store.executions.length - running} ended`;
});

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
  const terminal = event.target instanceof HTMLElement && event.target.closest("#screen") !== null;
  const action = shortcut(event, typing && !terminal);
  if (!action) return;
  event.preventDefault();
  event.stopPropagation();
  action();
}, { capture: true });

function shortcut(event: KeyboardEvent, typing: boolean): (() => void) | undefined {
  if (event.key === "F1") return showHelp;
  if (event.altKey && event.key === "ArrowDown") return () => list.step(1);
  if (event.altKey && event.key === "ArrowUp") return () => list.step(-1);
  if (event.ctrlKey || event.metaKey) {
    switch (event.key) {
      case "l":
        return () => bar.focus();
      case "1":
        return () => bar.setKind("script");
      case "2":
        return () => bar.setKind("program");
      case "3":
        return () => bar.setKind("shell");
      case "4":
        return () => bar.setKind("plan");
      case "o":
        return () => bar.toggleMore();
      case "f":
        return () => view.startSearch();
      case "g":
        return () => list.focusFilter();
      case "p":
        return () => view.togglePause();
      case "q":
        return () => void getCurrentWindow().close();
      case ".":
        return () => view.cancel();
      case "C":
        return () => void view.copy();
      case "c":
        return !typing && view.screen.hasSelection() ? () => void view.copy() : undefined;
      case "Enter":
        return event.shiftKey ? () => view.rerun() : undefined;
    }
    return undefined;
  }
  if (typing) return undefined;
  if (event.key === "End") return () => view.screen.follow(true);
  if (event.key === "Delete") return () => view.remove();
  if (event.key === "Escape") return () => view.endSearch();
  return undefined;
}

// For the window tests.
Object.assign(window, { app: { store, screen: view.screen, Execution, subscriptions } });

bar.focus();
store.follow().catch((error: unknown) => bar.fail(error));
