// Data of the trend: heart rates in columns, RR intervals beat by beat, and episodes of rhythm; from the store, joined with what the
// live link has delivered since.

import { getJson, patientPath, period } from "../core/api.js";

const MINUTE = 60_000,
  HOUR = 60 * MINUTE;
const POINTS = 720;
const MOST_BEATS = 60_000; // dots kept
const DOTS_OF = 6 * HOUR; // of a longer trend only the newest dots are fetched
const LABELS = "NSVFQ";

export class TrendData {
  constructor(patient, tape) {
    Object.assign(this, { patient, tape });
    this.hr = { t: [], mean: [], low: [], high: [] };
    this.beats = {
      t: new Float64Array(MOST_BEATS),
      rr: new Float32Array(MOST_BEATS),
      label: new Uint8Array(MOST_BEATS),
      n: 0,
    };
    this.episodes = [];
    this.newestBeat = 0;
    this.oldest = null; // start of the period whose beats have been fetched
  }

  /** The newest time that anything is known of. */
  get newest() {
    return Math.max(this.patient.time, this.hr.t.at(-1) ?? 0);
  }

  /** The oldest known heart rate's time. */
  get first() {
    return this.hr.t.find((_, k) => this.hr.mean[k] !== null) ?? this.newest;
  }

  labelOf(k) {
    return LABELS[this.beats.label[k]];
  }

  /** Add what the live link has delivered since the store was read. */
  live() {
    const { patient, hr } = this,
      { vitals } = patient;
    if (vitals && vitals.t > (hr.t.at(-1) ?? 0) + 900) {
      for (const name of ["mean", "low", "high"]) hr[name].push(vitals.hr);
      hr.t.push(vitals.t);
    }
    for (const beat of patient.beats) if (beat.t > this.newestBeat) this.#beat(beat);
    if (patient.rhythm) {
      const last = this.episodes.at(-1);
      if (last?.start === patient.rhythm.start) Object.assign(last, patient.rhythm);
      else if (!last || patient.rhythm.start > last.start)
        this.episodes.push({ ...patient.rhythm });
    }
  }

  /** Read the last `span` ms of the store; a short past is read again in finer columns. `changed` is called as parts arrive. A failure is
   * shown by the rest of the page; known values stay. */
  async read(span, changed) {
    const to = this.patient.time,
      from = to - span,
      { id } = this.patient;
    const rates = (begin) =>
      getJson(patientPath(id, "trend", { ...period(begin, to), points: POINTS }));
    const [trend, episodes] = await Promise.allSettled([rates(from), this.tape.rhythm(from, to)]);
    if (this.closed) return;
    if (trend.status === "fulfilled") {
      this.#keep(trend.value);
      if (this.first > from + span / 2)
        await rates(this.first - MINUTE).then(
          (finer) => this.#keep(finer),
          () => {},
        );
    }
    if (episodes.status === "fulfilled") this.episodes = episodes.value;
    changed();
    await this.#readBeats(to, Math.min(span, DOTS_OF), changed);
  }

  /** Join the columns of the store with newer ones of the live link. */
  #keep({ t, hr, hr_min: low, hr_max: high }) {
    const newer = this.hr.t.findIndex((at) => at > (t.at(-1) ?? 0)),
      rest = (list) => (newer < 0 ? [] : list.slice(newer));
    this.hr = {
      t: [...t, ...rest(this.hr.t)],
      mean: [...(hr ?? []), ...rest(this.hr.mean)],
      low: [...(low ?? hr ?? []), ...rest(this.hr.low)],
      high: [...(high ?? hr ?? []), ...rest(this.hr.high)],
    };
  }

  /** Fetch hour by hour, newest first, as long as data exists. */
  async #readBeats(to, span, changed) {
    if (this.reading) return;
    this.reading = true;
    this.oldest ??= to;
    const live = new Set(this.beats.t.subarray(0, this.beats.n));
    while (this.oldest > this.first && this.oldest > to - span && !this.closed) {
      const from = Math.max(this.first - MINUTE, this.oldest - HOUR);
      const { beats } = await getJson(
        patientPath(this.patient.id, "beats", period(from, this.oldest)),
      ).catch(() => ({ beats: [] }));
      for (const beat of beats) if (!live.has(beat.t)) this.#beat(beat);
      this.oldest = from;
      changed();
    }
    this.reading = false;
  }

  #beat({ t, rr, label }) {
    const { beats } = this;
    this.newestBeat = Math.max(this.newestBeat, t);
    if (!rr || beats.n === MOST_BEATS) return;
    beats.t[beats.n] = t;
    beats.label[beats.n] = Math.max(0, LABELS.indexOf(label));
    beats.rr[beats.n++] = rr;
  }
}
