// The timeline editor: keyframes of yaw, pitch and roll on a chart, with a wireframe, a table of one key, and the JSON.

import { AXES } from "./angles.js";
import { RATE, play } from "./animation.js";
import { chart } from "./chart.js";
import { $, alertLine, el, icon, iconButton, options } from "./dom.js";
import { drawHead } from "./head.js";
import { addKey, editable, FORMAT, limited, poseAtTime, timelineOf } from "./keys.js";
import { hasText, t } from "./text.js";

const MIN_S = 4;
const START = [[0, 0, 0, 0], [1.4, 16, 0, 3], [2.8, -12, 5, -3], [4, 0, 0, 0]];
const model = { keys: [], preset: "", own: null, chosen: 0, time: 0, length: MIN_S };
const parts = {};
let stop = null;

/** Makes the editor; `presets` are the motions that can be added. */
export function startTimeline(presets) {
  parts.head = el("canvas", { className: "head", width: 480, height: 480 });
  parts.head.setAttribute("role", "img");
  parts.head.setAttribute("aria-label", t("head_picture"));
  parts.chart = chart(model, { choose, move, remove, add: addAt });
  parts.time = el("input", { type: "range", min: 0, step: 1 / RATE, oninput: () => seek(Number(parts.time.value)) });
  parts.time.setAttribute("aria-label", t("timeline_time"));
  parts.clock = el("output", { className: "muted" });
  parts.play = el("button", { type: "button", className: "plain icon", onclick: toggle });
  parts.own = el("div", { className: "own", hidden: true }, el("p", {}, t("timeline_own")), el("button", { type: "button", onclick: restart }, t("timeline_edit")));
  parts.preset = el("select", { onchange: () => change(() => (model.preset = parts.preset.value)) });
  const names = presets.map((name) => [name, hasText(`preset_${name}`) ? t(`preset_${name}`) : name]);
  options(parts.preset, [["", t("timeline_preset_none")], ...names]);
  parts.editor = el("div", { className: "editor" }, ...editorParts());
  $("timeline").append(parts.own, parts.editor, jsonPart());
  restart();
}

/** Returns the timeline as the API takes it. */
export const timeline = () => model.own ?? timelineOf(model.keys, model.preset);

/** Sets the timeline; one that the editor cannot show is used as it is. */
export function setTimeline(value) {
  if (value?.format !== FORMAT || !Array.isArray(value.segments)) throw new Error(`format ${FORMAT}, segments`);
  const found = editable(value);
  change(() => {
    model.own = found ? null : value;
    if (found) Object.assign(model, found, { chosen: 0, time: 0 });
  });
}

/** Fits the chart to the length of the speech, in seconds. */
export function setLength(seconds) {
  model.speech = seconds;
  change(() => {});
}

/** Draws everything again. */
export const showTimeline = () => change(() => {});

function editorParts() {
  const bar = el("div", { className: "row" }, parts.play, parts.time, parts.clock);
  parts.add = iconButton("plus", t("timeline_add"), () => addAt(model.time));
  parts.remove = iconButton("trash", t("timeline_remove"), () => remove(model.chosen));
  parts.key = el("fieldset", { className: "key" });
  const legend = el("div", { className: "legend", ariaHidden: "true" }, ...AXES.map((axis) => el("span", { className: axis }, t(axis))));
  const added = el("label", { className: "field inline" }, el("span", {}, t("timeline_preset")), parts.preset);
  const left = el("div", { className: "chart-side" }, legend, parts.chart.node, bar);
  return [
    el("p", { className: "muted small" }, t("timeline_help")),
    el("div", { className: "timeline-top" }, left, parts.head),
    el("div", { className: "row" }, parts.add, parts.remove, added),
    parts.key,
  ];
}

function jsonPart() {
  parts.json = el("textarea", { rows: 8, spellcheck: false, className: "code" });
  parts.json.setAttribute("aria-label", t("timeline_json"));
  const apply = el("button", { type: "button", onclick: useJson }, t("timeline_apply"));
  return el("details", {}, el("summary", {}, t("timeline_json")), parts.json, apply);
}

function useJson() {
  try {
    setTimeline(JSON.parse(parts.json.value));
  } catch (error) {
    alertLine(t("timeline_bad", { why: error.message }));
  }
}

function restart() {
  change(() => {
    const keys = START.map(([at_s, yaw, pitch, roll]) => ({ at_s, yaw, pitch, roll, ease: "smooth" }));
    Object.assign(model, { keys, preset: "", own: null, chosen: 0, time: 0 });
  });
}

function change(act) {
  act();
  model.length = Math.max(MIN_S, model.speech ?? 0, (model.keys.at(-1)?.at_s ?? 0) * 1.05);
  parts.own.hidden = !model.own;
  parts.editor.hidden = Boolean(model.own);
  parts.preset.value = model.preset;
  parts.remove.disabled = model.keys.length < 2;
  if (document.activeElement !== parts.json) parts.json.value = JSON.stringify(timeline(), null, 1);
  parts.chart.draw();
  showKey();
  seek(model.time);
}

const choose = (number) => change(() => {
  model.chosen = number;
  model.time = model.keys[number].at_s;
});

const move = (number, values) => change(() => {
  model.keys[number] = limited(model.keys, number, values);
  model.chosen = number;
  model.time = model.keys[number].at_s;
});

const addAt = (time) => change(() => {
  model.chosen = addKey(model.keys, time);
});

function remove(number) {
  if (model.keys.length < 2) return;
  change(() => {
    model.keys.splice(number, 1);
    model.chosen = Math.min(number, model.keys.length - 1);
    model.time = model.keys[model.chosen].at_s;
  });
}

/** Shows the numbers of the chosen key. Fields are kept while they are typed into. */
function showKey() {
  const key = model.keys[model.chosen];
  if (!key) return;
  if (!parts.fields) makeFields();
  parts.legend.textContent = t("timeline_key", { number: model.chosen + 1 });
  for (const [name, field] of Object.entries(parts.fields)) {
    if (document.activeElement !== field || field.tagName === "SELECT") field.value = key[name];
  }
}

function makeFields() {
  const number = (name, step) => {
    const field = el("input", { type: "number", step });
    field.addEventListener("change", () => {
      if (Number.isFinite(field.valueAsNumber)) move(model.chosen, { [name]: field.valueAsNumber });
      field.value = model.keys[model.chosen][name];
    });
    return field;
  };
  const ease = el("select", { onchange: () => move(model.chosen, { ease: ease.value }) });
  options(ease, [["smooth", t("ease_smooth")], ["linear", t("ease_linear")]]);
  parts.fields = { at_s: number("at_s", 0.04), yaw: number("yaw", 1), pitch: number("pitch", 1), roll: number("roll", 1), ease };
  parts.legend = el("legend");
  const names = { at_s: `${t("timeline_time")} (s)`, yaw: t("yaw"), pitch: t("pitch"), roll: t("roll"), ease: t("timeline_ease") };
  const labels = Object.entries(parts.fields).map(([name, field]) => el("label", { className: "field" }, el("span", {}, names[name]), field));
  parts.key.append(parts.legend, ...labels);
}

function seek(time) {
  model.time = Math.max(0, Math.min(model.length, time));
  parts.time.max = model.length;
  parts.time.value = model.time;
  parts.time.setAttribute("aria-valuetext", `${model.time.toFixed(2)} s`);
  parts.clock.textContent = `${model.time.toFixed(1)} / ${model.length.toFixed(1)} s`;
  parts.chart.seek();
  if (model.keys.length) drawHead(parts.head, poseAtTime(model.keys, model.time));
  showPlay();
}

function toggle() {
  if (stop) return halt();
  const from = model.time >= model.length - 0.1 ? 0 : model.time;
  stop = play((seconds) => {
    seek(from + seconds);
    if (model.time < model.length) return true;
    halt();
    return false;
  });
  showPlay();
}

function halt() {
  stop?.();
  stop = null;
  showPlay();
}

function showPlay() {
  const name = stop ? "pause" : "play";
  if (parts.play.dataset.icon === name) return;
  parts.play.dataset.icon = name;
  parts.play.replaceChildren(icon(name));
  parts.play.setAttribute("aria-label", t(`timeline_${name}`));
}
