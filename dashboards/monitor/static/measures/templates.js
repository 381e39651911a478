// The shapes of a patient's beats: each beat joins the template of its class that it resembles, or begins a new one, and the template is
// the running average of its beats.

import { MISSING } from "../trace/samples.js";

export const BEFORE_S = 0.25,
  AFTER_S = 0.45; // of the R wave
const LIKE = 0.9; // correlation with a template, of the QRS complex alone: a fast rhythm brings the next beat into sight
const QRS_FROM_S = 0.12,
  QRS_TO_S = 0.15;
const MOST = 4; // templates per class
const WEIGHT = 40; // beats that an average remembers
const SHIFT_S = 0.012; // by which two beats are moved against each other

export class Templates {
  constructor(patient) {
    this.patient = patient;
    this.all = []; // {label, count, mean: Float32Array of mV}
    this.newest = 0;
    this.stream = undefined;
  }

  /** Take the beats that are whole by now. */
  update() {
    const { patient } = this,
      { samples } = patient;
    if (!samples) return;
    if (patient.stream !== this.stream || samples.fs !== this.fs) {
      Object.assign(this, { stream: patient.stream, fs: samples.fs, all: [], newest: 0 });
    }
    for (const beat of patient.beats) {
      if (beat.t <= this.newest) continue;
      const index = Math.round(samples.indexOf(beat.t));
      if (index + AFTER_S * samples.fs >= samples.end) break;
      this.newest = beat.t;
      const shape = cut(samples, index);
      if (shape) this.#join(beat.label, shape);
    }
  }

  #likeness(mean, shape, by) {
    const from = Math.round((BEFORE_S - QRS_FROM_S) * this.fs),
      to = Math.round((BEFORE_S + QRS_TO_S) * this.fs);
    return correlation(mean, shape, from, to, by);
  }

  #join(label, shape) {
    const same = this.all.filter((template) => template.label === label),
      shift = Math.round(SHIFT_S * this.fs);
    let best = { like: -1 };
    for (const template of same)
      for (let by = -shift; by <= shift; by++) {
        const like = this.#likeness(template.mean, shape, by);
        if (like > best.like) best = { like, template, by };
      }
    if (best.like >= LIKE) {
      const { template, by } = best,
        share = 1 / Math.min(WEIGHT, ++template.count);
      for (let k = 0; k < shape.length; k++) {
        const value = shape[k + by];
        if (value !== undefined) template.mean[k] += (value - template.mean[k]) * share;
      }
    } else if (same.length < MOST) this.all.push({ label, count: 1, mean: shape });
  }
}

/** The samples around an R wave in mV, without their median; null if some are missing. */
function cut(samples, index) {
  const first = index - Math.round(BEFORE_S * samples.fs),
    n = Math.round((BEFORE_S + AFTER_S) * samples.fs),
    shape = new Float32Array(n);
  for (let k = 0; k < n; k++) {
    const value = samples.at(first + k);
    if (value === MISSING || samples.isOff(first + k)) return null;
    shape[k] = value / samples.countsPerMv;
  }
  const middle = Float32Array.from(shape).sort()[n >> 1];
  return shape.map((value) => value - middle);
}

/** Correlation of a[from..to) with b, moved by `by`. */
function correlation(a, b, from, to, by) {
  let [sa, sb, saa, sbb, sab] = [0, 0, 0, 0, 0];
  for (let k = from; k < to; k++) {
    const x = a[k],
      y = b[k + by];
    sa += x;
    sb += y;
    saa += x * x;
    sbb += y * y;
    sab += x * y;
  }
  const n = to - from,
    spread = Math.sqrt((saa - (sa * sa) / n) * (sbb - (sb * sb) / n));
  return spread > 0 ? (sab - (sa * sb) / n) / spread : 0;
}
