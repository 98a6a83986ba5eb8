// Shortcuts of the whole window.

import { dialogIsOpen } from "./dialog.ts";

/** Actions by shortcut: `Ctrl+l`, `F1`, `Delete`. Those without a modifier do not apply while typing. */
export type Shortcuts = Record<string, () => void>;

export function connect(shortcuts: Shortcuts): void {
  document.addEventListener("keydown", (event) => {
    const target = event.target instanceof HTMLElement ? event.target : document.body;
    const terminal = target.closest("#screen") !== null;
    // The terminal takes no input, so Tab leaves it: it must not see that key, which it would swallow.
    if (terminal && event.key === "Tab") return event.stopPropagation();
    const name = nameOf(event);
    // A dialog has its own keys.
    if (dialogIsOpen() && name !== "Ctrl+q") return;
    const typing = (target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement) && !terminal;
    const plain = !name.includes("+") && !/^F\d/.test(name);
    if (typing && (plain || OF_FIELDS.has(name))) return;
    if (name === "End" && target.closest("[role=tree], [role=radiogroup]")) return;
    const action = shortcuts[name];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }, { capture: true });
}

/** Shortcuts that have another meaning in a field. */
const OF_FIELDS = new Set(["Ctrl+z", "Ctrl+c"]);

function nameOf(event: KeyboardEvent): string {
  const modifiers = [
    event.ctrlKey || event.metaKey ? "Ctrl+" : "",
    event.altKey ? "Alt+" : "",
    event.shiftKey && event.key.length > 1 ? "Shift+" : "",
  ];
  return modifiers.join("") + event.key;
}

/** Moves the focus to the next (1) or previous (-1) part of the window that is shown. */
export function cycle(parts: { element: HTMLElement; focus: () => void }[], by: 1 | -1): void {
  const shown = parts.filter(({ element }) => element.getClientRects().length > 0);
  const at = shown.findIndex(({ element }) => element.contains(document.activeElement));
  const from = at === -1 && by === -1 ? 0 : at;
  shown[(from + by + shown.length) % shown.length]?.focus();
}
