// Parses what is typed into the fields of the run bar.

/** Result of parsing the environment: what it sets, and one sentence for each line with a fault. */
export interface Environment {
  values: Record<string, string>;
  problems: string[];
}

/** Characters that a backslash escapes inside double quotes. Before any other it stays as it is. */
const ESCAPED_IN_QUOTES = '$`"\\\n';

/**
 * Splits a line into words by the quoting rules of the POSIX shell, but expands nothing:
 *
 * - outside of quotes, a backslash escapes the next character;
 * - inside single quotes, every character stands for itself;
 * - inside double quotes, a backslash escapes only `$`, `` ` ``, `"`, `\` and a line break.
 *
 * An escaped line break joins two lines. Throws if a quote is not closed, if the line ends with a
 * backslash, or if there is a line break outside of quotes.
 */
export function words(line: string): string[] {
  const all: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < line.length; ) {
    const c = line[at]!;
    if (c === "'" || c === '"') {
      const { text, end } = quoted(line, at);
      word = (word ?? "") + text;
      at = end;
    } else if (c === "\\") {
      const next = line[at + 1];
      if (next === undefined) throw new Error("The line ends with a backslash. Write \\\\ for a backslash.");
      if (next !== "\n") word = (word ?? "") + next;
      at += 2;
    } else if (c === "\n") {
      throw new Error("This is more than one line. Choose Shell to run several lines.");
    } else if (/\s/.test(c)) {
      if (word !== undefined) all.push(word);
      word = undefined;
      at++;
    } else {
      word = (word ?? "") + c;
      at++;
    }
  }
  if (word !== undefined) all.push(word);
  return all;
}

/** Returns the text inside of the quotes that open at `start`, and the position after them. */
function quoted(line: string, start: number): { text: string; end: number } {
  const quote = line[start]!;
  let text = "";
  for (let at = start + 1; at < line.length; at++) {
    const c = line[at]!;
    if (c === quote) return { text, end: at + 1 };
    const next = line[at + 1];
    if (c === "\\" && quote === '"' && next !== undefined && ESCAPED_IN_QUOTES.includes(next)) {
      if (next !== "\n") text += next;
      at++;
    } else {
      text += c;
    }
  }
  throw new Error(`The quote ${quote} at character ${start + 1} is not closed. Close it, or write \\${quote} for the character itself.`);
}

/**
 * Parses lines of `NAME=value`. A value is everything after the first `=`. Empty lines and lines that
 * start with `#` are skipped. No problem repeats a value, which may be a secret.
 */
export function variables(text: string): Environment {
  const values: Record<string, string> = {};
  const problems: string[] = [];
  const lines = new Map<string, number>();
  text.split("\n").forEach((raw, index) => {
    const line = raw.trimStart().replace(/\r$/, "");
    const number = index + 1;
    if (line === "" || line.startsWith("#")) return;
    const at = line.indexOf("=");
    const [name, value] = [line.slice(0, Math.max(0, at)), line.slice(at + 1)];
    const earlier = lines.get(name);
    const fault = slip(line, name, value) ?? (earlier && `${name} is set in line ${earlier} already. Keep one of them.`);
    if (fault) problems.push(`Line ${number}: ${fault}`);
    else values[name] = value;
    if (!earlier) lines.set(name, number);
  });
  return { values, problems };
}

/** Returns what is wrong with a line of the environment. */
function slip(line: string, name: string, value: string): string | undefined {
  if (/^export\s/.test(line)) return "Remove “export”. Write NAME=value.";
  if (!line.includes("=")) return "“=” is missing. Write NAME=value.";
  if (name === "") return "The name before “=” is missing.";
  if (/\s$/.test(name) || /^\s/.test(value)) return "Remove the spaces around “=”.";
  if (/\s/.test(name)) return "The name has a space in it.";
  if (/^(["']).*\1$/.test(value)) return `Remove the quotes around the value of ${name}. It is taken as it is, with spaces.`;
  return undefined;
}

/** Removes the values, and keeps the names. */
export function namesOnly(text: string): string {
  return Object.keys(variables(text).values).map((name) => `${name}=`).join("\n");
}

/** Returns a number of seconds in milliseconds. Throws if it is not a number above 0. */
export function milliseconds(seconds: string): number {
  const value = Number(seconds.trim());
  if (seconds.trim() === "" || !Number.isFinite(value) || value <= 0) {
    throw new Error("Enter a number of seconds above 0, or choose No timeout.");
  }
  return Math.max(1, Math.round(value * 1000));
}
