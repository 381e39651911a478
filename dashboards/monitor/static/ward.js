// The ward: a tile per patient, as many as fit the screen, and the keys to move among them.

import { h, setClass, setText } from "./dom.js";
import { Sweep } from "./sweep.js";
import { age, mark, remedy, rhythmWord, standing, time, alarmText, alarmState } from "./words.js";
import { now } from "./model.js";

export const PAGE = 64;
const TILE_SECONDS = 8;
const TILE_SHAPE = 2.9; // width to height that a trace of 8 s likes
const MIN_HEIGHT = 92, MAX_HEIGHT = 300, MIN_WIDTH = 300;

export class Ward {
  constructor(root, { model, open }) {
    this.model = model;
    this.open = open;
    this.grid = h("div", { class: "ward" });
    this.note = h("div", { class: "note" }, "Loading the ward …");
    root.replaceChildren(this.note, this.grid);
    this.tiles = new Map();
    this.resize = new ResizeObserver(() => this.#arrange());
    this.resize.observe(root);
    this.root = root;
  }

  close() { this.resize.disconnect(); }

  /** Show these patients, in this order; `note` explains an empty ward. */
  show(ids, note) {
    for (const [id, tile] of this.tiles) if (!ids.includes(id)) { tile.element.remove(); this.tiles.delete(id); }
    ids.forEach((id, k) => {
      if (!this.tiles.has(id)) this.tiles.set(id, new Tile(this.model.get(id), () => this.open(id)));
      const { element } = this.tiles.get(id);
      if (this.grid.children[k] !== element) this.grid.insertBefore(element, this.grid.children[k] ?? null);
    });
    this.ids = ids;
    this.note.hidden = ids.length > 0;
    if (!ids.length) this.note.replaceChildren(note);
    this.#arrange();
  }

  frame(at) { for (const tile of this.tiles.values()) tile.sweep.draw(at); }

  refresh(connected, today) { for (const tile of this.tiles.values()) tile.refresh(connected, today); }

  /** Arrows move, Home and End jump; Enter opens, as on any link. */
  key(event) {
    const tiles = [...this.grid.children];
    if (!tiles.length) return false;
    const at = tiles.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + this.columns, ArrowUp: at - this.columns, Home: 0, End: tiles.length - 1 }[event.key];
    if (to === undefined) return false;
    const target = at < 0 ? 0 : to;
    if (target >= 0 && target < tiles.length) tiles[target].focus();
    return true;
  }

  /** The number of columns that makes the tiles largest and still shows them all, if that leaves them readable. */
  #arrange() {
    const n = this.tiles.size;
    if (!n) return;
    const { clientWidth: width, clientHeight: height } = this.root;
    let best = { area: -1, columns: 1 };
    for (let columns = 1; columns <= n; columns++) {
      const w = width / columns, tall = height / Math.ceil(n / columns);
      if (columns > 1 && w < MIN_WIDTH && tall >= MIN_HEIGHT) break;
      const area = Math.min(w, tall * TILE_SHAPE) * Math.min(tall, w / TILE_SHAPE);
      if (area > best.area) best = { area, columns };
    }
    this.columns = width < 2 * MIN_WIDTH && n > 1 ? Math.max(1, Math.floor(width / MIN_WIDTH)) : best.columns;
    const rows = Math.ceil(n / this.columns);
    this.grid.style.setProperty("--columns", this.columns);
    this.grid.style.setProperty("--row", `${Math.max(MIN_HEIGHT, Math.min(MAX_HEIGHT, Math.floor(height / rows)))}px`);
    for (const tile of this.tiles.values()) tile.sweep.fit();
  }
}

class Tile {
  constructor(patient, open) {
    this.patient = patient;
    this.name = h("span", { class: "name", title: patient.id }, patient.id);
    this.alarm = h("span", { class: "alarm" });
    this.more = h("span", { class: "more" });
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.technical = h("div", { class: "technical" });
    this.rate = h("div", { class: "rate" });
    this.reason = h("div", { class: "reason" });
    this.rhythm = h("div", { class: "rhythm" });
    this.quality = h("div", { class: "quality" });
    this.element = h(
      "a", { class: "tile", href: `/patient?id=${encodeURIComponent(patient.id)}` },
      h("div", { class: "head" }, this.name, this.alarm, this.more),
      h("div", { class: "strip" }, this.canvas, this.technical),
      h("div", { class: "numbers" }, this.rate, this.reason, this.rhythm, this.quality),
    );
    this.element.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open();
    });
    this.sweep = new Sweep(this.canvas, patient, { rows: 1, seconds: TILE_SECONDS, letters: false });
  }

  refresh(connected, today) {
    const { patient } = this;
    const dead = !connected || patient.stale || patient.ended;
    const { arrhythmia, technical } = standing(patient.alarms.values(), now());
    setClass(this.element, "dead", dead);
    this.#alarm(arrhythmia);
    setText(this.technical, technicalText(patient, technical, connected));
    const { text, reason } = patient.heartRate(connected);
    setText(this.rate, text);
    setText(this.reason, reason === "no data" ? `no data ${age(patient.age)}` : reason);
    setText(this.rhythm, dead || !patient.rhythm ? "--" : rhythmWord(patient.rhythm.label));
    this.rhythm.dataset.label = dead || !patient.rhythm ? "" : patient.rhythm.label;
    setText(this.quality, dead || !patient.vitals ? "" : quality(patient.vitals.quality, patient.age));
  }

  #alarm(alarms) {
    const [worst] = alarms;
    const head = this.alarm.parentElement;
    const level = worst ? worst.priority : "";
    if (head.dataset.level !== level) head.dataset.level = level;
    const state = worst ? alarmState(worst, now()) : "";
    if (head.dataset.state !== state) {
      head.dataset.state = state;
      inStep(head);
    }
    setText(this.alarm, worst ? alarmLine(worst, state) : "");
    setText(this.more, alarms.length > 1 ? `+${alarms.length - 1}` : "");
  }
}

/** Everything that flashes does so together: one pulse on the ward, not many. */
function inStep(element) {
  for (const animation of element.getAnimations()) animation.startTime = 0;
}

export function alarmLine(alarm, state) {
  const text = `${mark(alarm)} ${alarmText(alarm)}`;
  if (state === "holds") return text;
  return alarm.end === null ? `${text} · over` : `${text} · over ${time(alarm.end)}`;
}

export function technicalText(patient, technical, connected) {
  if (!connected || patient.ended) return "";
  if (technical.length) return remedy(technical[0]) + (technical.length > 1 ? ` +${technical.length - 1}` : "");
  if (patient.leadOff && !patient.stale) return remedy({ kind: "lead_off" });
  return "";
}

/** In words, with the age of the data when it is over a second. */
export function quality(share, dataAge) {
  const word = share >= 0.9 ? "good" : share >= 0.5 ? "fair" : "poor";
  return `signal ${word}${dataAge > 1.5 ? ` · ${dataAge.toFixed(0)} s old` : ""}`;
}
