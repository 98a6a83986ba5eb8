const { Execution } = window.__TAURI__.executionEngine;
const byId = (id) => document.getElementById(id);

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("code").value = "";
  try {
    const execution = await Execution.sidecar("binaries/greet", [byId("name").value]);
    execution
      .on("stdout", (line) => (byId("greeting").value = line))
      .on("close", ({ exit_code }) => (byId("code").value = String(exit_code)));
    byId("pid").value = String(await execution.pid);
  } catch (error) {
    byId("greeting").value = `${error.code}: ${error.message}`;
  }
});
