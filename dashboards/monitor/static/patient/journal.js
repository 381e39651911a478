// The journal of one patient: what the wearer said, and changes of bed and device; each with the rhythms of its minute, once they are stored.

import { getJson, patientPath } from "../core/api.js";
import { now, wallClock } from "../core/model.js";

const HOURS = 24;
const READ_AGAIN_S = 15;
const DECIDED_MS = 60_000; // an entry's minute, and the 15 s after which its rhythm is decided
const GIVEN_UP_MS = 600_000; // no rhythm is stored of that time

/** Entries of a moment: what the wearer or a person at the page said. The others are of a bed or device. */
export const ofMoment = ({ kind }) => ["symptom", "note", "event"].includes(kind);

/** "Symptom: dizzy" */
export const journalText = ({ kind, text }) =>
  kind[0].toUpperCase() + kind.slice(1) + (text ? `: ${text}` : "");

export class Journal {
  #readAt = -Infinity;
  #closed = false;

  constructor(patient) {
    this.patient = patient;
  }

  close() {
    this.#closed = true;
  }

  /** Called a few times a second: reads the store at the beginning, and again while the rhythm of an entry may come. */
  refresh() {
    if (now() - this.#readAt < READ_AGAIN_S) return;
    if (this.#readAt === -Infinity || this.#awaited()) this.#read();
  }

  #awaited() {
    return [...this.patient.journal.values()].some((entry) => {
      const age = wallClock() - entry.t;
      return !entry.rhythm?.length && age > DECIDED_MS && age < GIVEN_UP_MS;
    });
  }

  async #read() {
    this.#readAt = now();
    try {
      const to = wallClock() + DECIDED_MS,
        from = to - HOURS * 3_600_000;
      const path = patientPath(this.patient.id, "journal", {
        from: Math.floor(from),
        to: Math.floor(to),
      });
      const { journal } = await getJson(path);
      if (!this.#closed) this.patient.noted(journal);
    } catch {
      /* what came over the live link stays; the next reading is soon */
      this.#readAt = now() - READ_AGAIN_S + 5;
    }
  }
}
