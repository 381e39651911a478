// The alarm limits of the patients on the screen, fetched for one patient after the other, and again after a change.

import { getJson, patientPath } from "../core/api.js";

const OLD_S = 300,
  LOOK_MS = 300,
  BACK_MS = 5000;

export class LimitsBook {
  #known = new Map(); // by patient: {range, low, high, off, at}
  #asking = false;
  #wanted = new Set();

  /** "50–120", the limits of the heart rate; "" until they are known. */
  range(id) {
    const known = this.#known.get(id);
    if (!known || performance.now() / 1000 - known.at > OLD_S) this.#want(id);
    return known?.range ?? "";
  }

  /** "HR low off", the alarms that are switched off; "" if none is, or until they are known. */
  off(id) {
    const off = this.#known.get(id)?.off ?? [];
    return off.length > 2
      ? `${off.length} alarms off`
      : off.map((name) => `${name} off`).join(", ");
  }

  /** The limits of the heart rate as numbers, {low, high}; null until they are known. */
  rate(id) {
    const known = this.#known.get(id);
    return known?.range ? { low: known.low, high: known.high } : null;
  }

  /** Read a patient's limits again, for instance after a change; returns the server's answer. */
  async read(id) {
    const answer = await getJson(patientPath(id, "limits")),
      { fields, alarms } = answer;
    const value = (name) => fields.find((field) => field.name === name)?.value;
    const [low, high] = [value("hr_low_bpm"), value("hr_high_bpm")];
    this.#known.set(id, {
      range: low === undefined || high === undefined ? "" : `${low}–${high}`,
      low,
      high,
      off: alarms.filter((alarm) => !alarm.on).map((alarm) => alarm.name),
      at: performance.now() / 1000,
    });
    return answer;
  }

  forget(id) {
    this.#known.delete(id);
  }

  async #want(id) {
    this.#wanted.add(id);
    if (this.#asking) return;
    this.#asking = true;
    for (const next of this.#wanted) {
      this.#wanted.delete(next);
      await this.read(next).catch(() =>
        this.#known.set(next, { range: "", at: performance.now() / 1000 }),
      );
    }
    this.#asking = false;
  }
}

/** Read the patient's limits until `fits` is true of the answer; returns it, or null after 5 s. */
export async function readUntil(book, id, fits) {
  for (const until = performance.now() + BACK_MS; performance.now() < until; ) {
    const answer = await book.read(id).catch(() => null);
    if (answer && fits(answer)) return answer;
    await new Promise((resolve) => {
      setTimeout(resolve, LOOK_MS);
    });
  }
  return null;
}
