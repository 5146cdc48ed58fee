"use strict";

const byId = (id) => document.getElementById(id);
const video = byId("video");
const isBare = new URLSearchParams(location.search).has("bare");
const RETRY_MS = 2000;
const GATHER_MS = 1000;

let peer = null;
let microphone = null;

document.documentElement.classList.toggle("bare", isBare);

function say(text) {
  byId("message").textContent = text;
}

async function call(path, body, type) {
  const response = await fetch(path, { method: "POST", body, headers: type ? { "Content-Type": type } : {} });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

async function attempt(action) {
  try {
    say("");
    await action();
  } catch (error) {
    say(error.message);
  }
}

function gathered(connection) {
  return new Promise((resolve) => {
    if (connection.iceGatheringState === "complete") resolve();
    connection.addEventListener("icegatheringstatechange", () => {
      if (connection.iceGatheringState === "complete") resolve();
    });
    setTimeout(resolve, GATHER_MS);
  });
}

async function connect() {
  peer = new RTCPeerConnection();
  const own = peer;
  const stream = new MediaStream();
  peer.addTransceiver("video", { direction: "recvonly" });
  peer.addTransceiver("audio", { direction: "sendrecv" });
  peer.addEventListener("track", (event) => {
    event.receiver.jitterBufferTarget = 0;
    stream.addTrack(event.track);
    if (video.srcObject !== stream) {
      video.srcObject = stream;
      play();
    }
  });
  peer.addEventListener("connectionstatechange", () => {
    if (own === peer && ["failed", "disconnected"].includes(own.connectionState)) reconnect();
  });
  await peer.setLocalDescription(await peer.createOffer());
  await gathered(peer);
  const answer = await call("offer", JSON.stringify({ sdp: peer.localDescription.sdp }), "application/json");
  await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
  if (microphone) await sender().replaceTrack(microphone.getAudioTracks()[0]);
}

function reconnect() {
  peer?.close();
  peer = null;
  setTimeout(() => {
    if (!peer) connect().then(() => say("")).catch((error) => { say(error.message); reconnect(); });
  }, RETRY_MS);
}

function sender() {
  return peer.getTransceivers().find((each) => each.receiver.track.kind === "audio").sender;
}

function setSound(isOn) {
  video.muted = !isOn;
  byId("sound").textContent = isOn ? "Sound off" : "Sound on";
  if (video.srcObject) play();
}

function play() {
  video.play().catch((error) => {
    // Browsers play no sound before the first click.
    if (error.name === "NotAllowedError" && !video.muted) setSound(false);
  });
}

async function toggleMicrophone() {
  if (microphone) {
    for (const track of microphone.getTracks()) track.stop();
    microphone = null;
    await sender().replaceTrack(null);
  } else {
    if (!navigator.mediaDevices) throw new Error("The microphone needs this page at 127.0.0.1 or over https.");
    microphone = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true } });
    await sender().replaceTrack(microphone.getAudioTracks()[0]);
    setSound(false);
    say("The avatar repeats what you say; turn the sound on if you wear headphones.");
  }
  byId("microphone").textContent = microphone ? "Stop microphone" : "Use microphone";
  byId("microphone").setAttribute("aria-pressed", String(Boolean(microphone)));
}

async function playout() {
  for (const entry of (await peer.getStats()).values()) {
    if (entry.type === "inbound-rtp" && entry.kind === "video" && entry.jitterBufferEmittedCount) {
      const wait = (1000 * entry.jitterBufferDelay) / entry.jitterBufferEmittedCount;
      return { fps: entry.framesPerSecond ?? 0, dropped: entry.framesDropped ?? 0, wait };
    }
  }
  return { fps: 0, dropped: 0, wait: 0 };
}

async function showStatus() {
  if (!peer) return;
  try {
    const [response, here] = await Promise.all([fetch("status"), playout()]);
    const there = await response.json();
    byId("fps").textContent = there.fps ? `${here.fps} shown, ${there.fps.toFixed(1)} made` : "-";
    byId("latency").textContent = there.latency_ms === null ? "-" : `${Math.round(there.latency_ms + here.wait)} ms`;
    byId("dropped").textContent = String(there.dropped + here.dropped);
    byId("waiting").textContent = `${there.waiting_s.toFixed(1)} s`;
    byId("again").hidden = !there.again;
  } catch {
    say("The program does not answer; is it still running?");
  }
}

byId("sound").addEventListener("click", () => setSound(video.muted));
byId("microphone").addEventListener("click", () => attempt(toggleMicrophone));
byId("interrupt").addEventListener("click", () => attempt(() => call("interrupt")));
byId("again").addEventListener("click", () => attempt(() => call("again")));
byId("say").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(() => call("say", JSON.stringify({ text: byId("text").value }), "application/json"));
});
byId("file").addEventListener("change", (event) => {
  const file = event.target.files[0];
  if (file) attempt(() => call("speech", file, "application/octet-stream"));
});

addEventListener("pagehide", () => peer?.close());

if (isBare) setSound(true);
connect().catch((error) => { say(error.message); reconnect(); });
setInterval(showStatus, 1000);
