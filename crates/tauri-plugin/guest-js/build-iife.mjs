// Writes `api-iife.js`: the bindings in one script, for pages without a bundler. Tauri runs it in
// each page of an app with `withGlobalTauri`, as `window.__TAURI__.executionEngine`. It is committed,
// because the crate is built without npm; `--check` fails if it is out of date.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const GLOBAL = "__TAURI_PLUGIN_EXECUTION_ENGINE__";

const { outputFiles } = await build({
  entryPoints: [path("index.ts")],
  tsconfig: path("tsconfig.json"),
  bundle: true,
  minify: true,
  format: "iife",
  target: "safari16",
  globalName: GLOBAL,
  banner: { js: 'if ("__TAURI__" in window) {' },
  footer: { js: `Object.defineProperty(window.__TAURI__, "executionEngine", { value: ${GLOBAL} }); }` },
  write: false,
  logLevel: "warning",
});
const text = outputFiles[0].text;
const file = path("../api-iife.js");
if (process.argv.includes("--check")) {
  if (readFileSync(file, "utf8") !== text) {
    console.error("api-iife.js is out of date: run `npm run build` and commit it");
    process.exit(1);
  }
} else {
  writeFileSync(file, text);
}
