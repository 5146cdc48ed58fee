// The photo: chosen, dropped, pasted, or taken with the camera. A video is taken as well; it is dubbed.

import { call, upload } from "./api.js";
import { $, alertLine, el, fileTarget } from "./dom.js";
import { tooLarge } from "./limits.js";
import { clock, t } from "./text.js";

const state = { sent: null, shown: null, busy: false };
let about = null;
let changed = () => {};

/** Starts the card; `onchange` is called with the upload when the photo changes. */
export function startPhoto(facts, onchange) {
  about = facts;
  changed = onchange;
  fileTarget($("photo-drop"), $("photo-choose"), $("photo-file"), send);
  $("photo-camera").hidden = !navigator.mediaDevices?.getUserMedia;
  $("photo-camera").addEventListener("click", takePhoto);
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
    if (file) send(file);
  });
}

/** Returns what is missing, as the name of a string, or null. */
export const photoMissing = () => (state.busy ? "missing_upload" : state.sent ? null : "missing_photo");

/** Returns the id of the photo. */
export const photo = () => state.sent.id;

/** Returns a copy of the photo's picture for the screen, or null. */
export const photoPicture = () => state.shown?.cloneNode() ?? null;

async function send(file) {
  if (tooLarge(file, about)) return;
  const isVideo = file.type.startsWith("video/");
  state.busy = true;
  $("photo-progress").hidden = false;
  changed(null);
  try {
    const sent = await upload(isVideo ? "videos" : "images", file, (share) => ($("photo-progress").value = share));
    if (state.sent) call("DELETE", state.sent.url).catch(() => {});
    state.sent = sent;
    show(file, isVideo);
  } catch (error) {
    alertLine(error.message);
  } finally {
    state.busy = false;
    $("photo-progress").hidden = true;
    changed(state.sent);
  }
}

function show(file, isVideo) {
  const { width, height, duration } = state.sent;
  if (state.shown) URL.revokeObjectURL(state.shown.src);
  const src = URL.createObjectURL(file);
  state.shown = isVideo ? el("video", { src, muted: true, playsInline: true }) : el("img", { src, alt: t("photo_alt") });
  if (isVideo) state.shown.setAttribute("aria-label", t("photo_alt"));
  state.shown.addEventListener("error", () => {
    state.shown = null;
    $("photo-shown").replaceChildren(el("p", { className: "muted" }, t("photo_unshown")));
    changed(state.sent);
  });
  $("photo-shown").replaceChildren(state.shown);
  $("photo-shown").hidden = false;
  const size = { width, height, time: clock(duration ?? 0) };
  $("photo-facts").textContent = t(isVideo ? "video_size" : "photo_size", size);
}

async function takePhoto() {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: 1920 }, height: { ideal: 1080 } } });
  } catch (error) {
    return alertLine(t("camera_none", { why: error.message }));
  }
  const [dialog, video] = [$("camera-dialog"), $("camera")];
  video.srcObject = stream;
  dialog.showModal();
  await video.play();
  $("camera-take").onclick = async () => {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d").drawImage(video, 0, 0);
    dialog.close();
    send(await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 }));
  };
  $("camera-cancel").onclick = () => dialog.close();
  dialog.addEventListener("close", () => stream.getTracks().forEach((track) => track.stop()), { once: true });
}
