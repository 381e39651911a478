// Resample the strap's frames, whose rate is not exactly 130 Hz, to chunks at exactly 130 Hz on one time line.

import { FS_HZ } from "./h10.js";

const STEP_NS = 1e9 / FS_HZ;
const LATE_NS = 0.5e9; // a hole of more than that between two frames is missing signal
const MAX_DRIFT_MS = 800; // the server wants every chunk within 1 s of the stream's time line
const OFFSET_FRAMES = 4; // radio delay only ever adds: the minimum over this many frames is nearly zero
const CHUNK = 65; // half a second

/** Takes frames, gives chunks {stream, first, t0Ns (BigInt), samples (Int16Array)} to `emit`; µV, so 1000 counts per mV. */
export class Timeline {
  constructor(emit) {
    this.emit = emit;
    this.dropped = 0;
    this.restart();
  }

  /** Begin a new stream with the next frames. */
  restart() {
    this.stream = crypto.randomUUID();
    this.startNs = null; // of sample 0, by the strap's clock
    this.lastNs = null;
    this.offsetMs = Infinity; // wall clock minus the strap's clock
    this.early = [];
    this.window = []; // offsets of the last minute, to see the clocks drift apart
    this.knots = []; // [ns since startNs, µV], the last few
    this.next = 0; // grid index of the next sample
    this.pending = [];
    this.first = 0;
  }

  push({ lastNs, microvolts, receivedMs }) {
    if (this.lastNs !== null && lastNs <= this.lastNs) {
      if (lastNs < this.lastNs - 60_000_000_000n)
        this.restart(); // the strap was off: its clock has restarted
      else {
        this.dropped++;
        return;
      }
    }
    const offset = receivedMs - Number(lastNs / 1_000_000n);
    if (this.startNs === null) return this.#begin({ lastNs, microvolts, offset });
    if (this.#drifts(offset)) {
      this.flush();
      this.restart();
      return this.#begin({ lastNs, microvolts, offset });
    }
    this.#samples(lastNs, microvolts);
  }

  /** Emit pending samples as a chunk; the stream continues after it. */
  flush() {
    if (this.pending.length) this.#send();
  }

  #begin(frame) {
    this.early.push(frame);
    this.lastNs = frame.lastNs;
    if (this.early.length < OFFSET_FRAMES) return;
    const [first] = this.early;
    this.offsetMs = Math.min(...this.early.map(({ offset }) => offset));
    this.startNs = first.lastNs - BigInt(Math.round((first.microvolts.length - 1) * STEP_NS));
    this.lastNs = null;
    for (const { lastNs, microvolts } of this.early.splice(0)) this.#samples(lastNs, microvolts);
  }

  #drifts(offset) {
    this.window.push(offset);
    if (this.window.length < 100) return false;
    this.window.shift();
    return Math.abs(Math.min(...this.window) - this.offsetMs) > MAX_DRIFT_MS;
  }

  #samples(lastNs, microvolts) {
    const n = microvolts.length,
      end = Number(lastNs - this.startNs);
    const since = this.lastNs === null ? null : Number(lastNs - this.lastNs);
    const hole = since === null || Math.abs(since - n * STEP_NS) > LATE_NS;
    const step = hole ? STEP_NS : since / n; // the strap's own rate, from its own clock
    if (hole && since !== null) this.#gap(end - (n - 1) * step);
    for (let k = 0; k < n; k++) this.#knot(end - (n - 1 - k) * step, microvolts[k]);
    this.lastNs = lastNs;
  }

  #gap(beginsNs) {
    this.flush();
    this.knots = [];
    this.next = Math.max(this.next, Math.ceil(beginsNs / STEP_NS));
    this.first = this.next;
  }

  /** A sample of the strap; the grid's samples between the last two but one are known now (cubic, Catmull-Rom). */
  #knot(t, value) {
    this.knots.push([t, value]);
    if (this.knots.length === 1) this.knots.unshift([t - STEP_NS, value]);
    if (this.knots.length > 4) this.knots.shift();
    if (this.knots.length < 4) return;
    const [[, a], [t1, b], [t2, c], [, d]] = this.knots;
    for (let at = this.next * STEP_NS; at < t2; at = this.next * STEP_NS) {
      const x = Math.max(0, (at - t1) / (t2 - t1));
      const y = b + 0.5 * x * (c - a + x * (2 * a - 5 * b + 4 * c - d + x * (3 * (b - c) + d - a)));
      if (!this.pending.length) this.first = this.next;
      this.pending.push(Math.max(-32767, Math.min(32767, Math.round(y))));
      this.next++;
      if (this.pending.length === CHUNK) this.#send();
    }
  }

  #send() {
    const t0Ns =
      this.startNs +
      BigInt(Math.round(this.offsetMs * 1e6)) +
      BigInt(Math.round(this.first * STEP_NS));
    this.emit({
      stream: this.stream,
      first: this.first,
      t0Ns,
      samples: Int16Array.from(this.pending),
    });
    this.pending = [];
  }
}
