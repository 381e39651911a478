// The alarm limits of the patients on the screen, fetched for one patient after the other, and again after a change.

import { getJson, patientPath } from "../core/api.js";

const OLD_S = 300;

export class LimitsBook {
  #known = new Map(); // by patient: {fields, at}
  #asking = false;
  #wanted = new Set();

  /** "50–120", the limits of the heart rate; "" until they are known. */
  range(id) {
    const known = this.#known.get(id);
    if (!known || performance.now() / 1000 - known.at > OLD_S) this.#want(id);
    return known?.range ?? "";
  }

  /** The limits of the heart rate as numbers, {low, high}; null until they are known. */
  rate(id) {
    const known = this.#known.get(id);
    return known?.range ? { low: known.low, high: known.high } : null;
  }

  /** Read a patient's limits again, for instance after a change. */
  async read(id) {
    const { fields } = await getJson(patientPath(id, "limits"));
    const value = (name) => fields.find((field) => field.name === name)?.value;
    const [low, high] = [value("hr_low_bpm"), value("hr_high_bpm")];
    this.#known.set(id, {
      range: low === undefined || high === undefined ? "" : `${low}–${high}`,
      low,
      high,
      at: performance.now() / 1000,
    });
    return fields;
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
