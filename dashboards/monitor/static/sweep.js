// The moving trace: rows of a fixed time, swept from left to right, a gap ahead of the pen. Only what is new is drawn, each frame.

import { MISSING } from "./samples.js";

const GAP_PX = 14;
const LINE_PX = 1.5;
const BASELINE_S = 2;
const TICKS_PX = 11; // kept free for the beat marks above a trace whose gain follows the signal
const FULL_SCALES_MV = [1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 12, 20]; // of a tile's height
const BEAT_TICK = { N: [5, 1], S: [9, 2], V: [9, 2], F: [9, 2], Q: [7, 1] };
const REFIT_S = 1;
const STRAYED = 0.3; // of a row's height: a fixed-gain trace that has wandered so far is centred again
const CALIBRATION_PX = 9;

let colours = null;

/** Colours of the style sheet, read once. */
function theme() {
  if (!colours) {
    const style = getComputedStyle(document.documentElement);
    colours = Object.fromEntries(["trace", "off", "faint", "beat-N", "beat-S", "beat-V", "beat-Q"].map((n) => [n, style.getPropertyValue(`--${n}`).trim()]));
  }
  return colours;
}

export class Sweep {
  /** options: rows, seconds (of a row), letters (beside the beat ticks), mmPerMv (fixed gain; without it the gain follows the signal) */
  constructor(canvas, patient, options) {
    this.canvas = canvas;
    this.patient = patient;
    this.options = options;
    this.context = canvas.getContext("2d");
    this.#forget();
    this.fit();
  }

  #forget() {
    this.samples = null; // the buffer that is on the canvas
    this.drawn = -Infinity; // index of the last sample drawn
    this.cleared = -Infinity; // the gap reaches to this index
    this.passes = new Map(); // baselines and scale of each pass over a row
    this.refitted = -Infinity;
  }

  /** Take the canvas' size on the page; true where it changed, and everything must be drawn again. */
  fit() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.canvas.clientWidth * ratio);
    const height = Math.round(this.canvas.clientHeight * ratio);
    if (width === this.canvas.width && height === this.canvas.height && ratio === this.ratio) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.ratio = ratio;
    this.left = this.options.mmPerMv ? 0 : CALIBRATION_PX * ratio;
    this.drawn = -Infinity;
    this.passes.clear();
  }

  /** Pixels (of the device) per millimetre of paper: at 25 mm/s a row is seconds x 25 mm wide. */
  get pixelsPerMm() { return (this.canvas.width - this.left) / (this.options.seconds * 25); }

  redraw() { this.drawn = -Infinity; this.passes.clear(); }

  /** Bring the canvas up to `now` s of the steady clock. */
  draw(now) {
    const samples = this.patient.samples;
    const version = `${this.patient.restated} ${samples?.late}`;
    if (samples !== this.samples || version !== this.version) {
      if (samples !== this.samples) this.#forget();
      this.samples = samples;
      this.version = version;
      this.drawn = -Infinity;
      if (!samples) this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    }
    if (!samples || !this.canvas.width) return;
    const to = Math.floor(this.patient.playhead.at(now) * samples.fs);
    if (!Number.isFinite(to)) return;
    const perRow = this.options.seconds * samples.fs;
    this.pen = to;
    const perPixel = (this.ratio * perRow) / (this.canvas.width - this.left);
    const gap = Math.ceil(GAP_PX * perPixel);
    const oldest = Math.max(samples.begin, to - Math.floor(this.options.rows * perRow) + gap + Math.ceil(LINE_PX * perPixel));
    if (this.drawn < oldest || to < this.drawn) this.#everything(oldest, to, gap, perRow);
    else if (to - this.drawn >= perPixel / this.ratio) this.#onward(to, gap, perRow); // less than a pixel is not worth a frame
    this.#lateBeats(oldest, perRow);
    if (this.outside && now - this.refitted > REFIT_S) { // the trace has left its tile: fit everything again
      this.refitted = now;
      this.redraw();
    }
  }

  #everything(oldest, to, gap, perRow) {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.drawn = oldest;
    this.outside = false;
    this.cleared = to + gap;
    this.calibrated = null;
    this.#trace(oldest, to, perRow);
    this.#beats(this.patient.beats, oldest - 1, to, perRow);
    this.drawn = to;
    this.patient.newBeats.length = 0;
  }

  #onward(to, gap, perRow) {
    if (this.options.mmPerMv) this.#follow(this.#pass(Math.floor(this.drawn / perRow + 1e-9), perRow), this.drawn);
    const from = Math.max(this.cleared, this.drawn);
    for (const [a, b] of this.#rowParts(from, to + gap, perRow)) {
      const { x: left, top } = this.#place(a, perRow);
      const right = left + ((b - a) / perRow) * (this.canvas.width - this.left);
      this.context.clearRect(Math.floor(left), top, Math.ceil(right) - Math.floor(left), this.#rowHeight());
    }
    this.cleared = to + gap;
    this.#trace(this.drawn, to, perRow);
    this.#beats(this.patient.beats, this.drawn, to, perRow);
    this.drawn = to;
  }

  /** Split a stretch of indices where it changes rows. */
  *#rowParts(from, to, perRow) {
    let a = from;
    while (a < to) {
      const b = Math.min(to, (Math.floor(a / perRow + 1e-9) + 1) * perRow);
      yield [a, b];
      a = b;
    }
  }

  #rowHeight() { return this.canvas.height / this.options.rows; }

  #place(index, perRow) {
    const pass = Math.floor(index / perRow + 1e-9);
    const x = this.left + (index / perRow - pass) * (this.canvas.width - this.left);
    return { pass, x, top: (((pass % this.options.rows) + this.options.rows) % this.options.rows) * this.#rowHeight() };
  }

  #trace(from, to, perRow) {
    for (const [a, b] of this.#rowParts(from, to, perRow)) this.#stretch(Math.floor(a), Math.ceil(b), a, perRow);
  }

  /** One polyline within a row; broken where samples are missing, grey where a lead is off. */
  #stretch(first, last, within, perRow) {
    const { context, samples } = this;
    const { pass, top } = this.#place(within, perRow);
    const { baselines, scale, level } = this.#pass(pass, perRow);
    if (!this.options.mmPerMv) this.#calibration(scale, top);
    const height = this.#rowHeight();
    const step = (this.canvas.width - this.left) / perRow;
    const middle = top + level;
    context.save();
    context.beginPath();
    context.rect(this.left, top, this.canvas.width, height);
    context.clip();
    context.lineWidth = LINE_PX * this.ratio;
    context.lineJoin = "round";
    let off = null, next = 0, baseline = 0;
    for (let i = first; i <= last; i++) {
      const value = samples.at(i);
      const moved = next < baselines.length && (next === 0 || baselines[next].from <= i);
      while (next < baselines.length && (next === 0 || baselines[next].from <= i)) baseline = baselines[next++].counts;
      if (moved && off !== null) {
        context.stroke();
        off = null;
      }
      if (value === MISSING) {
        if (off !== null) context.stroke();
        off = null;
        continue;
      }
      const x = this.left + (i - pass * perRow) * step;
      const y = middle - ((value - baseline) / samples.countsPerMv) * scale;
      if (y < top || y > top + height) this.outside = !this.options.mmPerMv;
      if (samples.isOff(i) === off) {
        context.lineTo(x, y);
        continue;
      }
      if (off !== null) { context.lineTo(x, y); context.stroke(); }
      off = samples.isOff(i);
      context.strokeStyle = off ? theme().off : theme().trace;
      context.beginPath();
      context.moveTo(x, y);
    }
    if (off !== null) context.stroke();
    context.restore();
  }

  /**
   * What holds for a whole pass, so that the line does not jump within it. The counts of the last of `baselines` that begins before a sample lie
   * `level` pixels below the row's top; `scale` is pixels (of the device) per mV.
   */
  #pass(pass, perRow) {
    const known = this.passes.get(pass);
    if (known) return known;
    const made = this.options.mmPerMv ? this.#fixedGain(pass * perRow, perRow) : this.#fittingGain(pass * perRow);
    this.passes.set(pass, made);
    for (const old of this.passes.keys()) if (old < pass - this.options.rows) this.passes.delete(old);
    return made;
  }

  /** The median goes a little below the middle: R waves are taller than S waves are deep. */
  #fixedGain(start, perRow) {
    const { samples } = this;
    const around = samples.sorted(start - BASELINE_S * samples.fs, start + (BASELINE_S * samples.fs) / 2);
    const values = around.length ? around : samples.sorted(start, start + perRow);
    const pass = { baselines: [{ from: start, counts: median(values) }], scale: this.options.mmPerMv * this.pixelsPerMm, level: this.#rowHeight() * 0.6 };
    for (let at = start; at < Math.min(start + perRow, this.pen); at += samples.fs / 10) this.#follow(pass, at);
    return pass;
  }

  /** Centre a fixed-gain trace that has wandered off, with a visible step, rather than lose it. */
  #follow({ baselines, scale }, at) {
    const recent = this.samples.sorted(at - this.samples.fs * 0.6, at);
    const strayed = (Math.abs(median(recent) - baselines.at(-1).counts) / this.samples.countsPerMv) * scale;
    if (recent.length && strayed > this.#rowHeight() * STRAYED) baselines.push({ from: at, counts: median(recent) });
  }

  /** The smallest full scale that holds what is known of the pass and the seconds before it, their middle in the middle. */
  #fittingGain(start) {
    const { samples } = this;
    const known = Math.min(start + this.options.seconds * samples.fs, Math.max(start + 2 * samples.fs, this.pen));
    const values = samples.sorted(start - 6 * samples.fs, known);
    const lowest = values[0] ?? 0, highest = values.at(-1) ?? 0;
    const range = (highest - lowest) / samples.countsPerMv;
    const full = FULL_SCALES_MV.find((mv) => mv * 0.9 >= range) ?? FULL_SCALES_MV.at(-1);
    const free = this.#rowHeight() - TICKS_PX * this.ratio;
    return { baselines: [{ from: start, counts: (lowest + highest) / 2 }], scale: free / full, level: TICKS_PX * this.ratio + free / 2 };
  }

  /** A tile's gain follows the signal, so a bar of 1 mV stands at its left. */
  #calibration(scale, top) {
    if (scale === this.calibrated) return;
    this.calibrated = scale;
    const { context, ratio } = this;
    const height = this.#rowHeight();
    const bar = scale; // full scales begin at 1 mV, so it is never taller than the tile
    context.clearRect(0, top, this.left, height);
    context.fillStyle = theme().faint;
    const x = 3 * ratio, y = top + (height + TICKS_PX * ratio + bar) / 2;
    context.fillRect(x, y - bar, ratio, bar);
    context.fillRect(x - 2 * ratio, y - bar, 5 * ratio, ratio);
    context.fillRect(x - 2 * ratio, y - ratio, 5 * ratio, ratio);
  }

  /** Beats that came after the sweep had passed them: the usual case. */
  #lateBeats(oldest, perRow) {
    const { newBeats } = this.patient;
    if (!newBeats.length) return;
    this.#beats(newBeats.filter((beat) => this.samples.indexOf(beat.t) <= this.drawn), oldest, this.drawn, perRow);
    newBeats.length = 0; // those ahead of the pen are drawn when it gets there
  }

  /** Marks of the beats with from < index <= to. */
  #beats(beats, from, to, perRow) {
    const { context, ratio } = this;
    for (const beat of beats) {
      const index = this.samples.indexOf(beat.t);
      if (index <= from || index > to) continue;
      const { x, top } = this.#place(index, perRow);
      const [length, width] = BEAT_TICK[beat.label] ?? BEAT_TICK.Q;
      this.#mark(beat.label, x - (width * ratio) / 2, top, width * ratio, length * ratio);
      if (this.options.letters) {
        context.font = `${11 * ratio}px ui-monospace, "DejaVu Sans Mono", monospace`;
        context.textAlign = "center";
        context.fillStyle = theme()[`beat-${beat.label === "F" ? "V" : beat.label}`];
        context.fillText(beat.label, x, top + 20 * ratio);
      }
    }
  }

  /** A tick; a fusion beat is half of either kind. */
  #mark(label, x, y, width, height) {
    const { context } = this;
    if (label === "F") {
      this.#mark("N", x, y, width, height / 2);
      this.#mark("V", x, y + height / 2, width, height / 2);
      return;
    }
    context.fillStyle = theme()[`beat-${label}`];
    context.fillRect(x, y, width, height);
  }
}

const median = (sorted) => (sorted.length ? sorted[sorted.length >> 1] : 0);

/** Millimetre paper under fixed-gain rows: 1 mm and 5 mm. */
export function drawPaper(canvas, seconds) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const mm = canvas.width / (seconds * 25);
  for (const [every, name] of [[1, "--grid-1"], [5, "--grid-5"]]) {
    context.fillStyle = style.getPropertyValue(name);
    for (let x = 0; x <= canvas.width; x += mm * every) context.fillRect(Math.round(x), 0, Math.max(1, ratio / 2), canvas.height);
    for (let y = 0; y <= canvas.height; y += mm * every) context.fillRect(0, Math.round(y), canvas.width, Math.max(1, ratio / 2));
  }
}
