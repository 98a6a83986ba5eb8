// The question before the app quits while executions run. `src-tauri/src/quit.rs` asks it.

import { emit, listen } from "@tauri-apps/api/event";
import { getCurrentWindow } from "@tauri-apps/api/window";

import { ask } from "./dialog.ts";

export function answerQuitting(fail: (error: unknown) => void): void {
  const ready = listen<number>("quit-question", ({ payload }) => void answer(payload).catch(fail));
  // A reload may have closed the question without an answer.
  ready.then(() => emit("quit-refused")).catch(fail);
}

async function answer(running: number): Promise<void> {
  // Another dialog that is open would hide the question, so it is closed, which answers no.
  for (const open of document.querySelectorAll<HTMLDialogElement>("dialog[open]")) open.close();
  const quits = await ask({
    title: running === 1 ? "One execution is running" : `${running} executions are running`,
    text: "Quitting stops them, with all of their processes.",
    yes: "Stop and quit",
    no: "Keep running",
    focus: "no",
  });
  // A second request to close is not asked about.
  if (quits) await getCurrentWindow().close();
  else await emit("quit-refused");
}
