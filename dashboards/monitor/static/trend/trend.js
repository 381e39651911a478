// The last hours at a glance: heart rate with its limits, RR intervals, the rhythm's band and the alarms, on one axis of time with one cursor.

import { rhythmWord, time } from "../alarms/words.js";
import { h, setAttribute, setText } from "../core/dom.js";
import { keep, prefs } from "../core/prefs.js";
import { colour, onTheme } from "../core/theme.js";
import { ofMoment } from "../patient/journal.js";
import { fitCanvas } from "../trace/plot.js";
import { TrendData } from "./trenddata.js";
import { BAND, drawTrend, plotBox } from "./trendplot.js";

const MINUTE = 60_000,
  HOUR = 60 * MINUTE;
const RANGES = [
  [10 * MINUTE, "10 min"],
  [HOUR, "1 h"],
  [6 * HOUR, "6 h"],
  [24 * HOUR, "24 h"],
];
const AUTO = [10, 20, 30, 60, 90, 120, 180, 360].map((minutes) => minutes * MINUTE);
const PAINT_MS = 2000,
  READ_MS = 30_000;
const NEAR_MS = 3 * MINUTE; // a heart rate this near to the cursor is shown

export class Trend {
  /** `limits` gives {low, high} of the heart rate or null; `go` is called with a time that somebody has chosen, `pointed` with the time under
   * the pointer or null. */
  constructor(patient, tape, { limits, go, pointed }) {
    Object.assign(this, { patient, limits, go, pointed });
    this.data = new TrendData(patient, tape);
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.over = h("canvas", { class: "over", "aria-hidden": "true" });
    this.told = h("output", { class: "told" });
    this.plot = h(
      "div",
      {
        class: "trend",
        tabindex: 0,
        role: "slider",
        "aria-label":
          "Heart rate, RR intervals, rhythm and alarms of the last hours. Arrows move the cursor, Enter shows that time.",
        "aria-valuenow": 0,
      },
      this.canvas,
      this.over,
      this.told,
    );
    this.buttons = RANGES.map(([span, text]) =>
      h(
        "button",
        { title: `The last ${text}`, onclick: () => this.choose(span), "data-span": span },
        text,
      ),
    );
    this.ranges = h(
      "div",
      { class: "group ranges", role: "group", "aria-label": "Trend of the last" },
      ...this.buttons,
    );
    const lower = (name, text) =>
      h(
        "button",
        {
          title: `${text} beneath the trace (e)`,
          onclick: () => keep("lower", name),
          "data-lower": name,
        },
        text,
      );
    this.choice = h(
      "div",
      { class: "group lower-choice", role: "group", "aria-label": "Beneath the trace" },
      lower("trend", "Trend"),
      lower("beats", "Beats"),
      lower("measures", "Measures"),
    );
    this.element = h(
      "div",
      { class: "trend-box" },
      h("div", { class: "trend-bar" }, this.choice, this.ranges),
      this.plot,
    );
    this.paintedAt = this.readAt = -Infinity;
    this.window = this.at = null;
    this.#listen();
    this.resize = new ResizeObserver(() => this.#fit());
    this.resize.observe(this.plot);
    this.offTheme = onTheme(() => this.#paint());
  }

  close() {
    this.resize.disconnect();
    this.offTheme();
    this.data.closed = true;
  }

  choose(span) {
    keep("trend", span);
    this.readAt = -Infinity;
    this.#paint();
  }

  /** The time of the first data, null if it lies before what was read, or nothing was read yet. */
  get begin() {
    const { t, mean } = this.data.hr,
      first = mean.findIndex((value) => value !== null);
    return first > 0 ? t[first] - MINUTE : null; // a rate is known some seconds after its signal
  }

  /** The time that the trend spans, ms: what a person has chosen, else the smallest that holds all known data. */
  get span() {
    if (this.whole) return this.whole.to - this.whole.from; // a record under view
    if (prefs.trend) return prefs.trend;
    const { newest, first } = this.data;
    return AUTO.find((span) => newest - first <= span) ?? AUTO.at(-1);
  }

  /** The shown period; it ends now. */
  get range() {
    if (this.whole) return this.whole;
    const to = this.data.newest;
    return { from: to - this.span, to };
  }

  /** Called a few times a second; `window` {from, to} is the period that the chart shows, or null while it is live. */
  refresh(window) {
    const now = performance.now(),
      moved = JSON.stringify(window) !== JSON.stringify(this.window);
    this.window = window;
    this.data.live();
    for (const button of this.choice.children)
      setAttribute(button, "aria-pressed", String(button.dataset.lower === prefs.lower));
    if (this.patient.known && now - this.readAt > READ_MS) {
      this.readAt = now;
      this.data.read(this.whole ? this.span : prefs.trend || AUTO.at(-1), () => this.#paint());
    }
    if (now - this.paintedAt > PAINT_MS) this.#paint();
    else if (moved) this.#overlay();
  }

  #fit() {
    fitCanvas(this.canvas);
    fitCanvas(this.over);
    this.#paint();
  }

  get #box() {
    return plotBox(this.plot.clientWidth, this.plot.clientHeight);
  }

  #paint() {
    if (!this.canvas.width || this.data.closed) return;
    this.paintedAt = performance.now();
    const { span } = this;
    for (const button of this.buttons)
      button.setAttribute("aria-pressed", String(Number(button.dataset.span) === span));
    const context = this.#clear(this.canvas);
    drawTrend(context, this.#box, {
      data: this.data,
      range: this.range,
      limits: this.limits(),
      alarms: this.patient.alarms.values(),
      said: [...this.patient.journal.values()].filter(ofMoment),
    });
    this.#overlay();
  }

  #clear(canvas) {
    const ratio = window.devicePixelRatio || 1,
      context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    return context;
  }

  /** Draw the chart's period and the cursor. */
  #overlay() {
    const context = this.#clear(this.over),
      box = this.#box,
      { from, to } = this.range;
    const x = (t) => box.x + (Math.max(0, Math.min(to, t) - from) / (to - from)) * box.width;
    if (this.window && this.window.to > from) {
      context.strokeStyle = colour("text");
      context.strokeRect(
        x(this.window.from) - 0.5,
        box.y - 0.5,
        Math.max(2, x(this.window.to) - x(this.window.from)),
        box.height + BAND + 2,
      );
    }
    if (this.at === null) {
      setText(this.told, "");
      return;
    }
    context.fillStyle = colour("text");
    context.fillRect(Math.round(x(this.at)), box.y - 6, 1, box.height + BAND + 8);
    setText(this.told, this.#words(this.at));
    this.plot.setAttribute("aria-valuetext", this.told.textContent);
  }

  #words(at) {
    const { hr, episodes } = this.data,
      near = nearest(hr.t, at),
      rate = near < 0 ? null : hr.mean[near];
    const episode = episodes.findLast((e) => e.start <= at && e.end >= at);
    return [
      time(at),
      `HR ${rate === null || rate === undefined ? "--" : Math.round(rate)}`,
      episode ? rhythmWord(episode.label) : "",
    ]
      .filter(Boolean)
      .join("   ");
  }

  #point(at) {
    this.at = at;
    this.#overlay();
    this.pointed(at);
  }

  #listen() {
    const { plot } = this;
    const at = (event) => {
      const box = this.#box,
        { from, to } = this.range,
        share = (event.clientX - plot.getBoundingClientRect().left - box.x) / box.width;
      return from + Math.max(0, Math.min(1, share)) * (to - from);
    };
    plot.addEventListener("pointermove", (event) => this.#point(at(event)));
    for (const name of ["pointerleave", "blur"])
      plot.addEventListener(name, () => this.#point(null));
    plot.addEventListener("click", (event) => this.go(at(event)));
    plot.addEventListener("keydown", (event) => {
      const { from, to } = this.range,
        step = (to - from) / (event.shiftKey ? 20 : 200);
      const move = { ArrowLeft: -step, ArrowRight: step }[event.key];
      if (move) this.#point(Math.max(from, Math.min(to, (this.at ?? to) + move)));
      else if (event.key === "Enter" && this.at !== null) this.go(this.at);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }
}

function nearest(sorted, t) {
  let low = 0,
    high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < t) low = middle + 1;
    else high = middle;
  }
  return high >= 0 && Math.abs(sorted[low] - t) < NEAR_MS ? low : -1;
}
