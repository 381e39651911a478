// The order of the tiles on the screen. A person's request takes effect at once; a change by the patients' state waits, so that nobody
// clicks on the wrong patient: a tile moves, comes or goes only after the new order has been wanted for HOLD_S.

const HOLD_S = 2;

export class Order {
  #shown = [];
  #since = null;

  get shown() {
    return this.#shown;
  }

  /** True if a new order is wanted but not shown yet. */
  get waits() {
    return this.#since !== null;
  }

  /** Set the order at once: a page was turned or a filter chosen. */
  set(ids) {
    this.#shown = ids;
    this.#since = null;
    return ids;
  }

  /** Take the order that the ward's state wants at `now` s. Returns true if it is time to show it. */
  wish(ids, now) {
    const differs = ids.length !== this.#shown.length || ids.some((id, k) => id !== this.#shown[k]);
    this.#since = differs ? (this.#since ?? now) : null;
    return differs && now - this.#since >= HOLD_S;
  }
}
