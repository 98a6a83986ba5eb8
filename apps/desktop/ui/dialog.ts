// Modal dialogs. Escape closes each of them, which answers no.

import { h } from "./dom.ts";

export interface Question {
  title: string;
  text: string;
  /** Text to show as it is, such as the lines of a script. */
  quote?: string;
  yes: string;
  no: string;
  /** Button that has the focus: that of the answer that does no harm. */
  focus: "yes" | "no";
}

/** Asks a question. Resolves with the answer. */
export function ask({ title, text, quote, yes, no, focus }: Question): Promise<boolean> {
  const button = (answer: "yes" | "no", label: string) =>
    h("button", { value: answer, class: answer === "yes" ? "primary" : "", autofocus: focus === answer }, label);
  const dialog = show(
    { class: "ask", "aria-label": title },
    h("h2", {}, title),
    h("p", {}, text),
    quote === undefined ? null : h("pre", { tabIndex: 0, "aria-label": "Lines" }, quote),
    h("form", { method: "dialog", class: "answers" }, button("no", no), button("yes", yes)),
  );
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes")));
}

/** Shows a modal dialog, and removes it when it is closed. The focus returns to where it was. */
export function show(props: Record<string, unknown>, ...children: (Node | null)[]): HTMLDialogElement {
  const before = document.activeElement;
  const dialog = h("dialog", props, ...children);
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (before instanceof HTMLElement) before.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Returns whether a dialog is open. */
export function dialogIsOpen(): boolean {
  return document.querySelector("dialog[open]") !== null;
}
