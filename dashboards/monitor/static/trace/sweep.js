// The moving trace: rows of a fixed time, swept from left to right, a gap ahead of the pen. Each frame draws only what is new.

import { FittingGain, FixedGain, TICKS_PX } from "./gain.js";
import { rrOnly, sayNoTrace } from "./notrace.js";
import { drawBeat, drawReference, drawSaid, PACED } from "./marks.js";
import { MISSING } from "./samples.js";
import { ofMoment } from "../patient/journal.js";
import { colour } from "../core/theme.js";

const GAP_PX = 14;
const LINE_PX = 1.5;
const REFIT_S = 1;
const CALIBRATION_PX = 24;
const EDGE = 1e-9; // an index on the border of two rows belongs to the later one

export class Sweep {
  /** options: rows, seconds (of a row), letters (beside the beat ticks), mmPerMv and mm (device pixels per mm): fixed gain; without these, the gain
   * follows the signal; bar (of 1 mV at the left) */
  constructor(patient, options) {
    this.patient = patient;
    this.options = options;
    this.width = this.height = 0;
    this.#forget();
  }

  #forget() {
    this.samples = null; // the buffer that is on the canvas
    this.drawn = -Infinity; // index of the last sample drawn
    this.cleared = -Infinity; // the gap reaches to this index
    this.refitted = -Infinity;
    this.gain = null;
  }

  /** Draw into this rectangle (device pixels) from now on. */
  place(context, x, y, width, height, ratio) {
    if (
      context === this.context &&
      x === this.x &&
      y === this.y &&
      width === this.width &&
      height === this.height &&
      ratio === this.ratio
    )
      return;
    if (this.context && this.width) this.context.clearRect(this.x, this.y, this.width, this.height);
    Object.assign(this, { context, x, y, width, height, ratio });
    this.redraw();
  }

  /** Draw everything again, for instance after a change of gain, paper or theme. */
  redraw() {
    if (!this.width) return;
    this.left = this.x + (this.options.bar ? CALIBRATION_PX * this.ratio : 0);
    this.breadth = this.x + this.width - this.left; // of a row
    this.rowHeight = this.height / this.options.rows;
    this.drawn = -Infinity;
    this.gain = null;
  }

  /** Draw a dead trace grey: old signal must not look live. */
  setDead(dead) {
    if (dead === Boolean(this.dead)) return;
    this.dead = dead;
    this.redraw();
  }

  /** Bring the picture up to `now` s of the steady clock. */
  draw(now) {
    const { samples, restated } = this.patient;
    if (!this.width) return;
    if (samples !== this.samples || restated !== this.restated || samples?.late !== this.late) {
      this.#forget();
      this.samples = samples;
      this.restated = restated;
      this.late = samples?.late;
      if (!samples) this.context.clearRect(this.x, this.y, this.width, this.height);
    }
    if (!samples) return;
    if (rrOnly(this.patient)) return sayNoTrace(this);
    const to = Math.floor(this.patient.playhead.at(now) * samples.fs);
    if (!Number.isFinite(to)) return;
    this.pen = to;
    this.perRow = this.options.seconds * samples.fs;
    const perPixel = this.perRow / this.breadth; // samples per device pixel
    this.gap = Math.ceil(GAP_PX * this.ratio * perPixel);
    this.oldest = Math.max(
      samples.begin,
      to -
        Math.floor(this.options.rows * this.perRow) +
        this.gap +
        Math.ceil(LINE_PX * this.ratio * perPixel),
    );
    if (this.drawn < this.oldest || to < this.drawn) this.#everything(to);
    else if (to - this.drawn >= perPixel) this.#onward(to); // less than a pixel is not worth a frame
    this.#new(this.patient.newBeats, (beat) => this.#beat(beat, false));
    this.#new(this.patient.newReferences, (beat) => this.#beat(beat, true));
    this.#new(this.patient.newJournal, (entry) => this.#said(entry));
    if (this.outside && now - this.refitted > REFIT_S) {
      // the trace has left its tile: fit everything again
      this.refitted = now;
      this.redraw();
    }
  }

  #everything(to) {
    this.context.clearRect(this.x, this.y, this.width, this.height);
    this.gain = this.options.mmPerMv ? new FixedGain(this) : new FittingGain(this);
    this.outside = false;
    this.calibrated = null;
    this.cleared = to + this.gap;
    this.drawn = this.oldest;
    this.#trace(to);
    // what is ahead of the pen waits for it
    const { beats, references, journal } = this.patient;
    this.patient.newBeats = beats.filter((beat) => !this.#beat(beat, false));
    this.patient.newReferences = references.filter((beat) => !this.#beat(beat, true));
    this.patient.newJournal = [...journal.values()].filter((entry) => !this.#said(entry));
  }

  #onward(to) {
    for (let from = Math.max(this.cleared, this.drawn); from < to + this.gap; ) {
      const end = Math.min(to + this.gap, this.#rowEnd(from));
      const left = Math.floor(this.#x(from)),
        right = Math.min(
          this.x + this.width,
          Math.ceil(this.#x(from) + ((end - from) / this.perRow) * this.breadth),
        );
      this.context.clearRect(left, this.#top(from), right - left, this.rowHeight);
      from = end;
    }
    this.cleared = to + this.gap;
    this.#trace(to);
  }

  /** The pass that an index belongs to: how often the pen has gone over a row before. */
  pass(index) {
    return Math.floor(index / this.perRow + EDGE);
  }

  #rowEnd(index) {
    return (this.pass(index) + 1) * this.perRow;
  }

  #x(index) {
    return this.left + (index / this.perRow - this.pass(index)) * this.breadth;
  }

  #top(index) {
    const { rows } = this.options;
    return this.y + (((this.pass(index) % rows) + rows) % rows) * this.rowHeight;
  }

  /** Draw from the last drawn sample to `to`, row by row. */
  #trace(to) {
    while (this.drawn < to) {
      const end = Math.min(to, this.#rowEnd(this.drawn));
      this.#stretch(Math.floor(this.drawn), Math.ceil(end));
      this.drawn = end;
    }
  }

  /** One polyline within a row; broken where samples are missing or the baseline moves, grey where a lead is off. */
  #stretch(first, last) {
    const { context, samples, gain } = this;
    const pass = this.pass(this.drawn),
      top = this.#top(this.drawn),
      step = this.breadth / this.perRow,
      start = this.left - pass * this.perRow * step;
    gain.begin(pass);
    if (this.options.bar) this.#calibration(gain.scale, top);
    context.save();
    context.beginPath();
    context.rect(this.left, top, this.breadth, this.rowHeight);
    context.clip();
    context.lineWidth = LINE_PX * this.ratio;
    context.lineJoin = "round";
    const perCount = gain.scale / samples.countsPerMv,
      middle = top + gain.level;
    let line = ""; // colour of the line that is being drawn
    for (let i = first; i <= last; i++) {
      const value = samples.at(i);
      const moved = gain.follow(i);
      if (line && (moved || value === MISSING)) {
        context.stroke();
        line = "";
      }
      if (value === MISSING) continue;
      const x = start + i * step,
        y = middle - (value - gain.baseline) * perCount;
      if ((y < top || y > top + this.rowHeight) && !this.options.mmPerMv) this.outside = true;
      const now = this.dead || samples.isOff(i) ? "off" : "trace";
      if (now === line) {
        context.lineTo(x, y);
        continue;
      }
      if (line) {
        context.lineTo(x, y);
        context.stroke();
      }
      line = now;
      context.strokeStyle = colour(line);
      context.beginPath();
      context.moveTo(x, y);
    }
    if (line) context.stroke();
    context.restore();
  }

  /** Draw a bar of 1 mV at the left of a tile. */
  #calibration(scale, top) {
    if (scale === this.calibrated) return;
    this.calibrated = scale;
    const { context, ratio } = this;
    context.clearRect(this.x, top, this.left - this.x, this.rowHeight);
    context.fillStyle = colour("faint");
    const bar = Math.min(scale, this.rowHeight - TICKS_PX * ratio); // a large fixed gain may have no room for it
    const x = this.left - 7 * ratio,
      y = top + (this.rowHeight + TICKS_PX * ratio + bar) / 2;
    context.fillRect(x, y - bar, ratio, bar);
    context.fillRect(x - 2 * ratio, y - bar, 5 * ratio, ratio);
    context.fillRect(x - 2 * ratio, y - ratio, 5 * ratio, ratio);
    context.save();
    context.translate(x - 4 * ratio, y - bar / 2);
    context.rotate(-Math.PI / 2);
    context.font = `${10 * ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.fillText("1 mV", 0, 0);
    context.restore();
  }

  /** Mark what is new. Most of it arrives after the sweep has passed it; what is ahead of the pen waits for it. */
  #new(marks, draw) {
    let kept = 0;
    for (let k = 0; k < marks.length; k++) if (!draw(marks[k])) marks[kept++] = marks[k];
    marks.length = kept;
  }

  /** Mark a detected beat above the trace, a reference beat below it (if letters are shown); false if the pen has not reached it. */
  #beat(beat, reference) {
    const index = this.samples.indexOf(beat.t);
    if (index > this.drawn) return false;
    if (index < this.oldest || (reference && !this.options.letters)) return true;
    const x = this.#x(index),
      top = this.#top(index);
    if (reference) drawReference(this.context, beat.label, x, top + this.rowHeight, this.ratio);
    else {
      const paced = this.patient.rhythm?.label === PACED;
      drawBeat(
        this.context,
        { label: beat.label, paced },
        x,
        top,
        this.ratio,
        this.options.letters,
      );
    }
    return true;
  }

  /** Mark what the wearer said; false if the pen has not reached it. */
  #said(entry) {
    const index = this.samples.indexOf(entry.t);
    if (!ofMoment(entry) || index < this.oldest) return true;
    if (index > this.drawn) return false;
    drawSaid(this.context, this.#x(index), this.#top(index), this.rowHeight, this.ratio);
    return true;
  }
}
