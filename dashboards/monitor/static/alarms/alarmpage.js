// The page of one alarm, behind the link that a notification carries: for the nurse on call, with a phone in the hand. What it is, whose,
// since when, the strip, and two large buttons: acknowledge, and call the next person.

import { getJson, patientPath } from "../core/api.js";
import { h, setClass, setData, setHidden, setText } from "../core/dom.js";
import { now } from "../core/model.js";
import { onTheme } from "../core/theme.js";
import { drawOnPaper, LEAD_IN_MM, rowFor } from "../trace/paper.js";
import { length } from "../trace/plot.js";
import { printStrip } from "../trace/printstrip.js";
import { stripOf } from "../trace/strip.js";
import { age, alarmState, alarmText, completeAlarm, dayTime, mark, rhythmInFull } from "./words.js";
import { stateWords } from "./alarmlist.js";
import { goBeside, reviewHref } from "./worklistorder.js";

const AGAIN_MS = 3000;
const RECORDED_MS = 60_000; // a strip ends 10 s after the onset, and is stored soon after
const MM = 3.2; // CSS pixels per mm: 20 s fit a few screens of a phone
const SPEED = 25,
  GAIN = 10;

export class AlarmPage {
  /** context: {actions, session, say, go} */
  constructor(root, patient, id, context) {
    Object.assign(this, { patient, id, context, stored: null, blocks: null });
    this.title = h("h1");
    this.since = h("p", { class: "none" });
    this.state = h("p", { role: "status" });
    this.rate = h("span", { class: "rate" });
    this.rhythm = h("span", { class: "rhythm" });
    this.note = h("p", { class: "none", role: "status" }, "The strip is being recorded …");
    this.canvas = h("canvas", { role: "img", "aria-label": "The ECG around the alarm" });
    this.paper = h(
      "div",
      { class: "paper", tabindex: 0, role: "region", "aria-label": "Strip; scrolls" },
      this.canvas,
    );
    this.acknowledge = h(
      "button",
      { class: "primary", onclick: () => this.#act("acknowledge") },
      "Acknowledge",
    );
    this.escalate = h(
      "button",
      {
        title: "Raises the alarm again now: whoever is next in the plan is called",
        onclick: () => this.#act("escalate"),
      },
      "Call the next person",
    );
    this.feedback = h("div", { class: "feedback", role: "status" });
    this.href = `/patient?id=${encodeURIComponent(patient.id)}`;
    this.element = h(
      "section",
      { class: "alarm-page", "aria-label": "Alarm" },
      h("a", { class: "up inside", href: "/worklist" }, "‹ Alarms"),
      this.title,
      h("p", { class: "whom" }, patient.id),
      this.since,
      h(
        "div",
        { class: "big-acts" },
        this.acknowledge,
        this.escalate,
        h("a", { class: "button inside", href: this.href }, "Live trace"),
        h("button", { title: "o", onclick: () => this.#print() }, "Print"),
      ),
      this.feedback,
      this.state,
      this.note,
      this.paper,
      h("div", { class: "rate-now" }, "Now ", this.rate, this.rhythm),
    );
    root.replaceChildren(this.element);
    this.offTheme = onTheme(() => this.#paint());
    this.#load();
  }

  close() {
    clearTimeout(this.timer);
    this.closed = true;
    this.offTheme();
  }

  frame() {}

  key(event) {
    const actions = {
      a: () => this.#act("acknowledge"),
      Enter: () => this.context.go(this.href),
      j: () => goBeside(this.id, 1, this.context),
      k: () => goBeside(this.id, -1, this.context),
      r: () => this.context.go(reviewHref({ patient: this.patient.id, id: this.id })),
      o: () => this.#print(),
      Escape: () => this.context.go("/worklist"),
    };
    if (event.key === "Enter" && event.target.closest("a, button")) return false;
    if (!actions[event.key]) return false;
    actions[event.key]();
    return true;
  }

  /** The newest state: what the live link says, else the store. */
  get alarm() {
    return this.patient.alarms.get(this.id) ?? this.stored;
  }

  refresh(connected, today) {
    const { alarm, patient, context } = this;
    const { text, reason } = patient.heartRate(connected),
      dead = !connected || patient.stale || patient.ended;
    setClass(this.element, "dead", dead);
    setText(this.rate, text);
    setText(this.rhythm, dead ? reason : rhythmInFull(patient.rhythmLabel));
    if (!alarm) {
      setText(this.title, this.missing ?? "Loading …");
      for (const button of [this.acknowledge, this.escalate]) setHidden(button, true);
      return;
    }
    setData(this.element, "level", alarm.technical ? "technical" : alarm.priority);
    setText(this.title, `${alarm.technical ? "" : mark(alarm)} ${alarmText(alarm)}`.trim());
    setText(
      this.since,
      `since ${dayTime(alarm.onset, today)}, ${age(Math.max(0, (patient.time - alarm.onset) / 1000))} ago`,
    );
    const silencedS = patient.silencedS(alarm);
    setText(this.state, stateWords(alarm, alarmState(alarm, now(), silencedS), silencedS));
    const open =
      alarm.standing && alarm.acknowledged === null && context.session.may("acknowledge");
    setHidden(this.acknowledge, !open);
    setHidden(this.escalate, !open);
    const doing = context.actions.state(alarm.id),
      busy = doing?.phase === "sending" || doing?.phase === "sent";
    setText(this.feedback, doing?.text ?? "");
    setData(this.feedback, "phase", doing?.phase ?? "");
    for (const button of [this.acknowledge, this.escalate])
      if (button.disabled !== busy) button.disabled = busy;
  }

  #act(action) {
    const { alarm } = this;
    if (!alarm?.standing || alarm.acknowledged !== null)
      return this.context.say("Nothing is left to do for this alarm.");
    this.context.actions[action](this.patient, alarm);
  }

  async #load() {
    await Promise.all([this.#loadAlarm(), this.#loadStrip()]);
  }

  async #loadAlarm() {
    const onset = Number(this.id?.split(":").at(-1)) / 1e6;
    try {
      const { alarms } = await getJson(
        patientPath(this.patient.id, "alarms", {
          from: Math.max(0, Math.floor(onset) - 1000),
          to: Math.floor(onset) + 1000,
        }),
      );
      const found = alarms.find((alarm) => alarm.id === this.id);
      if (found) this.stored = { ...completeAlarm(found), at: -Infinity };
      else this.missing = "No such alarm is known.";
    } catch (refused) {
      this.missing = refused.message;
    }
  }

  async #loadStrip() {
    const blocks = await stripOf(this.patient.id, this.id).catch(() => []);
    if (this.closed) return;
    if (blocks.length) {
      this.blocks = blocks;
      setText(this.note, "");
      return this.#paint();
    }
    const old = this.alarm && this.patient.time - this.alarm.onset > RECORDED_MS;
    setText(this.note, old ? "No strip is stored." : "The strip is being recorded …");
    this.timer = setTimeout(() => this.#loadStrip(), AGAIN_MS);
  }

  get #onset() {
    return this.alarm?.onset ?? Number(this.id.split(":").at(-1)) / 1e6;
  }

  /** Of the strip, ms. */
  get #period() {
    const last = this.blocks.at(-1);
    return { from: this.blocks[0].t0, to: last.t0 + length(last) };
  }

  #print() {
    const { patient, context, blocks } = this;
    if (!blocks?.length) return context.say("No strip of this alarm is stored yet.");
    printStrip({
      patient,
      title: this.title.textContent,
      facts: [`Onset ${dayTime(this.#onset, 0)}`],
      blocks,
      beats: [],
      ...this.#period,
      marks: [{ t: this.#onset, name: "onset" }],
      by: context.session.name,
    });
  }

  #paint() {
    if (!this.blocks?.length) return;
    const { from, to } = this.#period,
      onset = this.#onset;
    this.canvas.style.width = `${(LEAD_IN_MM + ((to - from) / 1000) * SPEED) * MM}px`;
    drawOnPaper(this.canvas, this.blocks, {
      from,
      rows: 1,
      row: rowFor(this.blocks, { from, to, gain: GAIN, heightMm: this.paper.clientHeight / MM }),
      mm: MM,
      speed: SPEED,
      gain: GAIN,
      marks: [{ t: onset, name: "onset" }],
      mostSeconds: (to - from) / 1000,
    });
    // the onset stands at a third of the screen
    this.paper.scrollLeft =
      (LEAD_IN_MM + ((onset - from) / 1000) * SPEED) * MM - this.paper.clientWidth / 3;
  }
}
