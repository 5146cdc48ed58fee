// The films of this user, as the API lists them; those that are being made are looked at again every few seconds.

import { call } from "./api.js";
import { $, alertLine, el, icon, iconButton } from "./dom.js";
import { deleteButton, downloadLink, facts, isActive, nameOf, player, progressOf } from "./films.js";
import { moment, t } from "./text.js";

const PAGE = 12;
const LOOK_MS = 3000;
const films = new Map();
const items = new Map();
let next = null;
let acts = { open() {}, reuse() {}, gone() {} };

/** Loads the list; `handlers` are open(talk), reuse(talk) and gone(id). Returns the newest films. */
export async function startHistory(handlers) {
  acts = handlers;
  $("films-more").addEventListener("click", () => load().catch((error) => alertLine(error.message)));
  setInterval(look, LOOK_MS);
  return load();
}

/** Shows a film at its place in the list; previews are not listed. */
export function keepFilm(talk) {
  if (talk.preview) return;
  const isNew = !items.has(talk.id);
  const before = films.get(talk.id);
  films.set(talk.id, talk);
  if (!isNew && before.status === talk.status) {
    items.get(talk.id).querySelector("p").textContent = lineOf(talk); // Its buttons keep the keyboard's focus.
    return;
  }
  const item = itemOf(talk);
  if (isNew) place(item, talk);
  else items.get(talk.id).replaceWith(item);
  items.set(talk.id, item);
  showEmpty();
}

/** Removes a film from the list. */
export function dropFilm(id) {
  items.get(id)?.remove();
  items.delete(id);
  films.delete(id);
  showEmpty();
}

async function load() {
  const page = await call("GET", `talks?limit=${PAGE}${next ? `&cursor=${next}` : ""}`);
  for (const talk of page.talks) keepFilm(talk);
  next = page.next;
  $("films-more").hidden = !next;
  showEmpty();
  return page.talks;
}

function place(item, talk) {
  const later = [...items.keys()].filter((id) => films.get(id)?.created_at < talk.created_at);
  const newest = later.sort((first, second) => films.get(second).created_at.localeCompare(films.get(first).created_at))[0];
  $("films").insertBefore(item, newest ? items.get(newest) : null);
}

function showEmpty() {
  $("history-empty").hidden = items.size > 0;
}

async function look() {
  if (document.hidden) return;
  for (const talk of [...films.values()].filter(isActive).slice(0, 5)) {
    try {
      keepFilm(await call("GET", `talks/${talk.id}`));
    } catch (error) {
      if (error.status === 404) dropFilm(talk.id);
    }
  }
}

function itemOf(talk) {
  const isDone = talk.status === "done";
  const picture = isDone ? player(talk, { preload: "metadata", muted: true, tabIndex: -1 }) : icon("film");
  if (isDone && picture.tagName === "VIDEO") picture.src += "#t=0.4";
  picture.setAttribute("aria-hidden", "true");
  const open = el("button", { type: "button", className: "thumb", onclick: () => acts.open(films.get(talk.id)) }, picture);
  open.setAttribute("aria-label", `${t("open")}: ${nameOf(talk)}`);
  const status = el("span", { className: `chip ${talk.status}` }, t(`status_${talk.status}`));
  const reuse = iconButton("again", t("reuse"), () => acts.reuse(films.get(talk.id)), "plain small");
  const remove = deleteButton(talk, acts.gone);
  remove.classList.add("small");
  const actions = [...(isDone ? [downloadLink(talk, "plain small")] : []), reuse, remove];
  return el(
    "li",
    { className: "film" },
    open,
    el("div", { className: "film-text" }, el("h3", {}, nameOf(talk)), ...(isDone ? [] : [status]), el("p", { className: "muted small" }, lineOf(talk))),
    el("div", { className: "row" }, ...actions),
  );
}

function lineOf(talk) {
  if (talk.status === "done") return `${facts(talk)} · ${t("expires", { date: moment(talk.expires_at) })}`;
  if (talk.status === "error") return talk.error;
  const { what, share, left } = progressOf(talk);
  return [what, share === null ? "" : `${Math.round(100 * share)} %`, left].filter(Boolean).join(" · ");
}
