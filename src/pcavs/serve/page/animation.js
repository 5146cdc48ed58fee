// Plays head motion on canvases, 25 poses a second, unless the user asks for less motion.

import { drawHead } from "./head.js";

export const RATE = 25;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Tells whether the user asks for less motion. */
export const isCalm = () => calm.matches;

/** Calls `onframe` with the seconds since the start until it returns false; returns a function that ends it. */
export function play(onframe) {
  let handle = 0;
  let shown = -1;
  const began = performance.now();
  function frame(now) {
    const number = Math.floor(((now - began) / 1000) * RATE);
    if (number !== shown && onframe(number / RATE) === false) return;
    shown = number;
    handle = requestAnimationFrame(frame);
  }
  handle = requestAnimationFrame(frame);
  return () => cancelAnimationFrame(handle);
}

/** Plays a motion of the API ({yaw, pitch, roll}: lists of degrees) over and over; returns a function that ends it. */
export function loop(canvas, motion) {
  return play((seconds) => {
    drawHead(canvas, poseAt(motion, Math.floor(seconds * RATE) % motion.yaw.length));
  });
}

/** Returns one pose of a motion of the API. */
export function poseAt(motion, number) {
  return { yaw: motion.yaw[number], pitch: motion.pitch[number], roll: motion.roll[number] };
}
