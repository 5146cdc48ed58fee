// What is said: a text, a file, or a recording.

import { call, upload } from "./api.js";
import { $, alertLine, fileTarget, options, tabs } from "./dom.js";
import { tooLarge } from "./limits.js";
import { startRecording } from "./record.js";
import { clock, duration, t } from "./text.js";

const LANGUAGES = (
  "en-us en-gb af am ar bg bn bs ca cs cy da de el eo es es-419 et eu fa fi fr-fr ga gu hi hr hu hy id is it ja ka kn ko " +
  "lt lv mk ml mr ms mt my nb ne nl pa pl pt pt-br ro ru sk sl sq sr sv sw ta te tr uk ur vi cmn"
).split(" ");
/** Languages of eSpeak NG; the browser knows their names. */
const SPEAKERS = ["", "+m3", "+m7", "+f2", "+f4"];
/** Its variants that differ most. */
const WORDS_PER_S = 160 / 60;
const state = { mode: "text", audio: null, busy: false };
let about = null;
let chooseTab = () => {};
let changed = () => {};

/** Starts the card; `onchange` is called when what is said changes. */
export function startVoice(facts, onchange) {
  about = facts;
  fillVoices();
  chooseTab = tabs($("voice-tabs"), state.mode, (name) => {
    state.mode = name;
    $("audio-shown").hidden = name === "text" || !state.audio;
    changed();
  });
  changed = onchange;
  $("text").maxLength = about.max_characters;
  $("text").addEventListener("input", showCount);
  fileTarget($("audio-drop"), $("audio-choose"), $("audio-file"), send);
  startRecording(send);
  showCount();
}

/** Returns what is missing, as the name of a string, or null. */
export function voiceMissing() {
  if (state.mode === "text") return $("text").value.trim() ? null : "missing_text";
  if (state.busy) return "missing_upload";
  return state.audio ? null : "missing_audio";
}

/** Returns what is said as the API takes it. */
export function script() {
  if (state.mode === "text") return { type: "text", input: $("text").value.trim(), voice: $("language").value + $("speaker").value };
  return { type: "audio", audio_url: state.audio.id };
}

/** Returns the length of what is said in seconds, about; 0 if nothing is. */
export function speechSeconds() {
  if (state.mode !== "text") return state.audio?.duration ?? 0;
  return $("text").value.trim().split(/\s+/).filter(Boolean).length / WORDS_PER_S;
}

/** Sets a text and its voice. */
export function setText(input, voice) {
  const [language, variant] = voice.split("+");
  if (!LANGUAGES.includes(language)) $("language").append(new Option(language, language));
  $("language").value = language;
  const speaker = variant ? `+${variant}` : "";
  if (![...$("speaker").options].some((each) => each.value === speaker)) $("speaker").append(new Option(variant, speaker));
  $("speaker").value = speaker;
  $("text").value = input;
  chooseTab("text");
  showCount();
}

function fillVoices() {
  const names = new Intl.DisplayNames(document.documentElement.lang, { type: "language" });
  const pairs = LANGUAGES.map((code) => [code, names.of(code)]).sort((first, second) => first[1].localeCompare(second[1]));
  const own = navigator.language.toLowerCase();
  const chosen = [own, own.split("-")[0]].find((code) => LANGUAGES.includes(code)) ?? "en-us";
  options($("language"), pairs, chosen);
  const speaker = (name, number) => {
    if (!name) return t("speaker_plain");
    return t(name[1] === "m" ? "speaker_male" : "speaker_female", { number: ((number - 1) % 2) + 1 });
  };
  options($("speaker"), SPEAKERS.map((name, number) => [name, speaker(name, number)]));
}

function showCount() {
  const count = $("text").value.length;
  const time = duration(speechSeconds());
  $("text-count").textContent = count ? t("text_count", { count, most: about.max_characters, time }) : "";
  changed();
}

async function send(file) {
  if (tooLarge(file, about)) return;
  state.busy = true;
  $("audio-progress").hidden = false;
  changed();
  try {
    const old = state.audio;
    state.audio = await upload("audios", file, (share) => ($("audio-progress").value = share));
    if (old) call("DELETE", old.url).catch(() => {});
    URL.revokeObjectURL($("audio-player").src);
    $("audio-player").src = URL.createObjectURL(file);
    $("audio-facts").textContent = t("audio_facts", { time: clock(state.audio.duration) });
    $("audio-shown").hidden = state.mode === "text";
  } catch (error) {
    alertLine(error.message);
  } finally {
    state.busy = false;
    $("audio-progress").hidden = true;
    changed();
  }
}
