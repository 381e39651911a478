// The review of one event: its strip 10 s before and after, the model's answer and confidence, and people's edits.

import { getJson, patientPath, period } from "../core/api.js";
import { h, setText } from "../core/dom.js";
import { length } from "../trace/plot.js";
import { Reasons } from "../trace/reasons.js";
import { stripOf } from "../trace/strip.js";
import { alarmText, BEATS, dayTime, mark } from "../alarms/words.js";
import { beatBar } from "./beatbar.js";
import { labelEdit } from "./beatedits.js";
import { BeatPaper } from "./beatpaper.js";
import { ModelCard } from "./modelcard.js";
import { PeopleCard } from "./peoplecard.js";
import { standingBeats } from "./standingbeats.js";

const AROUND_MS = 10_000,
  AGAIN_MS = 3000,
  COMES_MS = 60_000;

export class Review {
  /** steps: {close(), alarm(±1): of this patient, listed(±1): of the list of all alarms, show(t): in the trace, print()} */
  constructor(patient, alarm, { edits, steps }) {
    Object.assign(this, { patient, alarm, edits, steps });
    this.blocks = [];
    this.beats = [];
    this.reasons = new Reasons(patient);
    this.paper = new BeatPaper(`Strip of ${alarmText(alarm)}`, {
      changed: () => this.#paint(),
      choose: (beat) => this.#choose(beat),
      over: [this.reasons.bars],
    });
    this.note = h("p", { class: "strip-note" });
    this.beatBar = h("div", { class: "beat-bar" });
    this.model = new ModelCard(alarm, this.reasons);
    this.people = new PeopleCard(alarm, (edit) => this.#record(edit));
    this.element = h(
      "section",
      { class: "review", "aria-label": "Review of an alarm" },
      this.#head(),
      this.paper.element,
      this.note,
      this.beatBar,
      h("div", { class: "columns" }, this.model.element, this.people.element),
    );
    this.#load();
    this.model.show([]);
    queueMicrotask(() => this.closing.focus());
  }

  end() {
    this.ended = true;
    this.paper.end();
    clearTimeout(this.timer);
  }

  /** Called a few times a second: show edits that arrive over the live link. */
  refresh() {
    const key = this.edits.all.map((edit) => edit.id).join();
    if (key === this.editsKey) return;
    this.editsKey = key;
    this.#marks();
  }

  /** Arrows choose a beat; while it has the focus, letters say what it is and Delete that there is none. */
  key(event) {
    const { key } = event,
      letter = key.toUpperCase(),
      step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (step) this.#next(step);
    else if (!this.chosen || !event.target.closest(".beat, .beat-bar")) return false;
    else if (BEATS[letter]) this.#label(letter);
    else if (key === "Delete" || key === "Backspace") this.#label(null);
    else if (key === "Escape") this.#leave();
    else return false;
    return true;
  }

  async #load() {
    const { id } = this.patient,
      around = period(this.alarm.onset - AROUND_MS, this.alarm.onset + AROUND_MS);
    this.edits.load().catch(() => {});
    const [strip, beats, rhythm] = await Promise.allSettled([
      stripOf(id, this.alarm.id),
      getJson(patientPath(id, "beats", around)),
      getJson(patientPath(id, "rhythm", around)),
    ]);
    if (this.ended) return;
    if (beats.status === "fulfilled") this.beats = beats.value.beats;
    if (strip.status === "fulfilled") this.blocks = strip.value;
    setText(this.note, strip.status === "fulfilled" ? this.#coming() : strip.reason.message);
    if (!this.blocks.length) this.timer = setTimeout(() => this.#load(), AGAIN_MS);
    this.model.show(this.beats, rhythm.status === "fulfilled" ? rhythm.value.episodes : []);
    this.#paint();
  }

  /** Why there is no strip, "" if there is one. */
  #coming() {
    if (this.blocks.length) return "";
    const fresh = this.patient.time - this.alarm.raised < COMES_MS;
    return fresh
      ? "The strip is kept some 20 s after the alarm began: it comes here by itself."
      : "No strip of this alarm is stored.";
  }

  /** The period on the paper, ms: of the strip, or around the onset while there is none. */
  get period() {
    const { onset } = this.alarm,
      last = this.blocks.at(-1);
    return {
      from: this.blocks[0]?.t0 ?? onset - AROUND_MS,
      to: last ? last.t0 + length(last) : onset + AROUND_MS,
    };
  }

  #paint() {
    const { paper } = this,
      { from, to } = this.period;
    if (!paper.width) return;
    const rows = Math.ceil((to - from) / 1000 / paper.rowSeconds - 1e-6);
    paper.draw(this.blocks, { from, to, rows, marks: [{ t: this.alarm.onset, name: "onset" }] });
    const { place, rowHeight, pxPerS } = paper;
    this.reasons.paint({ place, from, to, rowHeight, pxPerS });
    this.#marks();
  }

  /** The beats on the paper as they stand after people's edits. */
  get standing() {
    const { from, to } = this.period;
    return standingBeats(this.beats, this.edits, from, to);
  }

  /** Show the beats as they stand, and what people say. */
  #marks() {
    const beats = this.standing,
      ids = new Set([this.alarm.id, ...beats.map(({ id }) => id)]);
    this.people.show(this.edits.all.filter((edit) => ids.has(edit.target_id)).reverse());
    this.paper.mark(beats, this.chosen?.id);
    const again = beats.find(({ id }) => id === this.chosen?.id);
    if (again) this.#say(again);
  }

  /** Choose the beat beside the chosen one; at first the one nearest to the onset. */
  #next(step) {
    const beats = this.standing,
      at = beats.findIndex(({ id }) => id === this.chosen?.id);
    const first = step > 0 ? beats.findIndex(({ t }) => t >= this.alarm.onset - 1) : -1;
    const next = beats[at >= 0 ? at + step : Math.max(0, first)];
    if (next) this.#choose(next);
  }

  #choose(beat) {
    this.#say(beat);
    this.paper.mark(this.standing, beat.id);
    this.paper.focus(beat.id);
  }

  #leave() {
    this.chosen = null;
    this.beatBar.replaceChildren();
    this.#marks();
    this.closing.focus();
  }

  /** Show what can be said of a beat. */
  #say(beat) {
    this.chosen = beat;
    const why = beat.model
      ? [[`Why ${beat.model.label}?`, () => this.reasons.ask("beat", beat.model.t)]]
      : [];
    this.beatBar.replaceChildren(...beatBar(beat, (label) => this.#label(label), why));
  }

  #label(label) {
    const edit = labelEdit(this.chosen, label);
    if (edit) this.#record(edit);
  }

  async #record(edit) {
    await this.edits.record(edit, this.people.feedback);
    this.refresh();
  }

  #head() {
    const { alarm, steps } = this,
      button = (text, press, title = "") => h("button", { onclick: press, title }, text);
    this.closing = button("Close  Esc", () => steps.close());
    return h(
      "div",
      { class: "review-head", "data-level": alarm.technical ? "technical" : alarm.priority },
      h("h2", {}, `${alarm.technical ? "" : `${mark(alarm)} `}${alarmText(alarm)}`),
      h("time", {}, dayTime(alarm.onset, this.patient.time)),
      h("span", { class: "space" }),
      this.paper.scale.element,
      h(
        "span",
        { class: "group" },
        button("‹ Previous  p", () => steps.alarm(-1), "The patient's previous alarm"),
        button("Next  n ›", () => steps.alarm(1), "The patient's next alarm"),
      ),
      button("Next in the list  j ›", () => steps.listed(1), "Of all patients' alarms; k: back"),
      button("Print  o", () => steps.print()),
      button("In the trace", () => steps.show(alarm.onset)),
      this.closing,
    );
  }
}
