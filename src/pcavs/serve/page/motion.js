// The head motion: a preset, a pose, a timeline, or a video to follow.

import { anglesText, setAnglesText, show as showAngles, startAngles } from "./angles.js";
import { upload } from "./api.js";
import { $, alertLine, el, fileTarget, tabs } from "./dom.js";
import { tooLarge } from "./limits.js";
import { preset, setPreset, startPresets } from "./presets.js";
import { clock, t } from "./text.js";
import { setTimeline, showTimeline, startTimeline, timeline } from "./timeline.js";

const state = { mode: "preset", film: null, busy: false };
let names = [];
let chooseTab = () => {};
let changed = () => {};

/** Starts the card; `onchange` is called when a video was sent or another way is chosen. */
export function startMotion(about, onchange) {
  names = about.poses;
  startPresets(names);
  startAngles();
  startTimeline(names.filter((name) => name !== "still"));
  chooseTab = tabs($("motion-tabs"), state.mode, (name) => {
    state.mode = name;
    changed();
  });
  changed = onchange;
  fileTarget($("film-drop"), $("film-choose"), $("film-file"), (file) => send(file, about));
  document.addEventListener("themechange", () => {
    showAngles();
    showTimeline();
  });
}

/** Returns what is missing, as the name of a string, or null. */
export function motionMissing() {
  if (state.mode !== "film") return null;
  return state.busy ? "missing_upload" : state.film ? null : "missing_film";
}

/** Returns the head motion as the API takes it, or null for none. */
export function pose() {
  return { preset, angles: anglesText, timeline, film: () => state.film?.id ?? null }[state.mode]();
}

/** Returns what of the head motion and the face the order takes: `pose`, or parts that follow the video. */
export function motion() {
  const film = state.mode === "film" ? state.film : null;
  if (!film) return { pose: pose() };
  const mouth = $("film-mouth").checked && film.kind !== "track" ? { mouth: film.id } : {};
  return { ...($("film-face").checked ? { performance: film.id } : { pose: film.id }), ...mouth };
}

/** Sets a head motion as the API returns it; uploads cannot be set. */
export function setPose(value) {
  if (value && typeof value === "object") {
    setTimeline(value);
    chooseTab("timeline");
  } else if (value?.includes("=") && !value.startsWith("natural")) {
    setAnglesText(value);
    chooseTab("angles");
  } else if (!value || names.includes(value.split("=")[0])) {
    setPreset(...(value ?? "none").split("="));
    chooseTab("preset");
  }
}

/** Tells whether the head motion names an upload. */
export const poseHasUpload = () => JSON.stringify(pose())?.includes("vid_") ?? false;

async function send(file, about) {
  if (tooLarge(file, about)) return;
  state.busy = true;
  $("film-progress").hidden = false;
  changed();
  try {
    state.film = await upload("videos", file, (share) => ($("film-progress").value = share));
    const isTrack = state.film.kind === "track";
    $("film-mouth").disabled = isTrack;
    $("film-facts").textContent = t("film_facts", { time: clock(state.film.duration ?? 0) });
    $("film-shown").replaceChildren(...(isTrack ? [] : [el("video", { src: URL.createObjectURL(file), muted: true, controls: true, playsInline: true })]));
    $("film-shown").hidden = isTrack;
  } catch (error) {
    alertLine(error.message);
  } finally {
    state.busy = false;
    $("film-progress").hidden = true;
    changed();
  }
}
