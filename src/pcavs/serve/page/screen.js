// The screen: the photo, a film being made, a finished film, or why there is none.

import { call, watch } from "./api.js";
import { $, alertLine, el, icon, iconButton } from "./dom.js";
import { deleteButton, downloadLink, facts, isActive, nameOf, player, progressOf } from "./films.js";
import { photoPicture } from "./photo.js";
import { t } from "./text.js";

let shown = null;
let watching = null;
let spokenQuarter = 0;
let events = { changed() {}, gone() {} };

/** Starts the screen; `handlers` are changed(talk) and gone(id). */
export function startScreen(handlers) {
  events = handlers;
  $("making-cancel").addEventListener("click", cancel);
}

/** Returns the id of the film on the screen, or null. */
export const shownId = () => shown?.id ?? null;

/** Shows the photo, unless a film is shown. */
export function showPhoto() {
  if (shown) return;
  const picture = photoPicture();
  $("screen").replaceChildren(picture ?? emptyScreen());
}

/** Shows that an order is being sent. */
export function showOrdering() {
  stopWatching();
  shown = null;
  dimPhoto();
  $("under").hidden = true;
  $("making").hidden = false;
  $("making-what").textContent = t("activity_ordering");
  $("making-left").textContent = "";
  $("making-bar").removeAttribute("value");
}

/** Shows a film in any state, and watches it until it is finished. */
export function showFilm(talk) {
  stopWatching();
  shown = talk;
  spokenQuarter = 0;
  show();
  if (!isActive(talk)) return;
  watching = new AbortController();
  watch(talk.id, update, watching.signal).catch((error) => alertLine(error.message));
}

/** Empties the screen if it shows this film. */
export function clearFilm(id) {
  if (id !== undefined && shown?.id !== id) return;
  stopWatching();
  shown = null;
  $("making").hidden = $("under").hidden = true;
  showPhoto();
}

function update(name, talk) {
  if (name === "gone") {
    events.gone(shown.id);
    clearFilm();
    $("spoken").textContent = t("film_gone");
    return;
  }
  shown = talk;
  show();
  events.changed(talk);
}

function show() {
  const talk = shown;
  $("making").hidden = !isActive(talk);
  $("under").hidden = isActive(talk);
  if (isActive(talk)) return showProgress(talk);
  if (talk.status === "error") return showError(talk);
  $("screen").replaceChildren(player(talk, { controls: true, autoplay: true }), el("span", { className: "badge over" }, t("ai")));
  const notes = talk.notes?.length ? [el("ul", { className: "notes small" }, ...talk.notes.map((note) => el("li", {}, note)))] : [];
  const title = el("div", {}, el("strong", {}, nameOf(talk)), el("p", { className: "muted small" }, facts(talk)));
  $("under").replaceChildren(title, ...notes, el("div", { className: "row" }, downloadLink(talk), deleteButton(talk, gone)));
  $("spoken").textContent = t("film_done");
}

function showProgress(talk) {
  const { what, share, left } = progressOf(talk);
  dimPhoto();
  $("making-what").textContent = what;
  $("making-left").textContent = left;
  if (share === null) $("making-bar").removeAttribute("value");
  else $("making-bar").value = share;
  const quarter = Math.floor((share ?? 0) * 4);
  if (quarter > spokenQuarter) $("spoken").textContent = t("percent", { count: 25 * quarter });
  spokenQuarter = quarter;
}

function showError(talk) {
  $("screen").replaceChildren(el("div", { className: "empty failed" }, el("strong", {}, t("film_failed")), el("p", {}, talk.error)));
  const retry = iconButton("again", t("retry"), async () => showFilm(await call("POST", `talks/${talk.id}/retry`)), "");
  $("under").replaceChildren(el("div", { className: "row" }, retry, deleteButton(talk, gone)));
  $("spoken").textContent = `${t("film_failed")}: ${talk.error}`;
}

function gone(id) {
  clearFilm(id);
  events.gone(id);
}

async function cancel() {
  if (!shown) return;
  const { id } = shown;
  await call("DELETE", `talks/${id}`);
  gone(id);
}

function stopWatching() {
  watching?.abort();
  watching = null;
}

function dimPhoto() {
  if ($("screen").firstElementChild?.classList.contains("dim")) return;
  const picture = photoPicture();
  const node = picture ?? emptyScreen();
  node.classList.add("dim");
  $("screen").replaceChildren(node);
}


function emptyScreen() {
  return el("div", { className: "empty" }, icon("film"), el("p", {}, t("screen_empty")));
}
