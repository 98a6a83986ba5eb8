// Light and dark colours: those of the system, or as chosen here.

import type { ITheme } from "@xterm/xterm";

const KEY = "theme";
const system = matchMedia("(prefers-color-scheme: dark)");

type Scheme = "light" | "dark";

export function scheme(): Scheme {
  const chosen = localStorage.getItem(KEY);
  if (chosen === "light" || chosen === "dark") return chosen;
  return system.matches ? "dark" : "light";
}

/** Applies the scheme, now and after each change of the system. */
export function applyScheme(changed: () => void): void {
  const apply = () => {
    document.documentElement.dataset.theme = scheme();
    changed();
  };
  apply();
  system.addEventListener("change", apply);
}

export function toggleScheme(changed: () => void): void {
  localStorage.setItem(KEY, scheme() === "dark" ? "light" : "dark");
  document.documentElement.dataset.theme = scheme();
  changed();
}

const DARK: ITheme = {
  background: "#0f1216",
  foreground: "#d5dbe3",
  cursor: "#0f1216",
  selectionBackground: "#31507a",
  black: "#2a3038",
  red: "#ff8078",
  green: "#7fd08a",
  yellow: "#e3b868",
  blue: "#79b0ff",
  magenta: "#d3a0f5",
  cyan: "#6fd3d6",
  white: "#d5dbe3",
  brightBlack: "#78828f",
  brightRed: "#ffa39c",
  brightGreen: "#a3e3ab",
  brightYellow: "#f0cf8e",
  brightBlue: "#a5caff",
  brightMagenta: "#e3c0fb",
  brightCyan: "#9be6e8",
  brightWhite: "#f5f8fb",
};

const LIGHT: ITheme = {
  background: "#fbfbfa",
  foreground: "#24292f",
  cursor: "#fbfbfa",
  selectionBackground: "#bcd6f5",
  black: "#24292f",
  red: "#bf2a23",
  green: "#1a7f37",
  yellow: "#8a6100",
  blue: "#0b5cad",
  magenta: "#8032b3",
  cyan: "#0f7377",
  white: "#59636e",
  brightBlack: "#6b7580",
  brightRed: "#a40e26",
  brightGreen: "#0f6b2b",
  brightYellow: "#6f4e00",
  brightBlue: "#0a4a8c",
  brightMagenta: "#662792",
  brightCyan: "#0b5c5f",
  brightWhite: "#24292f",
};

export function theme(): ITheme {
  return scheme() === "dark" ? DARK : LIGHT;
}

/** Returns the colours of the matches of a search, and of the current one. */
export function matchColours(): { match: string; current: string } {
  return scheme() === "dark"
    ? { match: "#5c4a12", current: "#a87b10" }
    : { match: "#f6e3a8", current: "#ffc14d" };
}
