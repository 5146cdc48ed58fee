// Sliders for one pose, with a live wireframe.

import { $, el } from "./dom.js";
import { drawHead } from "./head.js";
import { t } from "./text.js";

/** The angles that a head can turn to, in degrees. */
export const LIMITS = { yaw: 35, pitch: 20, roll: 25 };
export const AXES = ["yaw", "pitch", "roll"];

const pose = { yaw: 15, pitch: 0, roll: 0 };

/** Makes the sliders. */
export function startAngles() {
  for (const axis of AXES) {
    const output = el("output", { htmlFor: axis });
    const slider = el("input", { type: "range", id: axis, min: -LIMITS[axis], max: LIMITS[axis], step: 1 });
    slider.addEventListener("input", () => {
      pose[axis] = Number(slider.value);
      show();
    });
    const name = el("label", { htmlFor: axis }, t(axis), el("span", { className: "muted small" }, ` ${t(`${axis}_hint`)}`));
    $("sliders").append(el("div", { className: "slider" }, name, output, slider));
  }
  $("sliders").append(el("button", { type: "button", className: "plain", onclick: () => setAngles({}) }, t("reset")));
  show();
}

/** Returns the pose as the API takes it, such as yaw=15,pitch=-5. */
export const anglesText = () => AXES.map((axis) => `${axis}=${pose[axis]}`).join(",");

/** Sets the pose; angles that are not named are 0. */
export function setAngles(values) {
  for (const axis of AXES) pose[axis] = Math.max(-LIMITS[axis], Math.min(LIMITS[axis], Math.round(values[axis] ?? 0)));
  show();
}

/** Reads a pose as the API takes it. */
export function setAnglesText(text) {
  setAngles(Object.fromEntries(text.split(",").map((part) => [part.split("=")[0], Number(part.split("=")[1])])));
}

/** Draws the wireframe and shows the numbers. */
export function show() {
  for (const axis of AXES) {
    $(axis).value = pose[axis];
    $(axis).previousElementSibling.textContent = `${pose[axis]}°`;
    $(axis).setAttribute("aria-valuetext", `${pose[axis]}°`);
  }
  drawHead($("angles-head"), pose);
}
