// The details: a column, or in a small window a drawer over the output that opens and closes.

import { h, icon } from "./dom.ts";

/** Below this width there is no room for a third column. */
const SMALL = matchMedia("(max-width: 900px)");

export class Pane {
  readonly button = h("button", {
    type: "button",
    id: "details-button",
    class: "quiet",
    title: "Details (Ctrl+I)",
    "aria-label": "Details",
    "aria-controls": "details",
    onclick: () => this.toggle(),
  }, icon("details"));
  #pane: HTMLElement;

  constructor(pane: HTMLElement) {
    this.#pane = pane;
    SMALL.addEventListener("change", () => this.toggle(!SMALL.matches));
    this.toggle(!SMALL.matches);
  }

  get open(): boolean {
    return !this.#pane.hidden;
  }

  toggle(open = !this.open): void {
    this.#pane.hidden = !open;
    document.body.classList.toggle("without-details", !open);
    this.button.setAttribute("aria-expanded", String(open));
  }

  /** Closes the drawer of a small window. Returns whether it was open. */
  closeDrawer(): boolean {
    if (!this.open || !SMALL.matches) return false;
    this.toggle(false);
    this.button.focus();
    return true;
  }
}
