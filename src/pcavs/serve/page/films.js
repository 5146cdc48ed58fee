// Films as elements: player or picture, names, facts, actions. Used by the screen and the history.

import { call, filmAddress } from "./api.js";
import { confirmed, el, iconButton, icon } from "./dom.js";
import { clock, duration, hasText, moment, t } from "./text.js";

const PICTURES = ["gif", "webp"];

/** Returns the name of a film. */
export const nameOf = (talk) => talk.name ?? (talk.preview ? t("film_is_preview") : t("film_unnamed", { date: moment(talk.created_at) }));

/** Tells whether a film is not finished. */
export const isActive = (talk) => talk.status === "created" || talk.status === "started";

/** Returns the player of a finished film; animations without sound are pictures. */
export function player(talk, properties = {}) {
  const src = filmAddress(talk);
  if (PICTURES.includes(talk.format)) return el("img", { src, alt: t("film_player", { name: nameOf(talk) }) });
  const video = el("video", { src, playsInline: true, ...properties });
  video.setAttribute("aria-label", t("film_player", { name: nameOf(talk) }));
  return video;
}

/** Returns the facts of a finished film as one line. */
export function facts(talk) {
  const parts = [clock(talk.duration), `${(talk.bytes / 1e6).toFixed(1)} MB`, talk.format.toUpperCase()];
  if (talk.took_s) parts.push(t("took", { time: duration(talk.took_s) }));
  return parts.join(" · ");
}

/** Returns the link that downloads a film. */
export function downloadLink(talk, kind = "button") {
  return el("a", { className: kind, href: filmAddress(talk), download: "" }, icon("download"), el("span", {}, t("download")));
}

/** Returns the button that deletes a film, after a question. */
export function deleteButton(talk, ongone) {
  return iconButton("trash", t("remove"), async () => {
    if (!(await confirmed(t("delete_ask", { name: nameOf(talk) })))) return;
    await call("DELETE", `talks/${talk.id}`);
    ongone(talk.id);
  });
}

/** Returns how far a film is: what is done, the share from 0 to 1 or null, and the time left. */
export function progressOf(talk) {
  if (talk.status === "created") {
    const before = talk.waiting_before ? t("waiting_before", { count: talk.waiting_before }) : "";
    return { what: t("activity_created"), share: null, left: before };
  }
  const { activity, done, total, seconds_left: left } = talk.progress ?? { activity: "reading" };
  const name = `activity_${activity.replaceAll(" ", "-")}`;
  return {
    what: hasText(name) ? t(name) : activity,
    share: total ? done / total : null,
    left: left ? t("time_left", { time: duration(left) }) : "",
  };
}
