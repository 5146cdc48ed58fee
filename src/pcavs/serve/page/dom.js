// Small helpers for elements: find, make, tabs, files, alerts, questions.

import { t } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";

/** Returns the element with an id. */
export const $ = (id) => document.getElementById(id);

/** Makes an element; properties starting with "on" are listeners, unknown ones attributes. */
export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Makes an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && !(node instanceof SVGElement)) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Makes an icon of icons.svg. */
export function icon(name) {
  return svg("svg", { "aria-hidden": "true" }, svg("use", { href: `page/icons.svg#${name}` }));
}

/** Makes a button with an icon and a text. */
export function iconButton(name, text, onclick, kind = "plain") {
  return el("button", { type: "button", className: kind, onclick }, icon(name), el("span", {}, text));
}

/** Makes a choice of options, [value, text] each. */
export function options(select, pairs, value) {
  select.replaceChildren(...pairs.map(([name, text]) => el("option", { value: name }, text)));
  if (value !== undefined) select.value = value;
}

/**
 * Joins a list of tabs to their panels (arrow keys move between tabs).
 * Returns a function that chooses a tab by name.
 */
export function tabs(list, chosen, onchange) {
  const buttons = [...list.querySelectorAll("[role=tab]")];
  const panelOf = (button) => list.parentElement.querySelector(`[data-panel="${button.dataset.tab}"]`);
  for (const button of buttons) {
    const panel = panelOf(button);
    button.type = "button";
    button.id = `${list.id}-${button.dataset.tab}`;
    panel.id = `${button.id}-panel`;
    panel.setAttribute("aria-labelledby", button.id);
    button.setAttribute("aria-controls", panel.id);
    button.addEventListener("click", () => choose(button.dataset.tab));
  }
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = buttons.indexOf(document.activeElement);
    const next = buttons[(at + step + buttons.length) % buttons.length];
    choose(next.dataset.tab);
    next.focus();
  });
  function choose(name) {
    for (const button of buttons) {
      const is = button.dataset.tab === name;
      button.setAttribute("aria-selected", String(is));
      button.tabIndex = is ? 0 : -1;
      panelOf(button).hidden = !is;
    }
    onchange(name);
  }
  choose(chosen);
  return choose;
}

/** Lets files be dropped on an element and chosen by a button. */
export function fileTarget(area, button, input, onfile) {
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files.length) onfile(input.files[0]);
    input.value = "";
  });
  for (const name of ["dragenter", "dragover"]) {
    area.addEventListener(name, (event) => {
      event.preventDefault();
      area.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) area.addEventListener(name, () => area.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) onfile(event.dataTransfer.files[0]);
  });
}

/** Shows a line at the top until it is dismissed; `kind` is "error" or "note". The same line is shown once. */
export function alertLine(text, kind = "error") {
  const shown = [...$("alerts").children].find((node) => node.firstChild.textContent === text);
  shown?.remove();
  const line = el("div", { className: `alert ${kind}` }, el("span", {}, text));
  line.append(el("button", { type: "button", className: "plain small", onclick: () => line.remove() }, t("dismiss")));
  $("alerts").append(line);
  if (kind === "note") setTimeout(() => line.remove(), 5000);
}

/** Asks a question; resolves to whether it was answered with yes. */
export function confirmed(text) {
  const dialog = $("confirm-dialog");
  $("confirm-text").textContent = text;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

/** Offers a text as a file to download. */
export function saveText(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
