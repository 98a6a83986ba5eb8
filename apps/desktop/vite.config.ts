import { defineConfig } from "vite";

export default defineConfig({
  root: "ui",
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "safari16",
    chunkSizeWarningLimit: 900,
  },
  server: { port: 1420, strictPort: true },
});
