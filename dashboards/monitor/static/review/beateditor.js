// Beats on paper, to be edited: choose one by arrows or a click, relabel by its letter, delete, move by Shift and arrows, insert at a click beside them.

import { BEATS, time } from "../alarms/words.js";
import { h, setText } from "../core/dom.js";
import { beatBar } from "./beatbar.js";
import { labelEdit, moveEdit } from "./beatedits.js";
import { BeatPaper } from "./beatpaper.js";
import { standingBeats } from "./standingbeats.js";

const ROWS = 3,
  SCREEN = 0.9; // of what is shown, that a step goes on
const STEP_MS = 4,
  BIG_MS = 20;
const NEAR_MS = 60; // a click this close to a beat chooses it

export class BeatEditor {
  /** Beats around a time, ms. `close` ends the editor. */
  constructor(patient, tape, at, { edits, close }) {
    Object.assign(this, { patient, tape, at, edits, close, chosen: null });
    this.paper = new BeatPaper("Beats to edit", {
      changed: () => this.#show(this.at),
      choose: (beat) => this.#choose(beat),
    });
    this.bar = h("div", { class: "beat-bar" });
    this.feedback = h("p", { class: "feedback", role: "status" });
    this.title = h("time", {});
    this.element = h(
      "section",
      { class: "review beat-editor", "aria-label": "Edit beats" },
      this.#head(),
      this.paper.element,
      this.bar,
      h(
        "p",
        { class: "strip-note" },
        "← → choose a beat · N S V F Q relabel · Delete: no beat · Shift ← → move · click beside the beats: insert · , . a screen back and on",
      ),
      this.feedback,
    );
    this.paper.element.addEventListener("click", (event) => this.#clicked(event));
    this.edits.load().then(
      () => this.#marks(),
      () => {},
    );
    queueMicrotask(() => this.closing.focus());
  }

  end() {
    this.ended = true;
    this.paper.end();
  }

  /** Called a few times a second: show edits that arrive over the live link. */
  refresh() {
    const key = this.edits.all.map((edit) => edit.id).join();
    if (key === this.editsKey) return;
    this.editsKey = key;
    this.#marks();
  }

  key(event) {
    const { key, shiftKey } = event,
      letter = key.toUpperCase(),
      step = { ArrowRight: 1, ArrowLeft: -1, ".": 1, ",": -1 }[key];
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (key === "Escape") this.close();
    else if (step && !key.startsWith("Arrow")) this.#turn(step);
    else if (step && shiftKey) this.#move(step * STEP_MS);
    else if (step) this.#next(step);
    else if (BEATS[letter] && this.chosen) this.#label(letter);
    else if ((key === "Delete" || key === "Backspace") && this.chosen) this.#label(null);
    else return false;
    return true;
  }

  /** Show the rows around a time. */
  async #show(at) {
    if (!this.paper.width) return;
    const half = (ROWS * this.paper.rowSeconds * 1000) / 2;
    Object.assign(this, { at, from: at - half, to: at + half });
    setText(this.title, `${time(this.from)} – ${time(this.to)}`);
    const newest = this.patient.time;
    await Promise.allSettled([
      this.tape.references?.want(this.from, this.to, newest),
      this.tape.samples.want(this.from, this.to, newest),
      this.tape.beats.want(this.from, this.to, newest),
    ]);
    if (!this.ended && at === this.at) this.#paint();
  }

  /** A screen on (1) or back (-1). */
  #turn(step) {
    return this.#show(this.at + step * SCREEN * (this.to - this.from));
  }

  #paint() {
    const { from, to } = this;
    this.paper.draw(this.tape.known(from, to), { from, to, rows: ROWS });
    this.#marks();
  }

  get #beats() {
    const { from, to } = this;
    // a beat that was moved into the period may have been found outside of it
    const found = this.tape.knownBeats(from - 1000, to + 1000);
    return standingBeats(found, this.edits, from, to);
  }

  #marks() {
    if (!this.to) return;
    const beats = this.#beats,
      references = (this.tape.references?.known(this.from, this.to) ?? []).filter(
        ({ t }) => t >= this.from && t < this.to,
      );
    this.paper.mark(beats, this.chosen?.id, references);
    const again = this.chosen?.id && beats.find((beat) => beat.id === this.chosen.id);
    if (again) this.#say(again);
  }

  #beside(step, at) {
    const beats = this.#beats;
    return step > 0 ? beats.find(({ t }) => t > at + 1) : beats.findLast(({ t }) => t < at - 1);
  }

  async #next(step) {
    const at = this.chosen?.t ?? (step > 0 ? this.from : this.to);
    if (!this.#beside(step, at)) await this.#turn(step);
    const next = this.#beside(step, at);
    if (next) this.#choose(next);
  }

  #choose(beat) {
    this.#say(beat);
    this.#marks();
  }

  /** Show what can be said of a beat. */
  #say(beat) {
    this.chosen = beat;
    const moves = [
      ["◂ Earlier", () => this.#move(-BIG_MS)],
      ["Later ▸", () => this.#move(BIG_MS)],
    ];
    this.bar.replaceChildren(...beatBar(beat, (label) => this.#label(label), beat.id ? moves : []));
  }

  /** Choose the beat under the pointer, or a place for a new one. */
  #clicked(event) {
    if (event.target.closest("button") || !this.to) return;
    const t = this.paper.timeAt(event);
    const near = this.#beats.find((beat) => Math.abs(beat.t - t) < NEAR_MS);
    this.#choose(near ?? { id: "", t, label: "N", gone: false });
  }

  #label(label) {
    const edit = labelEdit(this.chosen, label);
    if (!edit) return;
    this.chosen = { ...this.chosen, id: edit.target_id };
    this.#record(edit);
  }

  #move(ms) {
    if (this.chosen?.id) this.#record(moveEdit(this.chosen, ms));
  }

  async #record(edit) {
    await this.edits.record(edit, this.feedback);
    this.refresh();
  }

  #head() {
    this.closing = h("button", { onclick: () => this.close() }, "Close  Esc");
    return h(
      "div",
      { class: "review-head" },
      h("h2", {}, "Edit beats"),
      this.title,
      h("span", { class: "space" }),
      this.paper.scale.element,
      h("button", { onclick: () => this.#turn(-1) }, "‹ Back  ,"),
      h("button", { onclick: () => this.#turn(1) }, "On  . ›"),
      this.closing,
    );
  }
}
