// The arithmetic of a still trace: which period is shown, in how many rows, and which place on the screen belongs to which time.

const STEPS_MS = [1, 2, 5, 10, 60, 120, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400].map(
  (s) => s * 1000,
);
const ROWS = 3;

export class StillRows {
  from = null; // start of the period, ms; null while the trace is live
  span = null; // its length, ms
  width = 0; // of a row, CSS pixels
  height = 0; // of all rows
  perRow = 0; // what a row to size holds, ms

  /** What the rows hold to size, ms. */
  get screen() {
    return ROWS * this.perRow;
  }

  get rows() {
    return this.span !== null && this.span < this.screen ? 1 : ROWS;
  }

  get rowHeight() {
    return this.height / this.rows;
  }

  /** Time that a row of the shown period holds, ms. */
  get rowSpan() {
    return this.span / this.rows;
  }

  clear() {
    this.from = this.span = null;
  }

  /** Show `length` ms from `from` on, but nothing outside of the data [first, last) ms. */
  show(from, length, { from: first, to: last }) {
    this.span = Math.min(length, Math.max(this.screen, last - first));
    const latest = last - this.span; // before the first sample if there is less than a screen
    this.from = Math.max(Math.min(first, latest), Math.min(from, latest));
  }

  /** The next length in (-1) or out (1), ms; undefined if there is none. */
  zoomed(step) {
    const steps = [...STEPS_MS, this.screen].sort((a, b) => a - b);
    return steps[steps.findIndex((ms) => ms >= this.span) + step];
  }

  /** From when `length` ms must be shown, that the time `at` stays where it is. */
  around(at, length) {
    return at - ((at - this.from) / this.span) * length;
  }

  /** The row and the time of a place (CSS pixels from the corner). */
  at(x, y) {
    const row = Math.max(0, Math.min(this.rows - 1, Math.floor(y / this.rowHeight)));
    return { row, t: this.from + row * this.rowSpan + (x / this.width) * this.rowSpan };
  }

  /** The place of a time: {row, x} in CSS pixels, row -1 if it is not shown. */
  placeOf(t) {
    const row = Math.floor((t - this.from) / this.rowSpan);
    return row < 0 || row >= this.rows
      ? { row: -1, x: 0 }
      : { row, x: ((t - this.from - row * this.rowSpan) / this.rowSpan) * this.width };
  }
}

/** The shortest period that a person can zoom to, ms. */
export const SHORTEST_MS = STEPS_MS[0];
