// Scroll bar for a text of which only a part is in the page.

import { h } from "./dom.ts";

/** Greatest height that every engine can scroll, in pixels. */
const MAX_HEIGHT = 8_000_000;
const LINE_HEIGHT = 16;

export class ScrollTrack {
  readonly #content = h("div");
  /** The bar cannot be focused: the keys of the terminal do the same. */
  readonly element = h("div", { class: "track", tabIndex: -1, "aria-hidden": "true" }, this.#content);
  /** Position that was set here, to tell it from one that the user sets. */
  #drawn = 0;

  /** `moved` is called with the part of the text that the user has scrolled to: 0 is its start, 1 its end. */
  constructor(moved: (part: number) => void) {
    this.element.addEventListener("scroll", () => {
      const { scrollTop } = this.element;
      if (Math.abs(scrollTop - this.#drawn) < 1) return;
      this.#drawn = scrollTop;
      moved(Math.min(1, scrollTop / Math.max(1, this.#range())));
    });
  }

  /** Shows that `rows` lines of `total` are visible, from `top` on. */
  draw(total: number, top: number, rows: number): void {
    const { clientHeight } = this.element;
    const beyond = Math.max(0, total - rows);
    const height = Math.min(MAX_HEIGHT, clientHeight + beyond * LINE_HEIGHT);
    this.#content.style.height = `${height}px`;
    this.#drawn = Math.round(beyond === 0 ? 0 : Math.min(1, top / beyond) * this.#range());
    this.element.scrollTop = this.#drawn;
  }

  #range(): number {
    return this.element.scrollHeight - this.element.clientHeight;
  }
}
