// The page's state of each patient that it shows. Times `...At` are seconds of the browser's steady clock.

import { Playhead } from "../trace/playhead.js";
import { decodeFrame, Samples } from "../trace/samples.js";
import { completeAlarm } from "../alarms/words.js";

const STALE_S = 3;
const VITALS_STALE_S = 6;
const BEATS_KEPT = 300; // a minute at 300/min: PVC per minute is counted on them
const ALARMS_KEPT = 150;
const RR_STALE_MS = 5000;

export const now = () => performance.now() / 1000;

let serverAheadMs = 0;

/** The server's clock, ms since the epoch. */
export const wallClock = () => Date.now() + serverAheadMs;

export function setServerClock(ms) {
  serverAheadMs = ms - Date.now();
}

const LETHAL = { asystole: "ASYS", ventricular_fibrillation: "VF", ventricular_tachycardia: "VT" };

export class Patient {
  constructor(id) {
    this.id = id;
    this.number = 0;
    this.stream = -1;
    this.known = false;
    this.paused = false; // the player of a record under view stands
    this.restated = 0; // grows when everything must be drawn again
    this.journal = new Map(); // of the person, so that a new stream leaves it
    this.newJournal = []; // for the sweep
    this.#wipe();
  }

  #wipe() {
    this.samples = null;
    this.playhead = new Playhead();
    this.samplesAt = this.vitalsAt = -Infinity;
    this.vitals = this.rhythm = null;
    this.beats = [];
    this.newBeats = []; // for the sweep, which may have passed them already
    this.references = []; // beats of a replayed record's annotations
    this.newReferences = [];
    this.alarms = new Map();
    this.silenced = []; // [{kind, until}]; kind "" stands for any
    this.score = null;
    this.findings = new Map(); // the newest finding of each added task
    this.actions = []; // actions and edits of people since the page was opened
    this.edits = [];
    this.battery = null;
    this.ended = false;
  }

  /** The whole state, as the server sends it when the page begins to watch, and when a stream starts again. */
  take(state) {
    if (state.stream !== this.stream) this.#wipe();
    Object.assign(this, {
      known: true,
      number: state.number,
      stream: state.stream,
      device: state.device,
      lead: state.lead,
      battery: state.battery ?? null,
      vitals: state.vitals,
      rhythm: state.rhythm,
      beats: state.beats,
      references: state.references ?? [],
      ended: state.ended,
      historyLoaded: state.history_loaded,
      samplesAt: state.samples_age_s === null ? -Infinity : now() - state.samples_age_s,
      vitalsAt: state.vitals_age_s === null ? -Infinity : now() - state.vitals_age_s,
    });
    this.silenced = state.silenced ?? [];
    this.score = state.score ?? null;
    this.findings = new Map((state.findings ?? []).map((finding) => [finding.task, finding]));
    this.edits = state.edits ?? [];
    this.noted(state.journal ?? []);
    const arrivedAt = (id) => this.alarms.get(id)?.at ?? -Infinity;
    this.alarms = new Map(
      state.alarms.map((alarm) => [alarm.id, { ...completeAlarm(alarm), at: arrivedAt(alarm.id) }]),
    );
    this.restated++;
  }

  frame(frame) {
    if (frame.samples.length) {
      if (
        !this.samples ||
        this.samples.fs !== frame.fs ||
        this.samples.countsPerMv !== frame.countsPerMv
      )
        this.samples = new Samples(frame);
      this.samples.put(frame);
      this.playhead.arrived(
        this.samples.end / frame.fs,
        frame.samples.length / frame.fs,
        now(),
        frame.past,
      );
    }
    if (frame.past) return;
    this.samplesAt = now();
    this.ended = frame.end;
  }

  event({
    beat,
    reference,
    vitals,
    rhythm,
    alarm,
    score,
    finding,
    battery,
    action,
    silenced,
    edit,
    journal,
  }) {
    if (beat) {
      this.beats.push(beat);
      this.newBeats.push(beat);
      if (this.beats.length > BEATS_KEPT) this.beats.splice(0, this.beats.length - BEATS_KEPT);
    }
    if (reference) {
      this.references.push(reference);
      this.newReferences.push(reference);
      if (this.references.length > BEATS_KEPT)
        this.references.splice(0, this.references.length - BEATS_KEPT);
    }
    if (vitals) {
      this.vitals = vitals;
      this.vitalsAt = now();
    }
    if (rhythm) this.rhythm = rhythm;
    if (alarm) this.#alarm({ ...completeAlarm(alarm), at: now() });
    if (score) this.score = score;
    if (finding) this.findings.set(finding.task, finding);
    if (battery !== undefined) this.battery = battery;
    if (action) this.actions.push(action);
    if (silenced) this.silenced = silenced;
    if (edit) this.edits.push(edit);
    if (journal) this.noted([journal]);
  }

  /** Add alarms from the store that the live link did not deliver. */
  older(alarms) {
    for (const alarm of alarms)
      if (!this.alarms.has(alarm.id))
        this.alarms.set(alarm.id, { ...completeAlarm(alarm), at: -Infinity });
  }

  /** Add entries of the journal; one that is known keeps the rhythm that was stored of it. */
  noted(entries) {
    for (const entry of entries) {
      const known = this.journal.get(entry.id);
      this.journal.set(entry.id, { ...known, ...entry });
      if (!known) this.newJournal.push(entry);
    }
  }

  /** Drop alarms that are over if there are too many, oldest first. */
  #alarm(alarm) {
    this.alarms.delete(alarm.id);
    this.alarms.set(alarm.id, alarm);
    if (this.alarms.size <= ALARMS_KEPT) return;
    const oldest = [...this.alarms.values()]
      .filter((a) => a.over)
      .sort((a, b) => a.onset - b.onset)[0];
    if (oldest) this.alarms.delete(oldest.id);
  }

  /** The present in stream time, in ms since the epoch. */
  get time() {
    if (this.horizon) return this.horizon; // the end of a record under view
    return this.samples ? this.samples.timeOf(this.samples.end) : (this.vitals?.t ?? Date.now());
  }

  /** The rhythm's current label, or "". The label is decided 15 s late; a lethal rhythm is shown at once by its alarm, and only while that holds. */
  get rhythmLabel() {
    const holds = [...this.alarms.values()]
      .filter((a) => !a.over && LETHAL[a.kind])
      .sort((a, b) => b.onset - a.onset)[0];
    if (holds) return LETHAL[holds.kind];
    const label = this.rhythm?.label ?? "";
    return Object.values(LETHAL).includes(label) ? "" : label;
  }

  /** Why nothing can be said of the rhythm, or "". */
  get rhythmReason() {
    return this.rhythmLabel === this.rhythm?.label ? (this.rhythm?.reason ?? "") : "";
  }

  /** ms between the newest two beats; null if the newest is too old to be current. */
  get rr() {
    const beat = this.beats.at(-1);
    return beat && this.time - beat.t < RR_STALE_MS ? beat.rr : null;
  }

  /** Seconds for which an alarm stays silent, 0 if it is not silenced. Alarms of high priority never are. */
  silencedS(alarm) {
    if (alarm.priority === "high") return 0;
    let left = alarm.silenced_until === null ? 0 : alarm.silenced_until - this.time;
    for (const { kind, until } of this.silenced)
      if (!kind || kind === alarm.kind) left = Math.max(left, until - wallClock());
    return Math.max(0, left / 1000);
  }

  /** Seconds for which any kind of alarm stays silent. */
  get silenceS() {
    return Math.max(0, ...this.silenced.map(({ until }) => (until - wallClock()) / 1000));
  }

  /** Number of V beats in the last minute. */
  get pvcPerMinute() {
    const since = (this.beats.at(-1)?.t ?? 0) - 60_000;
    let n = 0;
    for (let k = this.beats.length - 1; k >= 0 && this.beats[k].t > since; k--)
      if (this.beats[k].label === "V") n++;
    return n;
  }

  get age() {
    return now() - this.samplesAt;
  }

  get stale() {
    return this.age > STALE_S;
  }

  get leadOff() {
    return this.samples?.isOff(this.samples.end - 1) ?? false;
  }

  /** {text, reason, trusted}: a number only while it is being measured; "?" if it cannot be trusted, "--" if there is none. */
  heartRate(connected) {
    const none = (reason) => ({ text: "--", reason });
    if (!connected) return none("disconnected");
    if (this.samplesAt === -Infinity) return none("no signal yet");
    if (this.ended) return none("stream ended");
    if (this.paused) return none("paused");
    if (this.stale) return none("no data");
    if (!this.vitals)
      return none(now() - this.vitalsAt > VITALS_STALE_S ? "no analysis yet" : "starting");
    if (now() - this.vitalsAt > VITALS_STALE_S) return none("analysis stopped");
    if (["artefact", "starting"].includes(this.vitals.reason))
      return { text: "?", reason: this.vitals.reason };
    if (this.vitals.hr === null) return none(this.vitals.reason || "no heart rate");
    return { text: String(Math.round(this.vitals.hr)), reason: "" };
  }
}

/** All patients of the page, by id and by the number that frames carry. */
export class Model {
  #byId = new Map();
  #byNumber = new Map();

  /** Keep exactly these patients. */
  show(ids) {
    const kept = new Map(ids.map((id) => [id, this.#byId.get(id) ?? new Patient(id)]));
    this.#byId = kept;
    this.#byNumber = new Map([...kept.values()].filter((p) => p.known).map((p) => [p.number, p]));
  }

  get(id) {
    return this.#byId.get(id);
  }

  [Symbol.iterator]() {
    return this.#byId.values();
  }

  /** Forget the numbers of frames: after a reconnection the server may be another one, and sends everything again. */
  reconnected() {
    this.#byNumber.clear();
    for (const patient of this) patient.stream = -1;
  }

  take(state) {
    const patient = this.#byId.get(state.id);
    if (!patient) return;
    this.#byNumber.delete(patient.number);
    patient.take(state);
    this.#byNumber.set(patient.number, patient);
  }

  frame(buffer) {
    const frame = decodeFrame(buffer);
    const patient = this.#byNumber.get(frame.number);
    if (frame.kind === 1 && patient && patient.stream === frame.stream) patient.frame(frame);
  }

  events(events) {
    for (const event of events) this.#byNumber.get(event.p)?.event(event);
  }
}
