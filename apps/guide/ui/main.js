const { invoke } = window.__TAURI__.core;
const byId = (id) => document.getElementById(id);

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const executionId = await invoke("execute_python_script", { scriptPath: byId("path").value });
    byId("id").value = executionId;
    let status;
    do {
      status = await invoke("get_execution_status", { executionId });
      byId("status").value = status;
      await new Promise((resolve) => setTimeout(resolve, 100));
    } while (status === "pending" || status === "running");
  } catch (error) {
    byId("status").value = String(error);
  }
});
