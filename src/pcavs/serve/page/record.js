// Records the microphone.

import { $, alertLine } from "./dom.js";
import { clock, t } from "./text.js";

const BARS = 40;
let running = null;

/** Starts the button; `onfile` gets the recording. */
export function startRecording(onfile) {
  $("record").addEventListener("click", () => (running ? running.stop() : record(onfile)));
}

async function record(onfile) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    return alertLine(t("record_none", { why: error.message }));
  }
  const recorder = new MediaRecorder(stream);
  const pieces = [];
  const began = performance.now();
  const endLevel = showLevel(stream);
  const timer = setInterval(() => ($("record-time").textContent = clock((performance.now() - began) / 1000)), 250);
  recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
  recorder.addEventListener("stop", () => {
    clearInterval(timer);
    endLevel();
    for (const track of stream.getTracks()) track.stop();
    running = null;
    show(false);
    onfile(new Blob(pieces, { type: recorder.mimeType }));
  });
  recorder.start();
  running = recorder;
  show(true);
}

function show(is) {
  $("record").classList.toggle("on", is);
  $("record").querySelector("use").setAttribute("href", `page/icons.svg#${is ? "stop" : "mic"}`);
  $("record").setAttribute("aria-label", t(is ? "record_stop" : "record_start"));
}

/** Draws the level of the microphone over the last seconds; returns a function that ends it. */
function showLevel(stream) {
  const audio = new AudioContext();
  const analyser = audio.createAnalyser();
  audio.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const canvas = $("record-level");
  const context = canvas.getContext("2d");
  const levels = new Array(BARS).fill(0);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    levels.shift();
    levels.push(Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length));
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = getComputedStyle(canvas).color;
    const wide = canvas.width / BARS;
    for (const [n, level] of levels.entries()) {
      const high = Math.max(2, Math.min(1, level * 5) * canvas.height);
      context.fillRect(n * wide, (canvas.height - high) / 2, wide * 0.6, high);
    }
  }, 80);
  return () => {
    clearInterval(timer);
    audio.close();
  };
}
