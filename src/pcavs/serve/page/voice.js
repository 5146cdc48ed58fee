// What is said: a text, a file, or a recording.

import { call, file as fileAt, upload } from "./api.js";
import { $, alertLine, fileTarget, options, tabs } from "./dom.js";
import { tooLarge } from "./limits.js";
import { startRecording } from "./record.js";
import { clock, duration, t } from "./text.js";

const LANGUAGES = (
  "en-us en-gb af am ar bg bn bs ca cs cy da de el eo es es-419 et eu fa fi fr-fr ga gu hi hr hu hy id is it ja ka kn ko " +
  "lt lv mk ml mr ms mt my nb ne nl pa pl pt pt-br ro ru sk sl sq sr sv sw ta te tr uk ur vi cmn"
).split(" ");
/** The languages of eSpeak NG that are offered; the browser knows their names. */
const SPEAKERS = ["", "+m3", "+m7", "+f2", "+f4"];
/** Its variants that differ most. */
const WORDS_PER_S = 160 / 60;
const HEARD_CHARACTERS = 400;
/** Longest text that "Listen" speaks: natural voices take about as long as the speech. */
const state = { mode: "text", audio: null, sound: null, heard: false, busy: false };
let about = null;
let natural = [];
/** The natural voices of the service. */
let chooseTab = () => {};
let changed = () => {};

/** Starts the card; `onchange` is called when what is said changes. */
export function startVoice(facts, voices, onchange) {
  about = facts;
  natural = voices.natural;
  fillVoices();
  chooseTab = tabs($("voice-tabs"), state.mode, (name) => {
    state.mode = name;
    showPlayer();
    changed();
  });
  changed = onchange;
  $("text").maxLength = about.max_characters;
  $("text").addEventListener("input", showCount);
  $("text").title = t("text_pauses");
  $("language").addEventListener("change", () => fillSpeakers());
  $("listen").addEventListener("click", listen);
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
  if (state.mode === "text") return { type: "text", input: $("text").value.trim(), voice: $("speaker").value };
  return { type: "audio", audio_url: state.audio.id };
}

/** Returns the length of what is said in seconds, about; 0 if nothing is. */
export function speechSeconds() {
  if (state.mode !== "text") return state.audio?.duration ?? 0;
  return $("text").value.trim().split(/\s+/).filter(Boolean).length / WORDS_PER_S;
}

/** Sets a text and its voice. */
export function setText(input, voice) {
  const own = natural.find((each) => each.name === voice);
  const language = own ? codeOf(own.language) : voice.replace(/^espeak:/, "").split("+")[0];
  if (![...$("language").options].some((each) => each.value === language)) $("language").append(new Option(language, language));
  $("language").value = language;
  fillSpeakers(voice);
  $("text").value = input;
  chooseTab("text");
  showCount();
}

function fillVoices() {
  const names = new Intl.DisplayNames(document.documentElement.lang, { type: "language" });
  const codes = [...new Set([...LANGUAGES, ...natural.map((voice) => codeOf(voice.language))])];
  const pairs = codes.map((code) => [code, names.of(code)]).sort((first, second) => first[1].localeCompare(second[1]));
  const own = navigator.language.toLowerCase();
  const chosen = [own, own.split("-")[0]].find((code) => codes.includes(code)) ?? "en-us";
  options($("language"), pairs, chosen);
  fillSpeakers();
}

/** Returns the offered language that a natural voice speaks: its own, or the one that it is a variety of. */
function codeOf(language) {
  return LANGUAGES.find((code) => code === language) ?? LANGUAGES.find((code) => code.startsWith(`${language}-`)) ??
    LANGUAGES.find((code) => language.startsWith(`${code}-`)) ?? language;
}

/** Fills the speakers of the chosen language: natural voices first, then eSpeak NG and its variants. */
function fillSpeakers(chosen) {
  const language = $("language").value;
  const own = natural.filter((voice) => codeOf(voice.language) === language);
  const name = (variant, number) => {
    if (!variant) return t("speaker_plain");
    return t(variant[1] === "m" ? "speaker_male" : "speaker_female", { number: ((number - 1) % 2) + 1 });
  };
  const plain = own.length ? `espeak:${language}` : language;
  const pairs = [
    ...own.map((voice) => [voice.name, t("speaker_natural", { name: voice.name })]),
    ...SPEAKERS.map((variant, number) => [variant ? language + variant : plain, name(variant, number)]),
  ];
  if (chosen && chosen === language && own.length) chosen = own[0].name;
  if (chosen && !pairs.some((pair) => pair[0] === chosen)) pairs.push([chosen, chosen]);
  options($("speaker"), pairs, chosen ?? pairs[0][0]);
}

/** Speaks the text, or its beginning, and plays it. */
async function listen() {
  const whole = $("text").value.trim();
  if (!whole) return;
  const text = whole.length > HEARD_CHARACTERS ? whole.slice(0, HEARD_CHARACTERS).replace(/\S*$/, "") : whole;
  $("listen").disabled = true;
  $("audio-progress").removeAttribute("value");
  $("audio-progress").hidden = false;
  try {
    const spoken = await call("POST", "speech", { text, voice: $("speaker").value });
    const sound = await fileAt(`audios/${spoken.id}/sound`);
    call("DELETE", spoken.url).catch(() => {});
    play(sound, text.length < whole.length ? t("listen_part") : t("audio_facts", { time: clock(spoken.duration) }));
    state.heard = true;
    showPlayer();
    await $("audio-player").play().catch(() => {});
  } catch (error) {
    alertLine(error.message);
  } finally {
    $("listen").disabled = false;
    $("audio-progress").hidden = true;
  }
}

function play(sound, facts) {
  URL.revokeObjectURL($("audio-player").src);
  $("audio-player").src = URL.createObjectURL(sound);
  $("audio-facts").textContent = facts;
}

/** Shows the player where there is something to hear: an upload or recording, or the text that was spoken last. */
function showPlayer() {
  if (state.mode === "text") {
    $("audio-shown").hidden = !state.heard;
    return;
  }
  if (state.heard && state.sound) play(state.sound, t("audio_facts", { time: clock(state.audio.duration) }));
  state.heard = false;
  $("audio-shown").hidden = !state.audio;
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
    state.sound = file;
    state.heard = false;
    play(file, t("audio_facts", { time: clock(state.audio.duration) }));
    showPlayer();
  } catch (error) {
    alertLine(error.message);
  } finally {
    state.busy = false;
    $("audio-progress").hidden = true;
    changed();
  }
}
