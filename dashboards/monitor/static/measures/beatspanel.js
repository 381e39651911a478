// Beats at a glance: the average beat of each shape laid over each other, the Poincaré plot and the histogram of the RR intervals.

import { BEATS } from "../alarms/words.js";
import { h } from "../core/dom.js";
import { colour, onTheme } from "../core/theme.js";
import { grid, PlotFrame, steps } from "./plotframe.js";
import { AFTER_S, BEFORE_S, Templates } from "./templates.js";

const PAINT_MS = 5000;
const BIN_MS = 20;
const NEXT_MS = 60; // tolerance within which two intervals follow each other

export class BeatsPanel {
  /** `trend` has the data and the shown period. */
  constructor(patient, trend) {
    Object.assign(this, { trend, templates: new Templates(patient) });
    this.paintedAt = -Infinity;
    this.plots = ["Average beat, mV", "Poincaré, s", "RR histogram, s"].map(
      (name) => new PlotFrame(name),
    );
    this.element = h(
      "section",
      { class: "beats-panel", "aria-label": "Beats" },
      ...this.plots.map(({ element }) => element),
    );
    this.resize = new ResizeObserver(() => this.#paint());
    this.resize.observe(this.element);
    this.offTheme = onTheme(() => this.#paint());
  }

  close() {
    this.resize.disconnect();
    this.offTheme();
  }

  refresh() {
    this.templates.update();
    if (performance.now() - this.paintedAt > PAINT_MS) this.#paint();
  }

  #paint() {
    if (!this.element.clientWidth) return; // hidden
    this.paintedAt = performance.now();
    const [beat, poincare, histogram] = this.plots,
      intervals = consecutive(this.trend.data, this.trend.range);
    this.#average(beat);
    this.#poincare(poincare, intervals);
    this.#histogram(histogram, intervals);
  }

  #average(plot) {
    const { all, fs } = this.templates;
    const shown = [...all].filter(({ count }) => count > 1 || all.length < 3);
    plot.say(
      shown.length
        ? shown.map(({ label, count }) => `${label} ${count}`).join(" · ")
        : "no beats yet",
      shown.map(({ label, count }) => `${BEATS[label]}, ${count} beats`).join("; ") || "none yet",
    );
    const { context, box } = plot.begin();
    if (!shown.length) return;
    const values = shown.flatMap(({ mean }) => [...mean]),
      low = Math.min(...values, -0.5),
      high = Math.max(...values, 1);
    const x = (s) => box.x + ((s + BEFORE_S) / (BEFORE_S + AFTER_S)) * box.width,
      y = (mv) => box.y + ((high - mv) / (high - low)) * box.height;
    grid(context, box, {
      x: [-0.2, 0, 0.2, 0.4].map((s) => [x(s), `${Math.round(s * 1000)}`]),
      y: steps(low, high, 0.5).map((mv) => [y(mv), String(mv)]),
    });
    for (const { label, count, mean } of shown.reverse()) {
      context.strokeStyle = colour(label === "N" ? "trace" : `beat-${label === "F" ? "V" : label}`);
      context.lineWidth = count > 5 ? 2 : 1;
      context.beginPath();
      for (const [k, mv] of mean.entries()) context.lineTo(x(k / fs - BEFORE_S), y(mv));
      context.stroke();
    }
  }

  #poincare(plot, { first, next, label }) {
    const { context, box } = plot.begin(true);
    if (first.length < 2) return plot.say("no intervals yet");
    const [least, most] = bounds(next),
      x = (rr) => box.x + ((rr - least) / (most - least)) * box.width,
      y = (rr) => box.y + box.height - ((rr - least) / (most - least)) * box.height;
    const ticks = steps(least, most, (most - least) / 4);
    grid(context, box, {
      x: ticks.map((rr) => [x(rr), (rr / 1000).toFixed(1)]),
      y: ticks.map((rr) => [y(rr), (rr / 1000).toFixed(1)]),
    });
    context.strokeStyle = colour("edge");
    context.beginPath();
    context.moveTo(x(least), y(least));
    context.lineTo(x(most), y(most));
    context.stroke();
    first.forEach((rr, k) => {
      context.fillStyle = colour("NQ".includes(label[k]) ? "dots" : `beat-${label[k]}`);
      context.fillRect(x(rr) - 0.75, y(next[k]) - 0.75, 1.5, 1.5);
    });
    const { sd1, sd2 } = spread(first, next);
    plot.say(`SD1 ${Math.round(sd1)} · SD2 ${Math.round(sd2)} ms`);
  }

  #histogram(plot, { next }) {
    const { context, box } = plot.begin();
    if (next.length < 2) return plot.say("no intervals yet");
    const [least, most] = bounds(next),
      bins = new Array(Math.ceil((most - least) / BIN_MS)).fill(0);
    for (const rr of next) {
      const bin = Math.floor((rr - least) / BIN_MS);
      if (bin >= 0 && bin < bins.length) bins[bin]++;
    }
    const highest = Math.max(...bins),
      x = (rr) => box.x + ((rr - least) / (most - least)) * box.width;
    grid(context, box, {
      x: steps(least, most, (most - least) / 4).map((rr) => [x(rr), (rr / 1000).toFixed(1)]),
      y: [[box.y, `${Math.round((100 * highest) / next.length)} %`]],
    });
    context.fillStyle = colour("trace");
    bins.forEach((n, k) => {
      const tall = (n / highest) * box.height;
      context.fillRect(
        x(least + k * BIN_MS),
        box.y + box.height - tall,
        (box.width * BIN_MS) / (most - least) - 0.5,
        tall,
      );
    });
    const sorted = [...next].sort((a, b) => a - b);
    plot.say(`median ${Math.round(sorted[sorted.length >> 1])} ms, n ${next.length}`);
  }
}

/** Intervals of the period with the one that follows each: {first, next, label} in ms; the label is that of the beat that ends the second. */
function consecutive({ beats }, { from, to }) {
  const order = [];
  for (let k = 0; k < beats.n; k++) if (beats.t[k] >= from && beats.t[k] <= to) order.push(k);
  order.sort((a, b) => beats.t[a] - beats.t[b]);
  const found = { first: [], next: [], label: [] };
  for (let i = 1; i < order.length; i++) {
    const a = order[i - 1],
      b = order[i];
    if (Math.abs(beats.t[b] - beats.t[a] - beats.rr[b]) > NEXT_MS) continue;
    found.first.push(beats.rr[a]);
    found.next.push(beats.rr[b]);
    found.label.push("NSVFQ"[beats.label[b]]);
  }
  return found;
}

/** An axis in whole 100 ms that holds 99 % of the values. */
function bounds(values) {
  const sorted = [...values].sort((a, b) => a - b),
    at = (share) => sorted[Math.floor((sorted.length - 1) * share)];
  const least = Math.floor((at(0.005) - 40) / 100) * 100,
    most = Math.ceil((at(0.995) + 40) / 100) * 100;
  return [least, Math.max(most, least + 400)];
}

function spread(first, next) {
  const across = first.map((rr, k) => (next[k] - rr) / Math.SQRT2),
    along = first.map((rr, k) => (next[k] + rr) / Math.SQRT2);
  return { sd1: deviation(across), sd2: deviation(along) };
}

function deviation(values) {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
}
