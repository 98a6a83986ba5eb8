// Creates elements and icons.

type Child = Node | string | null | undefined | false;
type Props = Record<string, unknown>;

/** Creates an element. Props are `class`, `on..` handlers, `data-` and `aria-` attributes, and properties. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue;
    if (name === "class") element.className = String(value);
    else if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value as EventListener);
    } else if (name.includes("-") || name === "role" || name === "for" || name === "list") {
      element.setAttribute(name, String(value));
    } else Object.assign(element, { [name]: value });
  }
  element.append(...children.filter((child): child is Node | string => Boolean(child)));
  return element;
}

/** Replaces the children of an element. The focus moves to the new one of the same id, or to the first. */
export function replace(parent: HTMLElement, ...children: (Node | string)[]): void {
  const focused = parent.contains(document.activeElement) ? document.activeElement?.id : undefined;
  parent.replaceChildren(...children);
  if (focused === undefined) return;
  const next = (focused && document.getElementById(focused)) || parent.querySelector<HTMLElement>("button, [tabindex]");
  next?.focus();
}

/** Sets the text of an element. One that has it stays as it is, with its nodes. */
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes a text area as high as its text, up to a number of lines. */
export function fit(area: HTMLTextAreaElement, maxLines: number): void {
  const style = getComputedStyle(area);
  const frame = area.offsetHeight - area.clientHeight;
  const padding = parseFloat(style.paddingTop) + parseFloat(style.paddingBottom);
  const highest = maxLines * parseFloat(style.lineHeight) + padding;
  area.style.height = "auto";
  const content = area.scrollHeight;
  area.style.height = `${Math.min(content, highest) + frame}px`;
  area.style.overflowY = content > highest + 1 ? "auto" : "hidden";
}

/** Creates one of the icons below, 16 units wide. */
export function icon(name: keyof typeof PATHS): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

const PATHS = {
  play: "M4.5 2.8v10.4L13 8z",
  stop: "M4 4h8v8H4z",
  pause: "M4.5 3.5v9M11.5 3.5v9",
  rerun: "M13 8a5 5 0 1 1-1.6-3.7M13.2 2v3h-3",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.4 10.4 14 14",
  copy: "M5.5 5.5h7v8h-7zM3.5 10.5v-8h7",
  save: "M8 2.5v7M5 6.8 8 9.8l3-3M3 11v2.5h10V11",
  follow: "M8 2.5v9M4.5 8 8 11.5 11.5 8M3.5 13.5h9",
  sun: "M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6zM8 1.5v1.6M8 12.9v1.6M1.5 8h1.6M12.9 8h1.6M3.4 3.4l1.1 1.1M11.5 11.5l1.1 1.1M3.4 12.6l1.1-1.1M11.5 4.5l1.1-1.1",
  help: "M6 6.2A2 2 0 1 1 8.6 8c-.5.2-.6.5-.6 1.2M8 11.6v.2M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13z",
  close: "M4 4l8 8M12 4l-8 8",
  up: "M4 10l4-4 4 4",
  down: "M4 6l4 4 4-4",
  options: "M2.5 5h7M12.5 5h1M2.5 11h1M6.5 11h7M11 3.5v3M5 9.5v3",
  edit: "M3 13l.6-2.8 7.2-7.2 2.2 2.2-7.2 7.2zM9.3 4.5l2.2 2.2",
  details: "M2.5 3h11v10h-11zM9.5 3v10",
  folded: "M6 4l4 4-4 4",
  eye: "M1.5 8S4 3.8 8 3.8 14.5 8 14.5 8 12 12.2 8 12.2 1.5 8 1.5 8zM8 9.8a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6z",
  trash: "M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.5 9h6l.5-9",
} as const;
