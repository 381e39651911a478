// The last minute of one patient's samples, by index since the start of the stream; and the binary frame (dashboards/monitor/live/frames.py).

const KEPT_S = 58; // three rows of 18 s and the samples in transit
export const MISSING = -32768;
const HEADER = 48;

export function decodeFrame(buffer) {
  const view = new DataView(buffer);
  const flags = view.getUint8(1);
  return {
    kind: view.getUint8(0),
    leadOff: (flags & 1) !== 0,
    end: (flags & 2) !== 0,
    past: (flags & 4) !== 0,
    number: view.getUint32(4, true),
    stream: view.getUint32(8, true),
    t0: view.getFloat64(16, true),
    first: view.getFloat64(24, true),
    fs: view.getFloat64(32, true),
    countsPerMv: view.getFloat32(40, true),
    samples: new Int16Array(buffer, HEADER, view.getUint32(12, true)),
  };
}

export class Samples {
  constructor(frame) {
    this.fs = frame.fs;
    this.countsPerMv = frame.countsPerMv;
    this.size = Math.ceil(KEPT_S * frame.fs);
    this.values = new Int16Array(this.size).fill(MISSING);
    this.off = new Uint8Array(this.size);
    this.scratch = new Int16Array(this.size);
    this.begin = frame.first; // oldest index kept
    this.end = frame.first; // one past the newest
    this.late = 0; // counts chunks that filled a hole behind the sweep
  }

  put(frame) {
    const { first, samples } = frame;
    if (first - this.end > this.size) this.begin = this.end = first;
    for (let i = this.end; i < first; i++) this.#set(i, MISSING, 0);
    if (first < this.end) this.late++;
    for (let k = 0; k < samples.length; k++) {
      if (first + k >= this.end - this.size)
        this.#set(first + k, samples[k], frame.leadOff ? 1 : 0);
    }
    this.end = Math.max(this.end, first + samples.length);
    this.begin = Math.max(Math.min(this.begin, first), this.end - this.size);
    if (first + samples.length >= this.end) this.origin = frame.t0 - (first * 1000) / this.fs;
  }

  /** Raw value at an index, MISSING if there is none. */
  at(index) {
    return index >= this.begin && index < this.end ? this.values[index % this.size] : MISSING;
  }

  isOff(index) {
    return this.off[index % this.size] === 1;
  }

  /** Index (not whole) of a time in ms since the epoch. */
  indexOf(ms) {
    return ((ms - this.origin) * this.fs) / 1000;
  }

  timeOf(index) {
    return this.origin + (index * 1000) / this.fs;
  }

  /** Present values of a stretch in order, for the baseline and the range: a view that holds until the next call. */
  sorted(from, to) {
    let n = 0;
    const last = Math.min(to, this.end);
    for (let i = Math.max(this.begin, Math.floor(from)); i < last; i++) {
      const value = this.values[i % this.size];
      if (value !== MISSING) this.scratch[n++] = value;
    }
    return this.scratch.subarray(0, n).sort();
  }

  /** The buffer as one block of history: {t0, fs, dt, countsPerMv, values}. */
  block() {
    const values = new Int16Array(Math.max(0, this.end - this.begin));
    for (let k = 0; k < values.length; k++) values[k] = this.values[(this.begin + k) % this.size];
    return {
      t0: this.timeOf(this.begin),
      fs: this.fs,
      dt: 1000 / this.fs,
      countsPerMv: this.countsPerMv,
      envelope: false,
      values,
    };
  }

  #set(index, value, off) {
    this.values[index % this.size] = value;
    this.off[index % this.size] = off;
  }
}
