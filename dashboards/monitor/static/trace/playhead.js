// The position at which the trace is being drawn, in seconds of the stream.
//
// Samples come in chunks of about half a second; the trace must move evenly. So it runs on the browser's steady clock, a fixed delay behind the
// newest sample: one chunk (it is used up when the next one comes) and MARGIN_S for the way here. A chunk of 0.5 s gives 0.7 s. When
// chunks come a little early or late the pace is bent by at most BEND, which no eye sees; more than JUMP_S behind, it jumps. It never runs past
// the newest sample: without data the trace stands still. A replay faster or slower than life is followed at its own pace.
// Beats come 1 to 2 s after their samples and are marked on the trace where they belong, behind the sweep.

const MARGIN_S = 0.2;
const BEND = 0.1;
const JUMP_S = 2;
const PACE_S = [1.5, 4]; // the pace is measured over this much time

export class Playhead {
  #newest = -Infinity;
  #from = -Infinity; // position at #fromNow
  #fromNow = 0;
  #pace = 1;
  #bent = 1;
  #chunk = 0.5;
  #arrivals = [];

  /** The stream now reaches to `newest` s, by a chunk of `length` s, at `now` s of the steady clock. */
  arrived(newest, length, now, past = false) {
    if (newest <= this.#newest) return;
    const at = this.at(now);
    this.#newest = newest;
    if (length > 0) this.#chunk = Math.max(length, this.#chunk * 0.9);
    if (past)
      this.#arrivals = []; // old samples arrive in one burst and say nothing about the pace
    else this.#measure(now);
    if (past || at === -Infinity) return this.#settle(now);
    const delay = this.#chunk + MARGIN_S * this.#pace;
    const excess = newest - at - delay;
    if (excess > JUMP_S * this.#pace) return this.#settle(now);
    this.#from = at;
    this.#fromNow = now;
    const bend = Math.abs(excess) < 0.05 * this.#pace ? 0 : (0.2 * excess) / this.#pace;
    this.#bent = this.#pace * (1 + Math.max(-BEND, Math.min(BEND, bend)));
  }

  /** The position at `now`; -Infinity before the first sample. */
  at(now) {
    return Math.min(this.#newest, this.#from + (now - this.#fromNow) * this.#bent);
  }

  #settle(now) {
    this.#from = this.#newest - this.#chunk - MARGIN_S * this.#pace;
    this.#fromNow = now;
    this.#bent = this.#pace;
  }

  #measure(now) {
    const last = this.#arrivals.at(-1);
    if (last && now - last.now < 0.02)
      last.newest = this.#newest; // chunks that arrived together
    else this.#arrivals.push({ now, newest: this.#newest });
    while (now - this.#arrivals[0].now > PACE_S[1]) this.#arrivals.shift();
    const first = this.#arrivals[0];
    if (now - first.now < PACE_S[0]) return;
    const pace = (this.#newest - first.newest) / (now - first.now);
    this.#pace = Math.abs(pace - 1) < 0.15 ? 1 : Math.max(0.05, pace);
  }
}
