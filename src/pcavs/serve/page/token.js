// The token of a service that needs one; kept for this tab only.

import { $ } from "./dom.js";
import { t } from "./text.js";

const KEY = "pcavs-token";
let asking = null;

/** Returns the token, or null. */
export const token = () => sessionStorage.getItem(KEY);

/** Asks for a token in a dialog, once for all calls that wait for it. */
export function askToken() {
  asking ??= ask().finally(() => {
    asking = null;
  });
  return asking;
}

async function ask() {
  const dialog = $("token-dialog");
  $("token-error").textContent = token() ? t("token_wrong") : "";
  $("token").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if ($("token").value) sessionStorage.setItem(KEY, $("token").value.trim());
  showSignOut();
}

function showSignOut() {
  $("sign-out").hidden = !token();
}

/** Shows the button that forgets the token. */
export function startToken() {
  showSignOut();
  $("token-dialog").addEventListener("cancel", (event) => event.preventDefault());
  $("sign-out").addEventListener("click", () => {
    sessionStorage.removeItem(KEY);
    location.reload();
  });
}
