// Overlays that cover the trace on request: the review of an alarm, or an hour at a glance (full disclosure).

import { Disclosure } from "../trace/disclosure.js";
import { setClass } from "../core/dom.js";
import { BeatEditor } from "../review/beateditor.js";
import { Edits } from "../review/edits.js";
import { Review } from "../review/review.js";

export class Overlays {
  /** `cover` is the element that is covered; steps: {goTo(t), nextAlarm(step), listed(step), print()} */
  constructor(patient, tape, session, cover, steps) {
    Object.assign(this, { patient, tape, cover, steps });
    this.edits = new Edits(patient, session);
    this.panel = null;
  }

  /** The alarm under review, or null. */
  get reviewed() {
    return this.panel instanceof Review ? this.panel.alarm : null;
  }

  get disclosed() {
    return this.panel instanceof Disclosure;
  }

  review(alarm) {
    const { goTo, nextAlarm, listed, print } = this.steps;
    this.#open(
      new Review(this.patient, alarm, {
        edits: this.edits,
        steps: { close: () => this.close(true), alarm: nextAlarm, listed, show: goTo, print },
      }),
    );
  }

  /** Edit the beats around a time. */
  editBeats(at) {
    this.#open(
      new BeatEditor(this.patient, this.tape, at, {
        edits: this.edits,
        close: () => this.close(true),
      }),
    );
  }

  get editing() {
    return this.panel instanceof BeatEditor;
  }

  disclose() {
    this.#open(
      new Disclosure(this.patient, this.tape, {
        show: (t) => this.steps.goTo(t),
        close: () => this.close(true),
      }),
    );
  }

  #open(panel) {
    this.close();
    this.panel = panel;
    this.cover.append(panel.element);
    setClass(this.cover, "covered", true);
  }

  close(focus = false) {
    if (!this.panel) return;
    this.panel.end();
    this.panel.element.remove();
    this.panel = null;
    setClass(this.cover, "covered", false);
    if (focus) document.getElementById("view").focus();
  }
}
