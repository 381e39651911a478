// Light or dark, and the colours of the style sheet for canvases.

import { onChange, prefs } from "./prefs.js";

const known = new Map();
const listeners = new Set();

/** The colour of a variable of the style sheet in the current theme, for a canvas. */
export function colour(name) {
  let found = known.get(name);
  if (found === undefined) {
    const probe = document.createElement("span");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    found = getComputedStyle(probe).color;
    probe.remove();
    known.set(name, found);
  }
  return found;
}

/** Call a function whenever everything must be drawn again; returns a function that stops this. */
export function onTheme(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function apply() {
  const root = document.documentElement;
  if (prefs.theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = prefs.theme;
  known.clear();
  for (const listener of listeners) listener();
}

/** Draw something in the colours of the day, whatever the theme is: for paper. */
export function byDay(draw) {
  const root = document.documentElement,
    { theme } = root.dataset;
  root.dataset.theme = "light";
  known.clear();
  draw();
  if (theme === undefined) delete root.dataset.theme;
  else root.dataset.theme = theme;
  known.clear();
}

onChange("theme", apply);
onChange("clock", apply); // canvases hold times
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
apply();
