// A radio group of buttons, with the keyboard of such a group: one stop for Tab, arrow keys to choose.

import { h } from "./dom.ts";

export class RadioGroup<T extends string> {
  readonly element: HTMLElement;
  #buttons: Map<T, HTMLButtonElement>;
  #choose: (value: T) => void;

  constructor(label: string, labels: Record<T, string>, choose: (value: T) => void) {
    this.#choose = choose;
    const values = Object.keys(labels) as T[];
    this.#buttons = new Map(values.map((value) => [value, h("button", {
      type: "button",
      role: "radio",
      "data-kind": value,
      onclick: () => choose(value),
    }, labels[value])]));
    this.element = h("div", { class: "segmented", role: "radiogroup", "aria-label": label }, ...this.#buttons.values());
    this.element.addEventListener("keydown", (event) => this.#key(event, values));
  }

  /** Shows a value as the chosen one. */
  show(value: T): void {
    for (const [own, button] of this.#buttons) {
      button.setAttribute("aria-checked", String(own === value));
      button.tabIndex = own === value ? 0 : -1;
    }
  }

  #key(event: KeyboardEvent, values: T[]): void {
    const at = values.findIndex((value) => this.#buttons.get(value) === document.activeElement);
    const last = values.length - 1;
    const moves: Record<string, number> = {
      ArrowRight: at === last ? 0 : at + 1,
      ArrowDown: at === last ? 0 : at + 1,
      ArrowLeft: at <= 0 ? last : at - 1,
      ArrowUp: at <= 0 ? last : at - 1,
      Home: 0,
      End: last,
    };
    const to = moves[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.#choose(values[to]!);
    this.#buttons.get(values[to]!)?.focus();
  }
}
