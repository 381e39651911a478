// The order of the tiles on the screen. What a person asks for happens at once; what the patients' state asks for waits, so that nobody
// clicks on the wrong patient: a tile moves, comes or goes only after HOLD_S in which the wish for it stood.

const HOLD_S = 2;

export class Order {
  #shown = [];
  #since = null;

  get shown() {
    return this.#shown;
  }

  /** Whether a wish stands that is not granted yet. */
  get waits() {
    return this.#since !== null;
  }

  /** At once: a page was turned, a filter chosen. */
  set(ids) {
    this.#shown = ids;
    this.#since = null;
    return ids;
  }

  /** The state of the ward wishes for this order at `now` s. Whether it is time to show it. */
  wish(ids, now) {
    const differs = ids.length !== this.#shown.length || ids.some((id, k) => id !== this.#shown[k]);
    this.#since = differs ? (this.#since ?? now) : null;
    return differs && now - this.#since >= HOLD_S;
  }
}
