// The baseline and gain of a trace, fixed for a whole pass over a row so that the line does not jump within it.

export const TICKS_PX = 11; // kept free for the beat marks above a trace whose gain follows the signal
const BASELINE_S = 2;
const STRAYED = 0.3; // of a row's height: a fixed-gain trace that has wandered this far is centred again
const LOOK_S = 0.1; // interval of this check
const RECENT_S = 0.6;
export const LETTERS_PX = 24; // kept free for the beats' letters above a trace of fixed gain
const LEVELS = [0.6, 0.7, 0.8]; // of a row's height: R waves are taller than S waves are deep
const FULL_SCALES_MV = [1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 12, 20]; // of a tile's height

const median = (sorted) => (sorted.length ? sorted[sorted.length >> 1] : 0);

/** Where the baseline lies, in pixels beneath the row's top: as high as the peaks, `up` pixels tall, leave room for the letters. */
export const levelOf = (height, up, ratio) =>
  height * (LEVELS.find((share) => height * share - up >= LETTERS_PX * ratio) ?? LEVELS.at(-1));

/**
 * The gain that a person has chosen. `baseline` counts lie `level` pixels below the row's top, `scale` is pixels (of the device) per mV.
 */
export class FixedGain {
  constructor(sweep) {
    this.sweep = sweep;
    this.passed = null;
    this.baseline = 0;
    this.scale = sweep.options.mmPerMv * sweep.options.mm;
    this.level = levelOf(sweep.rowHeight, 0, sweep.ratio);
  }

  begin(pass) {
    if (pass === this.passed) return;
    const { samples, perRow } = this.sweep,
      start = pass * perRow;
    this.passed = pass;
    this.looked = start;
    const around = samples.sorted(
      start - BASELINE_S * samples.fs,
      start + (BASELINE_S * samples.fs) / 2,
    );
    const seen = around.length ? around : samples.sorted(start, start + perRow);
    this.baseline = median(seen);
    const peak = seen.length ? seen[Math.floor((seen.length - 1) * 0.998)] : this.baseline;
    const up = ((peak - this.baseline) / samples.countsPerMv) * this.scale;
    // never back up: rows must not move by a beat that is a little lower
    this.level = Math.max(this.level, levelOf(this.sweep.rowHeight, up, this.sweep.ratio));
  }

  /** Centre a trace that has wandered off, with a visible step, rather than lose it; true if that happened at this index. */
  follow(index) {
    const { samples, rowHeight } = this.sweep;
    if (index - this.looked < LOOK_S * samples.fs) return false;
    this.looked = index;
    const recent = samples.sorted(index - RECENT_S * samples.fs, index);
    const strayed = (Math.abs(median(recent) - this.baseline) / samples.countsPerMv) * this.scale;
    if (!recent.length || strayed <= rowHeight * STRAYED) return false;
    this.baseline = median(recent);
    return true;
  }
}

/** A gain that follows the signal: the smallest full scale that holds the known samples of the pass and the seconds before it. */
export class FittingGain {
  constructor(sweep) {
    this.sweep = sweep;
    this.passed = null;
    this.baseline = this.scale = this.level = 0;
  }

  begin(pass) {
    if (pass === this.passed) return;
    this.passed = pass;
    const { samples, perRow, rowHeight, ratio, pen } = this.sweep,
      start = pass * perRow;
    const values = samples.sorted(
      start - 6 * samples.fs,
      Math.min(start + perRow, Math.max(start + 2 * samples.fs, pen)),
    );
    const lowest = values.length ? values[0] : 0,
      highest = values.length ? values[values.length - 1] : 0;
    const range = (highest - lowest) / samples.countsPerMv;
    const full =
      FULL_SCALES_MV.find((mv) => mv * 0.9 >= range) ?? FULL_SCALES_MV[FULL_SCALES_MV.length - 1];
    const free = rowHeight - TICKS_PX * ratio;
    this.baseline = (lowest + highest) / 2;
    this.scale = free / full;
    this.level = TICKS_PX * ratio + free / 2;
  }

  follow() {
    return false;
  }
}
