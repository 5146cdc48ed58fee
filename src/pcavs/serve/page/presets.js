// Cards of the head motions that the service knows, each with a small preview that moves while it is chosen or looked at.

import { isCalm, loop, poseAt } from "./animation.js";
import { call } from "./api.js";
import { $, el } from "./dom.js";
import { drawHead } from "./head.js";
import { hasText, t } from "./text.js";

const NONE = "none";
const motions = new Map();
let chosen = "natural";
let strength = null;

/** Makes the cards. */
export function startPresets(names) {
  for (const name of [NONE, ...names]) $("presets").append(card(name));
  setPreset(names.includes(chosen) ? chosen : NONE);
}

/** Returns the chosen motion, with its strength if it has one, or null for none. */
export function preset() {
  if (chosen === NONE) return null;
  return strength === null ? chosen : `${chosen}=${strength}`;
}

/** Chooses a motion; unknown ones are none. A strength is kept until another motion is chosen. */
export function setPreset(name, given = null) {
  const inputs = [...$("presets").querySelectorAll("input")];
  const input = inputs.find((each) => each.value === name) ?? inputs[0];
  chosen = input.value;
  strength = chosen === name ? given : null;
  input.checked = true;
  for (const each of inputs) each.dispatchEvent(new Event("preset"));
}

function card(name) {
  const canvas = el("canvas", { width: 160, height: 160, className: "head" });
  canvas.setAttribute("aria-hidden", "true");
  const input = el("input", { type: "radio", name: "preset", value: name, className: "hidden", onchange: () => setPreset(name) });
  const text = hasText(`preset_${name}`) ? t(`preset_${name}`) : name;
  const caption = el("span", {}, text);
  const label = el("label", { className: "preset" }, input, canvas, caption);
  let stop = null;
  let looked = false;
  let seen = false;
  let motion = null;
  function update() {
    caption.textContent = chosen === name && strength !== null ? `${text} \u00d7 ${strength}` : text;
    const moves = (looked || chosen === name) && seen && name !== NONE && !isCalm();
    stop?.();
    stop = null;
    if (!motion) drawHead(canvas, {});
    else if (moves) stop = loop(canvas, motion);
    else drawHead(canvas, farthest(motion));
  }
  if (name !== NONE) {
    motionOf(name).then((found) => {
      motion = found;
      update();
    });
  }
  for (const [event, value] of [["pointerenter", true], ["focusin", true], ["pointerleave", false], ["focusout", false]]) {
    label.addEventListener(event, () => {
      looked = value;
      update();
    });
  }
  new IntersectionObserver(([entry]) => {
    seen = entry.isIntersecting;
    update();
  }).observe(canvas);
  input.addEventListener("preset", update);
  document.addEventListener("themechange", update);
  return label;
}

/** Returns the pose of a motion that is farthest from the start, which stands for it while it does not move. */
function farthest(motion) {
  const turns = motion.yaw.map((yaw, n) => Math.abs(yaw) + Math.abs(motion.pitch[n]) + Math.abs(motion.roll[n]));
  return poseAt(motion, turns.indexOf(Math.max(...turns)));
}

async function motionOf(name) {
  if (!motions.has(name)) motions.set(name, call("GET", `poses/${encodeURIComponent(name)}?seconds=8`));
  return motions.get(name);
}
