// SPDX-License-Identifier: Apache-2.0
// Draws each <pre class="mermaid"> once the page is there, in the theme that the reader has.
const dark = document.body?.dataset.theme === "dark" ||
  (document.body?.dataset.theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
mermaid.initialize({ startOnLoad: true, securityLevel: "strict", theme: dark ? "dark" : "neutral" });
