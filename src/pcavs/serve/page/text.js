// Strings of the page. A translation is a further file in strings/, named in LANGUAGES.

const LANGUAGES = ["en"];
let strings = {};

/** Loads the strings in the browser's language and puts them into the page. */
export async function loadText() {
  const wanted = navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => LANGUAGES.includes(tag)) ?? "en";
  const answer = await fetch(new URL(`strings/${wanted}.json`, import.meta.url));
  strings = await answer.json();
  document.documentElement.lang = wanted;
  fillText(document);
}

/** Returns a string, with {names} replaced by values. A string that is missing is its name. */
export function t(name, values = {}) {
  return (strings[name] ?? name).replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

/** Tells whether there is a string of this name. */
export function hasText(name) {
  return name in strings;
}

/** Puts the strings into all elements below `root` that name one. */
function fillText(root) {
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
  for (const node of root.querySelectorAll("[data-t-placeholder]")) node.placeholder = t(node.dataset.tPlaceholder);
}

/** Returns seconds as m:ss. */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Returns seconds in words of the language, such as 12 sec or 3 min. */
export function duration(seconds) {
  const [value, unit] = seconds < 90 ? [Math.max(1, Math.round(seconds)), "second"] : [Math.round(seconds / 60), "minute"];
  return new Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit, unitDisplay: "short" }).format(value);
}

/** Returns a moment as day and time. */
export function moment(iso) {
  return new Date(iso).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
}
