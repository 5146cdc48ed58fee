// The chart of the timeline editor: three curves over time, whose points are dragged or moved with the keyboard.

import { AXES, LIMITS } from "./angles.js";
import { el, svg } from "./dom.js";
import { poseAtTime } from "./keys.js";
import { t } from "./text.js";

const HIGH = 240;
const LEFT = 34;
const BOTTOM = 22;
const REACH = 38; // Degrees at the upper edge.
const STEPS = 150; // Pieces of a curve.
const FRAME_S = 0.04;

/**
 * Makes the chart of a model with keys, chosen key, time and length.
 * `acts` are choose(number), move(number, values), remove(number) and add(time).
 */
export function chart(model, acts) {
  let wide = 600;
  const root = svg("svg", { height: HIGH, role: "group", "aria-label": t("timeline_chart"), class: "chart" });
  const back = svg("g", { "aria-hidden": "true" });
  const dots = svg("g", {});
  const now = svg("line", { y1: 4, y2: HIGH - BOTTOM, class: "now", "aria-hidden": "true" });
  root.append(back, now, dots);
  const x = (time) => LEFT + (time / model.length) * (wide - LEFT - 10);
  const y = (angle) => 4 + ((REACH - angle) / (2 * REACH)) * (HIGH - BOTTOM - 4);
  const at = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(root.getScreenCTM().inverse());
    return {
      time: Math.max(0, ((point.x - LEFT) / (wide - LEFT - 10)) * model.length),
      angle: REACH - ((point.y - 4) / (HIGH - BOTTOM - 4)) * 2 * REACH,
    };
  };
  root.addEventListener("dblclick", (event) => {
    if (!event.target.closest(".dot")) acts.add(Math.min(model.length, at(event).time));
  });

  function drawBack() {
    const lines = [];
    for (const angle of [-30, -15, 0, 15, 30]) {
      lines.push(svg("line", { x1: LEFT, x2: wide - 10, y1: y(angle), y2: y(angle), class: angle ? "rule" : "rule zero" }));
      lines.push(svg("text", { x: LEFT - 6, y: y(angle) + 4, class: "number end" }, `${angle}°`));
    }
    const step = [0.5, 1, 2, 5, 10, 30, 60].find((each) => model.length / each <= wide / 60) ?? 120;
    for (let time = 0; time <= model.length + 1e-6; time += step) {
      lines.push(svg("text", { x: x(time), y: HIGH - 6, class: "number" }, `${time} s`));
    }
    for (const axis of AXES) {
      const times = Array.from({ length: STEPS + 1 }, (_, n) => (n / STEPS) * model.length);
      const points = times.map((time) => `${x(time).toFixed(1)},${y(poseAtTime(model.keys, time)[axis]).toFixed(1)}`);
      lines.push(svg("polyline", { points: points.join(" "), class: `curve ${axis}` }));
    }
    back.replaceChildren(...lines);
  }

  /** Fits the number of dots, then places them; dots are kept so that they keep the keyboard's focus. */
  function drawDots() {
    while (dots.childElementCount > 3 * model.keys.length) dots.lastChild.remove();
    while (dots.childElementCount < 3 * model.keys.length) dots.append(dot(dots.childElementCount));
    for (const [place, node] of [...dots.children].entries()) {
      const [number, axis] = [Math.floor(place / 3), AXES[place % 3]];
      const key = model.keys[number];
      node.setAttribute("transform", `translate(${x(key.at_s).toFixed(1)} ${y(key[axis]).toFixed(1)})`);
      node.setAttribute("aria-label", t("timeline_point", { axis: t(axis), number: number + 1, time: `${key.at_s.toFixed(2)} s` }));
      node.setAttribute("aria-valuenow", key[axis]);
      node.setAttribute("aria-valuetext", `${key[axis]}°, ${key.at_s.toFixed(2)} s`);
      node.classList.toggle("chosen", number === model.chosen);
    }
  }

  function dot(place) {
    const [number, axis] = [Math.floor(place / 3), AXES[place % 3]];
    const limits = { "aria-valuemin": -LIMITS[axis], "aria-valuemax": LIMITS[axis], "aria-orientation": "vertical" };
    const node = svg("g", { class: `dot ${axis}`, tabindex: 0, role: "slider", ...limits });
    node.append(svg("circle", { r: 16, class: "grip" }), svg("circle", { r: 6, class: "point" }));
    node.addEventListener("focus", () => acts.choose(number));
    node.addEventListener("keydown", (event) => pressed(event, number, axis));
    node.addEventListener("pointerdown", (event) => drag(event, node, number, axis));
    return node;
  }

  function pressed(event, number, axis) {
    const key = model.keys[number];
    const [turn, time] = event.shiftKey ? [5, 10 * FRAME_S] : [1, FRAME_S];
    const moves = {
      ArrowUp: { [axis]: key[axis] + turn },
      ArrowDown: { [axis]: key[axis] - turn },
      ArrowRight: { at_s: key.at_s + time },
      ArrowLeft: { at_s: key.at_s - time },
    };
    if (moves[event.key]) acts.move(number, moves[event.key]);
    else if (event.key === "Delete" || event.key === "Backspace") acts.remove(number);
    else return;
    event.preventDefault();
  }

  function drag(event, node, number, axis) {
    event.preventDefault();
    node.focus();
    node.setPointerCapture(event.pointerId);
    const length = model.length;
    const move = (next) => {
      const { time, angle } = at(next);
      acts.move(number, { at_s: number ? Math.min(time, length) : time, [axis]: Math.round(angle) });
    };
    node.addEventListener("pointermove", move);
    const end = () => node.removeEventListener("pointermove", move);
    node.addEventListener("pointerup", end, { once: true });
    node.addEventListener("pointercancel", end, { once: true });
  }

  function seek() {
    now.setAttribute("x1", x(model.time));
    now.setAttribute("x2", x(model.time));
  }

  function draw() {
    drawBack();
    drawDots();
    seek();
  }

  new ResizeObserver(([entry]) => {
    if (!entry.contentRect.width || !model.keys.length) return; // Not shown.
    wide = entry.contentRect.width;
    draw();
  }).observe(root);
  return { node: el("div", { className: "chart-frame" }, root), draw, seek };
}
