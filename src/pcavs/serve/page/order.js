// Puts the order together, with the consent record, and says what is missing.

import { $, options } from "./dom.js";
import { config, format } from "./look.js";
import { motion, motionMissing } from "./motion.js";
import { photo, photoMissing } from "./photo.js";
import { t } from "./text.js";
import { script, voiceMissing } from "./voice.js";

const RELATIONS = ["self", "other", "nobody"];

/** Starts the fields of the consent. */
export function startOrder() {
  options($("consent-relation"), RELATIONS.map((name) => [name, t(`consent_${name}`)]));
  for (const id of ["consent", "consent-relation", "consent-name"]) $(id).addEventListener("input", () => showMissing(false));
}

/** Returns the first thing that is missing, as the name of a string, or null. */
function missing() {
  return photoMissing() ?? voiceMissing() ?? motionMissing() ?? consentMissing();
}

function consentMissing() {
  if (!$("consent").checked) return "missing_consent";
  return $("consent-relation").value !== "nobody" && !$("consent-name").value.trim() ? "missing_name" : null;
}

/** Shows what is missing, or clears the line; returns whether nothing is. With `all` false only a shown line changes. */
export function showMissing(all = true) {
  const name = missing();
  if (all || $("missing").textContent) $("missing").textContent = name ? t(name) : "";
  return name === null;
}

/** Returns the order as the API takes it. */
export function order(isPreview) {
  return {
    source_url: photo(),
    script: script(),
    ...motion(),
    config: config(),
    format: format(),
    preview: isPreview,
    consent: consentRecord(),
    name: $("name").value.trim() || null,
  };
}

function consentRecord() {
  return {
    statement: t("consent_text"),
    photo_shows: $("consent-relation").value,
    given_by: $("consent-name").value.trim(),
    confirmed_at: new Date().toISOString(),
  };
}
