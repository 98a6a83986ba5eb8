// A line below the run bar that says what is wrong with the history. It goes away when that does, or by its button.

import { h, icon, setText } from "./dom.ts";
import type { Store } from "./store.ts";

/** Adds the line, which is hidden while nothing is wrong. */
export function addNotice(root: HTMLElement, store: Store): void {
  let dismissed: string | undefined;
  const text = h("p");
  const close = () => {
    dismissed = store.history.problem;
    draw();
  };
  const element = h("div", { id: "notice", class: "notice", role: "status", hidden: true },
    text,
    h("button", { type: "button", class: "quiet", title: "Dismiss", "aria-label": "Dismiss", onclick: close }, icon("close")),
  );
  const draw = () => {
    const { problem } = store.history;
    element.hidden = problem === undefined || problem === dismissed;
    setText(text, problem ?? "");
  };
  store.onChange(draw);
  root.append(element);
}
