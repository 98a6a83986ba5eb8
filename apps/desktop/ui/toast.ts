// A short message at the bottom of the window, with an action that is offered for some seconds.

import { h } from "./dom.ts";

const SHOWN_MS = 10_000;

export class Toast {
  #element = h("div", { id: "toast", class: "toast", role: "status" });
  #timer: ReturnType<typeof setTimeout> | undefined;
  #gone: () => void = () => {};

  constructor() {
    document.body.append(this.#element);
  }

  /** Shows a message. `gone` is called when it goes without its action. */
  show(text: string, label: string, action: () => void, gone: () => void): void {
    this.dismiss();
    this.#gone = gone;
    const act = () => {
      this.#gone = () => {};
      this.dismiss();
      action();
    };
    this.#element.replaceChildren(h("span", {}, text), h("button", { type: "button", id: "undo", onclick: act }, label));
    this.#wait();
  }

  /** Hides the message. */
  dismiss(): void {
    clearTimeout(this.#timer);
    this.#element.replaceChildren();
    const gone = this.#gone;
    this.#gone = () => {};
    gone();
  }

  /** Waits, and longer while the message has the focus or the pointer. */
  #wait(): void {
    this.#timer = setTimeout(() => {
      if (this.#element.matches(":focus-within, :hover")) this.#wait();
      else this.dismiss();
    }, SHOWN_MS);
  }
}
