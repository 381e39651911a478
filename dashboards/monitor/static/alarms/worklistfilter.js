// Which alarms the worklist shows, and in which order.

import { h } from "../core/dom.js";
import { alarmName } from "./words.js";

const HOURS = [
  ["1", "1 h"],
  ["8", "8 h"],
  ["24", "24 h"],
  ["168", "7 days"],
];
const PRIORITIES = [
  ["", "Any priority"],
  ["high", "*** high"],
  ["medium", "** medium"],
  ["low", "* low"],
  ["technical", "Technical"],
];
const STATES = [
  ["", "Any state"],
  ["open", "Not acknowledged"],
  ["holds", "Holds"],
  ["acknowledged", "Acknowledged"],
  ["over", "Over"],
];
const REVIEWS = [
  ["", "Reviewed or not"],
  ["no", "Not reviewed"],
  ["yes", "Reviewed"],
];

/** A person's choice; it survives a visit to an alarm's page. */
const chosen = { hours: "24", priority: "", kind: "", state: "", review: "" };

const STATE_FITS = {
  open: (a) => a.standing && a.acknowledged === null,
  holds: (a) => !a.over,
  acknowledged: (a) => a.acknowledged !== null,
  over: (a) => a.over,
};

export function fits(alarm, { priority, kind, state, review }) {
  const level = alarm.technical ? "technical" : alarm.priority;
  return (
    (!priority || priority === level) &&
    (!kind || kind === alarm.kind) &&
    (!state || STATE_FITS[state](alarm)) &&
    (!review || (review === "yes") === Boolean(alarm.verdict))
  );
}

/** Alarms that wait for somebody first, then those that nobody has reviewed, then the others; the newest first in each. */
export function sorted(alarms) {
  const rank = (a) => (STATE_FITS.open(a) ? 0 : a.verdict ? 2 : 1);
  return alarms.sort((a, b) => rank(a) - rank(b) || b.onset - a.onset);
}

export const alarmHref = (alarm) =>
  `/alarm?patient=${encodeURIComponent(alarm.patient)}&id=${encodeURIComponent(alarm.id)}`;

export class Filters {
  constructor(changed) {
    this.changed = changed;
    this.kinds = this.#select("Kind", "kind", [["", "Any kind"]]);
    this.element = h(
      "div",
      { class: "worklist-filters", role: "group", "aria-label": "Filters" },
      this.#select("Began in the last", "hours", HOURS),
      this.#select("Priority", "priority", PRIORITIES),
      this.kinds,
      this.#select("State", "state", STATES),
      this.#select("Review", "review", REVIEWS),
    );
  }

  get chosen() {
    return chosen;
  }

  get hours() {
    return chosen.hours;
  }

  static get hours() {
    return chosen.hours;
  }

  /** Offer the kinds that occur. */
  offer(alarms) {
    const kinds = [...new Set([chosen.kind, ...alarms.map((a) => a.kind)])].filter(Boolean);
    const key = kinds.sort().join();
    if (this.kinds.dataset.key === key) return;
    this.kinds.dataset.key = key;
    this.kinds.replaceChildren(
      h("option", { value: "" }, "Any kind"),
      ...kinds.map((kind) =>
        h("option", { value: kind, selected: kind === chosen.kind }, alarmName(kind)),
      ),
    );
  }

  #select(label, name, options) {
    return h(
      "select",
      {
        "aria-label": label,
        onchange: (event) => {
          chosen[name] = event.target.value;
          this.changed();
        },
      },
      ...options.map(([value, text]) =>
        h("option", { value, selected: value === chosen[name] }, text),
      ),
    );
  }
}
