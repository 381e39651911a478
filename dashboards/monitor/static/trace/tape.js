// The stored past of one patient: samples in cells of a minute, beats in cells of an hour, asked for once; and pictures of wide stretches.

import { getBlocks, getJson, patientPath, period } from "../core/api.js";
import { length } from "./plot.js";

const MINUTE = 60_000,
  HOUR = 60 * MINUTE;
const SETTLED_MS = 45_000; // a cell this much older than the newest sample does not grow any more
const ASK_AGAIN_MS = 3000;
const KEPT = { samples: 90, beats: 30, pictures: 12 };

/** Cells of a fixed length that are fetched when they are shown. */
class Cells {
  #cells = new Map();

  constructor(length, kept, fetch) {
    Object.assign(this, { length, kept, fetch });
  }

  /** Fetch the missing cells of [from, to); resolves when all have arrived. */
  async want(from, to, newest) {
    const asked = [];
    for (let start = Math.floor(from / this.length) * this.length; start < to; start += this.length)
      asked.push(this.#want(start, newest));
    await Promise.all(asked);
  }

  /** The cached contents of [from, to), in order of time. */
  known(from, to) {
    const found = [];
    for (let start = Math.floor(from / this.length) * this.length; start < to; start += this.length)
      found.push(...(this.#cells.get(start)?.items ?? []));
    return found;
  }

  #want(start, newest) {
    const cell = this.#cells.get(start);
    if (cell && (cell.settled || performance.now() - cell.at < ASK_AGAIN_MS)) return cell.promise;
    const settled = start + this.length < newest - SETTLED_MS;
    const made = { at: performance.now(), items: cell?.items ?? [], settled };
    made.promise = this.fetch(start, start + this.length).then(
      (items) => {
        made.items = items;
      },
      (problem) => {
        this.#cells.delete(start);
        throw problem;
      },
    );
    this.#cells.delete(start);
    this.#cells.set(start, made);
    if (this.#cells.size > this.kept) this.#cells.delete(this.#cells.keys().next().value);
    return made.promise;
  }
}

export class Tape {
  #pictures = new Map();

  constructor(patient) {
    const path = (what, from, to, more) =>
      patientPath(patient.id, what, { ...period(from, to), ...more });
    this.patient = patient;
    this.path = path;
    this.frozen = null; // the samples of the live page at the moment it was paused
    this.samples = new Cells(MINUTE, KEPT.samples, (from, to) =>
      getBlocks(path("waveform", from, to)),
    );
    this.beats = new Cells(
      HOUR,
      KEPT.beats,
      async (from, to) => (await getJson(path("beats", from, to))).beats,
    );
    this.references = null; // beats of a record's own annotations
  }

  /** Read a record's own annotations too. */
  withReferences() {
    const path = `/api/references/${encodeURIComponent(this.patient.id)}`;
    this.references = new Cells(HOUR, KEPT.beats, async (from, to) => {
      const { references } = await getJson(`${path}?from=${from}&to=${to}`);
      return references;
    });
  }

  /** Keep the samples of the live page, because the newest seconds are not stored yet. */
  freeze() {
    if (this.patient.horizon) return; // of a record under view everything is stored
    this.frozen = this.patient.samples?.block() ?? null;
    this.frozenBeats = [...this.patient.beats];
  }

  /** Blocks of single samples that are known of [from, to). */
  known(from, to) {
    const stored = this.samples.known(from, to),
      { frozen } = this;
    if (!frozen || frozen.t0 >= to) return stored;
    return [
      ...stored.filter((block) => block.t0 < frozen.t0).map((block) => before(block, frozen.t0)),
      frozen,
    ];
  }

  knownBeats(from, to) {
    const found = new Map();
    // the stored ones last: they have an id, which an edit needs
    for (const beat of [...(this.frozenBeats ?? []), ...this.beats.known(from, to)])
      if (beat.t >= from && beat.t < to) found.set(beat.t, beat);
    return [...found.values()].sort((a, b) => a.t - b.t);
  }

  /** The lowest and highest of `points` stretches of [from, to). */
  picture(from, to, points) {
    const key = `${Math.floor(from)} ${Math.ceil(to)} ${points}`;
    let found = this.#pictures.get(key);
    if (!found) {
      found = getBlocks(this.path("waveform", from, to, { points }));
      found.catch(() => this.#pictures.delete(key));
      this.#pictures.set(key, found);
      if (to > this.patient.time - SETTLED_MS)
        setTimeout(() => this.#pictures.delete(key), ASK_AGAIN_MS);
      if (this.#pictures.size > KEPT.pictures)
        this.#pictures.delete(this.#pictures.keys().next().value);
    }
    return found;
  }

  async rhythm(from, to) {
    return (await getJson(this.path("rhythm", from, to))).episodes;
  }

  async alarms(from, to) {
    return (await getJson(this.path("alarms", from, to))).alarms;
  }
}

function before(block, t) {
  if (block.t0 + length(block) <= t) return block;
  return {
    ...block,
    values: block.values.subarray(0, Math.max(0, Math.round((t - block.t0) / block.dt))),
  };
}
