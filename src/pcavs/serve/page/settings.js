// Settings as a file that can be shared: text, head motion, picture. Uploads and consent are not in it.

import { $, alertLine, saveText } from "./dom.js";
import { config, format, setLook } from "./look.js";
import { pose, poseHasUpload, setPose } from "./motion.js";
import { t } from "./text.js";
import { script, setText } from "./voice.js";

const FORMAT = "pcavs-settings-1";

/** Starts the buttons. */
export function startSettings() {
  $("settings-save").addEventListener("click", save);
  $("settings-load").addEventListener("click", () => $("settings-file").click());
  $("settings-file").addEventListener("change", async () => {
    const [file] = $("settings-file").files;
    $("settings-file").value = "";
    if (file) load(await file.text());
  });
}

/** Uses the settings of a film that the API returned, or of a file. */
export function useSettings({ script: said, pose: motion, config: look, format: kind }) {
  setLook(look ?? {}, kind);
  if (said?.type === "text") setText(said.input, said.voice ?? "en-us");
  setPose(motion);
}

function save() {
  const said = $("voice-tabs-text").getAttribute("aria-selected") === "true" ? { script: script() } : {};
  const motion = poseHasUpload() ? {} : { pose: pose() };
  saveText("pcavs-settings.json", JSON.stringify({ kind: FORMAT, ...said, ...motion, config: config(), format: format() }, null, 1));
}

function load(text) {
  try {
    const values = JSON.parse(text);
    if (values.kind !== FORMAT) throw new Error(`kind is not ${FORMAT}`);
    useSettings(values);
    alertLine(t("settings_loaded"), "note");
  } catch (error) {
    alertLine(t("settings_bad", { why: error.message }));
  }
}
