// Starts the page and joins its parts. Errors that nothing else catches are shown at the top.

import { call } from "./api.js";
import { $, alertLine } from "./dom.js";
import { isActive } from "./films.js";
import { loadHead } from "./head.js";
import { dropFilm, keepFilm, startHistory } from "./history.js";
import { keepWhole, startLook } from "./look.js";
import { startMotion } from "./motion.js";
import { order, showMissing, startOrder } from "./order.js";
import { startPhoto } from "./photo.js";
import { clearFilm, showFilm, showOrdering, showPhoto, startScreen } from "./screen.js";
import { startSettings, useSettings } from "./settings.js";
import { loadText, t } from "./text.js";
import { startTheme } from "./theme.js";
import { setLength } from "./timeline.js";
import { startToken } from "./token.js";
import { speechSeconds, startVoice } from "./voice.js";

const READY_MS = 5000;

addEventListener("error", (event) => showFault(event.error ?? event.message));
addEventListener("unhandledrejection", (event) => showFault(event.reason));

await start();

async function start() {
  startTheme();
  await Promise.all([loadText(), loadHead()]);
  startToken();
  showReady();
  const about = await call("GET", "about");
  $("version").textContent = `PC-AVS ${about.version}`;
  startPhoto(about, photoChanged);
  startVoice(about, await call("GET", "voices"), changed);
  startMotion(about, changed);
  startLook(about);
  startOrder();
  startSettings();
  startScreen({ changed: keepFilm, gone: dropFilm });
  $("make").addEventListener("click", () => make(false));
  $("preview").addEventListener("click", () => make(true));
  document.documentElement.dataset.started = "";
  const films = await startHistory({ open, reuse, gone });
  const active = films.find(isActive);
  if (active) showFilm(active);
}

function photoChanged(sent) {
  if (sent?.kind === "video") keepWhole();
  if (sent) clearFilm();
  changed();
}

function changed() {
  showMissing(false);
  if (speechSeconds()) setLength(speechSeconds());
}

let key = null;

/** Orders a film. An order whose answer was lost is sent again with the same key, so that it makes one film. */
async function make(isPreview) {
  if (!showMissing()) return;
  const buttons = [$("make"), $("preview")];
  for (const button of buttons) button.disabled = true;
  showOrdering();
  try {
    const body = order(isPreview);
    const same = JSON.stringify({ ...body, consent: null });
    if (key?.same !== same) key = { same, body, value: randomKey() };
    const talk = await call("POST", "talks", key.body, { "Idempotency-Key": key.value });
    key = null;
    keepFilm(talk);
    showFilm(talk);
    if (matchMedia("(max-width: 60rem)").matches) $("screen").scrollIntoView({ block: "center" });
  } catch (error) {
    if (error.status) key = null;
    clearFilm();
    alertLine(error.message);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function open(talk) {
  showFilm(talk);
  $("screen").scrollIntoView({ block: "center" });
}

function reuse(talk) {
  try {
    useSettings(talk);
    alertLine(t("settings_loaded"), "note");
  } catch (error) {
    alertLine(t("settings_bad", { why: error.message }));
  }
}

function gone(id) {
  dropFilm(id);
  clearFilm(id);
}

/** Shows whether films can be made, and asks again until they can. */
async function showReady() {
  let name = "stopped";
  try {
    const answer = await fetch("state");
    name = answer.ok && (await answer.json()).ready ? "ready" : "starting";
  } catch {
    // Shown as not reachable.
  }
  $("ready").textContent = t(name);
  $("ready").className = `chip ${name}`;
  setTimeout(showReady, name === "ready" ? 6 * READY_MS : READY_MS / 5);
}

function showFault(error) {
  const why = error?.message ?? String(error);
  alertLine(error?.status === undefined ? t("error_fault", { why }) : why);
}
