// Settings of the picture and the file.

import { $, el, options } from "./dom.js";
import { t } from "./text.js";

const SIZES = ["", "256", "384", "512", "768", "1024"];
const BACKGROUNDS = [["", "own"], ["white", "white"], ["black", "black"], ["#00b140", "green"], ["transparent", "transparent"]];
const ALPHA = ["webm", "mov", "webp"];
const LABEL = "AI-generated";
const KNOWN = ["size", "full_frame", "background", "articulation", "smile", "look", "no_blinks", "label"];
const fields = {};

/** Makes the fields. */
export function startLook(about) {
  fields.format = el("select");
  options(fields.format, about.formats.map((name) => [name, name.toUpperCase()]));
  fields.size = el("select");
  options(fields.size, SIZES.map((side) => [side, side ? `${side} × ${side}` : t("look_size_own")]));
  fields.background = el("select");
  options(fields.background, BACKGROUNDS.map(([value, name]) => [value, t(`background_${name}`)]));
  fields.articulation = el("input", { type: "range", min: 0.4, max: 1.6, step: 0.1, value: 1 });
  fields.smile = el("input", { type: "range", min: -0.5, max: 1, step: 0.1, value: 0 });
  fields.camera = el("input", { type: "checkbox" });
  fields.full_frame = el("input", { type: "checkbox" });
  fields.blinks = el("input", { type: "checkbox", checked: true });
  fields.label = el("input", { type: "checkbox", checked: true });
  for (const name of ["format", "size", "background", "articulation", "smile"]) {
    $("look-fields").append(el("label", { className: "field" }, el("span", {}, t(`look_${name}`)), fields[name]));
  }
  for (const name of ["full_frame", "camera", "blinks", "label"]) {
    $("look-fields").append(el("label", { className: "check" }, fields[name], el("span", {}, t(`look_${name}`))));
  }
  const note = el("p", { className: "muted small", hidden: true }, t("background_format"));
  $("look-fields").append(note);
  const update = () => {
    fields.size.disabled = fields.background.disabled = fields.full_frame.checked;
    const needsAlpha = fields.background.value === "transparent" && !fields.full_frame.checked;
    if (needsAlpha && !ALPHA.includes(fields.format.value)) fields.format.value = "webm";
    note.hidden = !needsAlpha;
  };
  $("look-fields").addEventListener("change", update);
}

/** Returns the settings as the API takes them; those that have their default are left out. */
export function config() {
  const whole = fields.full_frame.checked;
  return {
    ...(whole ? { full_frame: true } : {}),
    ...(!whole && fields.size.value ? { size: Number(fields.size.value) } : {}),
    ...(!whole && fields.background.value ? { background: fields.background.value } : {}),
    ...(fields.articulation.value !== "1" ? { articulation: Number(fields.articulation.value) } : {}),
    ...(fields.smile.value !== "0" ? { smile: Number(fields.smile.value) } : {}),
    ...(fields.camera.checked ? { look: "camera" } : {}),
    ...(fields.blinks.checked ? {} : { no_blinks: true }),
    ...(fields.label.checked ? { label: LABEL } : {}),
  };
}

/** Returns the kind of file. */
export const format = () => fields.format.value;

/** Sets settings as the API returns them. Raises for names that this page does not know. */
export function setLook(values, kind) {
  const unknown = Object.keys(values).find((name) => !KNOWN.includes(name));
  if (unknown) throw new Error(unknown);
  const add = (field, value) => {
    if (![...field.options].some((each) => each.value === value)) field.append(new Option(value, value));
    field.value = value;
  };
  if ([...fields.format.options].some((each) => each.value === kind)) fields.format.value = kind;
  add(fields.size, values.size ? String(values.size) : "");
  add(fields.background, values.background ?? "");
  fields.articulation.value = values.articulation ?? 1;
  fields.smile.value = values.smile ?? 0;
  fields.camera.checked = values.look === "camera";
  fields.full_frame.checked = Boolean(values.full_frame);
  fields.blinks.checked = !values.no_blinks;
  fields.label.checked = Boolean(values.label);
  $("look-fields").dispatchEvent(new Event("change"));
}

/** Keeps the whole picture, as a video that is dubbed needs it. */
export function keepWhole() {
  fields.full_frame.checked = true;
  $("look-fields").dispatchEvent(new Event("change"));
}
