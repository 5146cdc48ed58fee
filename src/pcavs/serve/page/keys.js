// Keyframes: interpolation as pose/compile.py does it, and the timeline JSON of docs/pose.md. No elements here.

import { AXES, LIMITS } from "./angles.js";

export const FORMAT = "pcavs-pose-1";
const FRAME_S = 0.04;

/** Returns the pose at a time, in seconds, between keyframes that are in order. */
export function poseAtTime(keys, time) {
  const after = keys.findIndex((key) => key.at_s > time);
  if (after === 0) return keys[0];
  if (after === -1) return keys.at(-1);
  const [first, second] = [keys[after - 1], keys[after]];
  const linear = (time - first.at_s) / (second.at_s - first.at_s);
  const share = first.ease === "linear" ? linear : linear * linear * (3 - 2 * linear);
  return Object.fromEntries(AXES.map((axis) => [axis, first[axis] + share * (second[axis] - first[axis])]));
}

/** Returns a key at a time between its neighbours, in whole frames, with angles that a head can turn to. */
export function limited(keys, number, change) {
  const key = { ...keys[number], ...change };
  const low = number ? keys[number - 1].at_s + FRAME_S : 0;
  const high = number + 1 < keys.length ? keys[number + 1].at_s - FRAME_S : 600;
  key.at_s = tidy(Math.max(low, Math.min(high, Math.round(key.at_s / FRAME_S) * FRAME_S)));
  for (const axis of AXES) key[axis] = Math.max(-LIMITS[axis], Math.min(LIMITS[axis], Math.round(key[axis] * 10) / 10));
  return key;
}

/** Adds a key at a time, with the pose of that moment; returns its number, or that of the key that is there. */
export function addKey(keys, time) {
  const at_s = tidy(Math.round(time / FRAME_S) * FRAME_S);
  const there = keys.findIndex((key) => Math.abs(key.at_s - at_s) < FRAME_S - 1e-6);
  if (there !== -1) return there;
  const key = { ...poseAtTime(keys, at_s), at_s, ease: "smooth" };
  for (const axis of AXES) key[axis] = Math.round(key[axis] * 10) / 10;
  const number = keys.findIndex((each) => each.at_s > at_s);
  keys.splice(number === -1 ? keys.length : number, 0, key);
  return keys.indexOf(key);
}

/** Returns the timeline of keyframes, with the motion of a preset added if one is named. */
export function timelineOf(keys, preset) {
  const segment = { kind: "keys", keys: keys.map(slim) };
  const all = preset ? { kind: "mix", parts: [segment, { kind: "preset", name: preset }] } : segment;
  return { format: FORMAT, mode: "relative", segments: [all] };
}

/** Returns the keyframes and preset of a timeline, or null if it has more than the editor can show. */
export function editable(timeline) {
  const { format, mode, segments, ...more } = timeline;
  if (format !== FORMAT || mode !== "relative" || segments?.length !== 1 || Object.keys(more).length) return null;
  const [only] = segments;
  const parts = only.kind === "mix" && Object.keys(only).length === 2 ? only.parts : [only];
  const [keys, preset, ...others] = parts;
  if (keys?.kind !== "keys" || Object.keys(keys).length !== 2 || !keys.keys?.length || others.length) return null;
  if (preset && (preset.kind !== "preset" || Object.keys(preset).length !== 2)) return null;
  const known = new Set(["at_s", "ease", ...AXES]);
  if (keys.keys.some((key) => Object.keys(key).some((name) => !known.has(name)))) return null;
  return { keys: keys.keys.map((key) => ({ yaw: 0, pitch: 0, roll: 0, ease: "smooth", ...key })), preset: preset?.name ?? "" };
}

function slim(key) {
  const turned = AXES.filter((axis) => key[axis]).map((axis) => [axis, key[axis]]);
  return { at_s: key.at_s, ...Object.fromEntries(turned), ...(key.ease === "linear" ? { ease: "linear" } : {}) };
}

const tidy = (value) => Math.round(value * 1000) / 1000;
