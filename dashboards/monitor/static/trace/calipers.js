// Calipers on a still trace: two lines in time and two in voltage, set by dragging over the paper or moved by keys; they show ms, bpm and mV.

import { h, setText } from "../core/dom.js";
import { prefs } from "../core/prefs.js";

const SNAP_PX = 7; // near a beat's mark a line jumps to it
const STEP_MS = 4,
  BIG_MS = 40,
  STEP_MV = 0.02;

export class Calipers {
  constructor(chart) {
    this.chart = chart;
    this.open = this.dragging = false;
    this.lines = [this.#line("First line", 0), this.#line("Second line", 1)];
    this.levels = [h("div", { class: "caliper level" }), h("div", { class: "caliper level" })];
    this.reading = h("output", { class: "reading", "aria-live": "polite" });
    this.element = h(
      "div",
      { class: "calipers", hidden: true },
      ...this.levels,
      ...this.lines,
      this.reading,
    );
    chart.rows.append(this.element);
  }

  toggle() {
    if (this.open) return this.close();
    const { chart } = this;
    if (chart.live && !chart.pause()) return;
    this.open = true;
    const { from, to } = chart.shown,
      beats = chart.tape.knownBeats(from, to).slice(-2);
    const [a, b] =
      beats.length === 2 &&
      chart.still.placeOf(beats[0].t).row === chart.still.placeOf(beats[1].t).row
        ? beats.map((beat) => beat.t)
        : [from + (to - from) * 0.05, from + (to - from) * 0.1];
    this.t = [a, b];
    const row = Math.max(0, chart.still.placeOf(a).row),
      middle = (row + 0.6) * chart.still.rowHeight;
    this.y = [middle, middle - chart.mm * prefs.gain];
    this.place();
    this.lines[1].focus();
  }

  /** Close if the trace that they measure is shown no longer. */
  leave({ from, to }) {
    if (this.open && this.t.every((t) => t < from || t >= to)) this.close();
  }

  close() {
    this.open = this.dragging = false;
    this.element.hidden = true;
  }

  start(event) {
    const { t, y } = this.#under(event);
    this.t = [t, t];
    this.y = [y, y];
    this.dragging = true;
    this.place();
  }

  drag(event) {
    const { t, y } = this.#under(event);
    this.t[1] = t;
    this.y[1] = y;
    this.place();
  }

  stop() {
    this.dragging = false;
  }

  /** {ms, bpm, mv} between the lines. */
  get measured() {
    const ms = Math.abs(this.t[1] - this.t[0]);
    return {
      ms,
      bpm: ms ? 60_000 / ms : Infinity,
      mv: (this.y[0] - this.y[1]) / (this.chart.mm * prefs.gain),
    };
  }

  /** Place the lines at their times. */
  place() {
    this.element.hidden = !this.open || this.chart.live;
    if (this.element.hidden) return;
    const { chart } = this,
      { row } = chart.still.placeOf(this.t[0]),
      top = Math.max(0, row) * chart.still.rowHeight;
    this.lines.forEach((line, k) => {
      const place = chart.still.placeOf(this.t[k]);
      line.hidden = place.row < 0;
      line.style.left = `${place.x}px`;
      line.style.top = `${Math.max(0, place.row) * chart.still.rowHeight}px`;
      line.style.height = `${chart.still.rowHeight}px`;
      line.setAttribute("aria-valuetext", new Date(this.t[k]).toISOString().slice(11, 23));
      line.setAttribute("aria-valuenow", String(Math.round(this.t[k])));
    });
    this.levels.forEach((level, k) => {
      level.style.top = `${this.y[k]}px`;
    });
    const { ms, bpm, mv } = this.measured;
    setText(
      this.reading,
      `${ms.toFixed(0)} ms · ${Number.isFinite(bpm) ? bpm.toFixed(1) : "--"} bpm · ${mv.toFixed(2)} mV`,
    );
    const left = Math.min(...this.t.map((t) => chart.still.placeOf(t).x));
    this.reading.style.left = `${Math.max(0, Math.min(left, chart.still.width - this.reading.offsetWidth))}px`;
    this.reading.style.top = `${Math.max(0, top + chart.still.rowHeight - 30)}px`;
  }

  #line(label, k) {
    const line = h("button", {
      class: "caliper time",
      type: "button",
      role: "slider",
      "aria-label": label,
      "aria-orientation": "horizontal",
      title: "← → 4 ms, with Shift 40 ms; ↑ ↓ 0.02 mV",
    });
    line.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? BIG_MS : STEP_MS,
        move = { ArrowLeft: -step, ArrowRight: step }[event.key],
        lift = { ArrowUp: STEP_MV, ArrowDown: -STEP_MV }[event.key];
      if (move === undefined && lift === undefined) return;
      if (move) this.t[k] += move;
      if (lift) this.y[k] -= lift * this.chart.mm * prefs.gain;
      this.place();
      event.preventDefault();
      event.stopPropagation();
    });
    line.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      line.setPointerCapture(event.pointerId);
      const move = (moved) => {
        this.t[k] = this.#under(moved).t;
        this.place();
      };
      line.addEventListener("pointermove", move);
      line.addEventListener("pointerup", () => line.removeEventListener("pointermove", move), {
        once: true,
      });
    });
    return line;
  }

  /** Time and height under the pointer; near a beat, the beat's time. */
  #under(event) {
    const { chart } = this,
      box = chart.rows.getBoundingClientRect();
    const x = event.clientX - box.left,
      y = event.clientY - box.top,
      { t, row } = chart.still.at(x, y);
    const near =
      (SNAP_PX * (chart.still.at(chart.still.width, y).t - chart.still.at(0, y).t)) /
      chart.still.width; // ms
    let best = t,
      least = event.altKey ? 0 : near;
    for (const beat of chart.tape.knownBeats(t - near, t + near)) {
      if (chart.still.placeOf(beat.t).row === row && Math.abs(beat.t - t) < least) {
        best = beat.t;
        least = Math.abs(beat.t - t);
      }
    }
    return { t: best, y };
  }
}
