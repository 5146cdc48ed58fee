// Light and dark: as the system has it, until the button is used.

import { $ } from "./dom.js";

const KEY = "pcavs-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** Starts the button. */
export function startTheme() {
  const stored = localStorage.getItem(KEY);
  if (stored) document.documentElement.dataset.theme = stored;
  system.addEventListener("change", tell);
  $("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light");
    const other = now === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = other;
    localStorage.setItem(KEY, other);
    tell();
  });
}

function tell() {
  document.dispatchEvent(new Event("themechange"));
}
