// How tall a row of the trace must be, and which gains suit the signal.

import { LETTERS_PX } from "./gain.js";

const LOOK_S = 10; // of signal that are judged
const LEAST_MV = 1.5,
  HEADROOM = 1.35;
const LEAST_MM = 4; // a trace that is less tall shows nothing

export class Suit {
  #px = 0;

  constructor(patient) {
    this.patient = patient;
  }

  /** Forget the height that was decided: the gain has changed. */
  again() {
    this.#px = 0;
  }

  /** Height of a row in pixels, at so many pixels per mV. It changes only if the signal does by much: rows must not breathe. */
  rowPx(perMv) {
    const need = Math.max(LEAST_MV, this.#rangeMv) * HEADROOM * perMv + LETTERS_PX;
    if (need > this.#px * 1.1 || need < this.#px * 0.7) this.#px = need;
    return this.#px;
  }

  /** Those of `all` gains (mm/mV) that neither cut nor flatten the signal in rows of up to `mostMm`; the chosen one always is among them. */
  gains(all, chosen, mostMm) {
    const range = this.#rangeMv;
    return all.filter(
      (gain) =>
        gain === chosen || (range * gain <= mostMm && Math.max(0.5, range) * gain >= LEAST_MM),
    );
  }

  /** Range of the newest seconds without the rarest peaks. */
  get #rangeMv() {
    const { samples } = this.patient;
    if (!samples) return LEAST_MV;
    const sorted = samples.sorted(samples.end - LOOK_S * samples.fs, samples.end),
      last = sorted.length - 1;
    if (last < samples.fs) return LEAST_MV;
    return (
      (sorted[Math.ceil(last * 0.999)] - sorted[Math.floor(last * 0.001)]) / samples.countsPerMv
    );
  }
}
