// The last hours at a glance: heart rate, RR intervals as dots, the rhythm's band and the alarms, on one axis of time with one cursor.

import { getJson, patientPath, period } from "../core/api.js";
import { h, setText } from "../core/dom.js";
import { band, flag } from "./historyrows.js";
import { saidByWearer } from "./journal.js";
import { drawSaid } from "../trace/sweep.js";
import { fitCanvas } from "./plot.js";
import { colour, onTheme } from "../core/theme.js";
import { rhythmWord, shortTime, time } from "../alarms/words.js";

const MINUTE = 60_000,
  HOUR = 60 * MINUTE;
const SPANS = [10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR];
const PAINT_MS = 2000,
  READ_MS = 30_000;
const POINTS = 720;
const LEFT = 46,
  RIGHT = 8,
  TOP = 12,
  BAND = 8,
  FOOT = 16; // CSS pixels around the two plots
const RR_MS = [200, 2000];
const NO_BEAT = 50_000; // dots kept

export class Trend {
  /** `go` is called with a time that somebody has chosen, `pointed` with the time under the pointer or null. */
  constructor(patient, tape, { go, pointed }) {
    Object.assign(this, { patient, tape, go, pointed });
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.over = h("canvas", { class: "over", "aria-hidden": "true" });
    this.told = h("output", { class: "told" });
    this.element = h(
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
    this.hr = { t: [], mean: [], low: [], high: [] };
    this.dots = { t: new Float64Array(NO_BEAT), rr: new Float32Array(NO_BEAT), n: 0 };
    this.episodes = [];
    this.paintedAt = this.readAt = -Infinity;
    this.lastBeat = 0;
    this.oldest = null; // start of the period whose dots have been requested
    this.window = null;
    this.at = null;
    this.#listen();
    this.resize = new ResizeObserver(() => this.#fit());
    this.resize.observe(this.element);
    this.offTheme = onTheme(() => this.#paint());
  }

  close() {
    this.resize.disconnect();
    this.offTheme();
    this.closed = true;
  }

  /** Called a few times a second; `window` {from, to} is the period that the chart shows, or null while it is live. */
  refresh(window) {
    const now = performance.now(),
      moved = JSON.stringify(window) !== JSON.stringify(this.window);
    this.window = window;
    this.#live();
    if (this.patient.known && now - this.readAt > READ_MS) {
      this.readAt = now;
      this.#read();
    }
    if (now - this.paintedAt > PAINT_MS) this.#paint();
    else if (moved) this.#overlay();
  }

  /** Add what the live link has delivered since the store was read. */
  #live() {
    const { patient, hr } = this,
      { vitals } = patient;
    if (vitals && vitals.t > (hr.t.at(-1) ?? 0) + 900) {
      for (const name of ["mean", "low", "high"]) hr[name].push(vitals.hr);
      hr.t.push(vitals.t);
    }
    for (const beat of patient.beats) if (beat.t > this.lastBeat) this.#dot(beat);
    if (patient.rhythm) {
      const last = this.episodes.at(-1);
      if (last?.start === patient.rhythm.start) Object.assign(last, patient.rhythm);
      else if (!last || patient.rhythm.start > last.start)
        this.episodes.push({ ...patient.rhythm });
    }
  }

  #dot({ t, rr }) {
    this.lastBeat = Math.max(this.lastBeat, t);
    if (!rr || this.dots.n === NO_BEAT) return;
    this.dots.t[this.dots.n] = t;
    this.dots.rr[this.dots.n++] = rr;
  }

  /** Read the store. A failure is shown by the rest of the page; known values stay. */
  async #read() {
    const to = this.patient.time,
      from = to - SPANS.at(-1),
      { id } = this.patient;
    const rates = (begin) =>
      getJson(patientPath(id, "trend", { ...period(begin, to), points: POINTS }));
    const [trend, episodes] = await Promise.allSettled([rates(from), this.tape.rhythm(from, to)]);
    if (this.closed) return;
    if (trend.status === "fulfilled") {
      this.#keep(trend.value);
      const { from: begin } = this.range;
      if (begin > from)
        await rates(begin).then(
          (finer) => this.#keep(finer),
          () => {},
        ); // a short past needs finer columns
    }
    if (episodes.status === "fulfilled") this.episodes = episodes.value;
    this.#paint();
    if (this.oldest === null) await this.#readDots(to);
  }

  /** Join the columns of the store with newer ones of the live link. */
  #keep({ t, hr, hr_min: low, hr_max: high }) {
    const newer = this.hr.t.findIndex((at) => at > (t.at(-1) ?? 0)),
      rest = (list) => (newer < 0 ? [] : list.slice(newer));
    this.hr = {
      t: [...t, ...rest(this.hr.t)],
      mean: [...(hr ?? []), ...rest(this.hr.mean)],
      low: [...(low ?? hr ?? []), ...rest(this.hr.low)],
      high: [...(high ?? hr ?? []), ...rest(this.hr.high)],
    };
  }

  /** Fetch hour by hour, newest first, as long as data exists. */
  async #readDots(to) {
    this.oldest = to;
    const begin = this.hr.t.find((_, k) => this.hr.mean[k] !== null) ?? to;
    const live = new Set(this.dots.t.subarray(0, this.dots.n));
    while (this.oldest > begin && this.oldest > to - SPANS.at(-1) && !this.closed) {
      const from = Math.max(begin - MINUTE, this.oldest - HOUR);
      const { beats } = await getJson(
        patientPath(this.patient.id, "beats", period(from, this.oldest)),
      ).catch(() => ({ beats: [] }));
      for (const beat of beats) if (!live.has(beat.t)) this.#dot(beat);
      this.oldest = from;
      this.#paint();
    }
  }

  /** The smallest span that holds all known data; it ends now. */
  get range() {
    const to = Math.max(this.patient.time, this.hr.t.at(-1) ?? 0);
    const first = this.hr.t.find((_, k) => this.hr.mean[k] !== null) ?? to;
    const span = SPANS.find((s) => to - first <= s) ?? SPANS.at(-1);
    return { from: to - span, to };
  }

  get #plot() {
    return {
      x: LEFT,
      width: this.element.clientWidth - LEFT - RIGHT,
      y: TOP,
      height: this.element.clientHeight - TOP - BAND - FOOT,
    };
  }

  #fit() {
    fitCanvas(this.canvas);
    fitCanvas(this.over);
    this.#paint();
  }

  #paint() {
    if (!this.canvas.width) return;
    this.paintedAt = performance.now();
    const ratio = window.devicePixelRatio || 1,
      context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const box = this.#plot,
      { from, to } = this.range,
      x = (t) => box.x + ((t - from) / (to - from)) * box.width;
    const upper = { y: box.y, height: box.height * 0.56 },
      lower = { y: box.y + box.height * 0.62, height: box.height * 0.38 };
    this.#axis(context, box, from, to, x);
    this.#rates(context, upper, x, from);
    this.#intervals(context, lower, x, from, to);
    for (const { start, end, label } of this.episodes) {
      if (end <= from) continue;
      band(
        context,
        label,
        x(Math.max(start, from)),
        box.y + box.height + 2,
        Math.max(1, x(end) - x(Math.max(start, from))),
        BAND,
      );
    }
    for (const alarm of this.patient.alarms.values()) {
      if (alarm.onset < from || !alarm.announced) continue;
      context.fillStyle = colour(alarm.technical ? "low" : alarm.priority);
      flag(context, x(alarm.onset), 1, 8);
    }
    for (const entry of this.patient.journal.values())
      if (saidByWearer(entry) && entry.t >= from) drawSaid(context, x(entry.t), 0, box.y, 1);
    this.#overlay();
  }

  #axis(context, box, from, to, x) {
    const every =
      [1, 2, 5, 10, 30, 60].map((m) => m * MINUTE).find((step) => (to - from) / step <= 8) ?? HOUR;
    context.font = '11px system-ui, "DejaVu Sans", sans-serif';
    context.textAlign = "center";
    for (let t = Math.ceil(from / every) * every; t <= to; t += every) {
      context.fillStyle = colour("line");
      context.fillRect(Math.round(x(t)), box.y, 1, box.height);
      context.fillStyle = colour("quiet");
      context.fillText(
        shortTime(t),
        Math.min(x(t), box.x + box.width - 14),
        box.y + box.height + BAND + FOOT - 3,
      );
    }
  }

  #rates(context, { y, height }, x, from) {
    const { t, mean, low, high } = this.hr,
      known = mean.filter((v) => v !== null);
    const bottom = Math.floor(Math.min(40, ...known) / 20) * 20,
      top = Math.ceil(Math.max(120, ...known) / 20) * 20;
    const place = (v) => y + height - ((v - bottom) / (top - bottom)) * height;
    labels(
      context,
      [
        [top, y + 8],
        [bottom, y + height],
      ],
      "trace",
    );
    context.fillStyle = colour("trace-soft");
    t.forEach((at, k) => {
      if (at >= from && low[k] !== null && high[k] > low[k])
        context.fillRect(x(at), place(high[k]), 1.5, Math.max(1, place(low[k]) - place(high[k])));
    });
    context.strokeStyle = colour("trace");
    context.lineWidth = 1.5;
    context.beginPath();
    let before = null;
    t.forEach((at, k) => {
      if (mean[k] === null || at < from) {
        before = null;
        return;
      }
      if (before !== null && at - before < 3 * MINUTE) context.lineTo(x(at), place(mean[k]));
      else context.moveTo(x(at), place(mean[k]));
      before = at;
    });
    context.stroke();
  }

  #intervals(context, { y, height }, x, from, to) {
    const [least, most] = RR_MS,
      { t, rr, n } = this.dots;
    labels(
      context,
      [
        ["RR 2 s", y + 8],
        ["0.2 s", y + height],
      ],
      "quiet",
    );
    context.fillStyle = colour("dots");
    for (let k = 0; k < n; k++) {
      if (t[k] < from || t[k] > to) continue;
      context.fillRect(
        x(t[k]),
        y +
          height -
          ((Math.min(most, Math.max(least, rr[k])) - least) / (most - least)) * height -
          1,
        1.5,
        1.5,
      );
    }
  }

  /** Draw the chart's period and the cursor. */
  #overlay() {
    const ratio = window.devicePixelRatio || 1,
      context = this.over.getContext("2d"),
      box = this.#plot,
      { from, to } = this.range;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.over.width, this.over.height);
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
    this.element.setAttribute("aria-valuetext", this.told.textContent);
  }

  #words(at) {
    const near = nearest(this.hr.t, at),
      rate = near < 0 ? null : this.hr.mean[near];
    const episode = this.episodes.findLast((e) => e.start <= at && e.end >= at);
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
    const at = (event) => {
      const box = this.#plot,
        { from, to } = this.range,
        share = (event.clientX - this.element.getBoundingClientRect().left - box.x) / box.width;
      return from + Math.max(0, Math.min(1, share)) * (to - from);
    };
    this.element.addEventListener("pointermove", (event) => this.#point(at(event)));
    this.element.addEventListener("pointerleave", () => this.#point(null));
    this.element.addEventListener("blur", () => this.#point(null));
    this.element.addEventListener("click", (event) => this.go(at(event)));
    this.element.addEventListener("keydown", (event) => {
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

function labels(context, texts, name) {
  context.fillStyle = colour(name);
  context.textAlign = "right";
  for (const [text, y] of texts) context.fillText(text, LEFT - 4, y);
}

function nearest(sorted, t) {
  let low = 0,
    high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < t) low = middle + 1;
    else high = middle;
  }
  return high >= 0 && Math.abs(sorted[low] - t) < 3 * MINUTE ? low : -1;
}
