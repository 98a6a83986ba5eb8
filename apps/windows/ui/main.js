// Runs what a test sends. The test drives the window `main`, and that one passes on what is to run in
// another window.

const { invoke, Channel } = window.__TAURI__.core;
const { emitTo } = window.__TAURI__.event;
const here = window.__TAURI__.webviewWindow.getCurrentWebviewWindow();
const label = here.label;
const AsyncFunction = (async () => {}).constructor;

const plugin = (command, args, options) => invoke(`plugin:execution-engine|${command}`, args, options);

/** Runs the body of an async function; the value is `{ value }` or `{ error }`. */
async function run(body, args) {
  try {
    const value = await new AsyncFunction("plugin", "invoke", "Channel", "args", body)(plugin, invoke, Channel, args);
    return { value: value ?? null };
  } catch (error) {
    return { error: { code: error?.code ?? null, message: error?.message ?? String(error) } };
  }
}

if (label === "main") {
  const answers = new Map();
  const ready = new Map();
  await here.listen("answer", ({ payload: { id, answer } }) => answers.get(id)(answer));
  await here.listen("ready", ({ payload }) => ready.get(payload)());
  const opened = new Map();
  const open = (other) => {
    if (!opened.has(other)) {
      const isReady = new Promise((resolve) => ready.set(other, resolve));
      opened.set(other, invoke("open", { label: other }).then(() => isReady));
    }
    return opened.get(other);
  };
  window.runIn = async (other, body, args) => {
    if (other === "main") return run(body, args);
    await open(other);
    const id = crypto.randomUUID();
    const answer = new Promise((resolve) => answers.set(id, resolve));
    await emitTo(other, "task", { id, body, args });
    return answer;
  };
} else {
  await here.listen("task", async ({ payload: { id, body, args } }) => {
    await emitTo("main", "answer", { id, answer: await run(body, args) });
  });
  await emitTo("main", "ready", label);
}
document.body.append(Object.assign(document.createElement("p"), { id: "ready", textContent: label }));
