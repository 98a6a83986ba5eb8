// Output as plain text, for copying: without escape sequences, and without what was written over.

const SEQUENCES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])/g;

export function plain(output: string): string {
  const text = output.includes("\x1b") ? output.replace(SEQUENCES, "") : output;
  if (!text.includes("\r")) return text;
  const shown = (line: string) => line.replace(/\r$/, "").replace(/^[^]*\r/, "");
  return text.split("\n").map(shown).join("\n");
}
