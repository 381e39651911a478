// One patient: three sweeping rows of 10 s on millimetre paper, the numbers, and the recent alarms.

import { h, setClass, setText } from "./dom.js";
import { now } from "./model.js";
import { drawPaper, Sweep } from "./sweep.js";
import { age, alarmState, alarmText, dayTime, mark, rhythmInFull, standing, time } from "./words.js";
import { alarmLine, quality, technicalText } from "./ward.js";

const ROWS = 3, SECONDS = 10;
const LISTED = 40;
const GAINS = { 1: 2.5, 2: 5, 3: 10, 4: 20, 5: 40 };

export class PatientView {
  constructor(root, patient, { back }) {
    this.patient = patient;
    this.back = back;
    this.paper = h("canvas", { class: "paper", "aria-hidden": "true" });
    this.canvas = h("canvas", { class: "trace", role: "img", "aria-label": `Live ECG of ${patient.id}` });
    this.alarms = h("div", { class: "alarms", role: "status" });
    this.technical = h("div", { class: "technical" });
    this.note = h("div", { class: "note" });
    this.scale = h("div", { class: "scale" });
    this.facts = Object.fromEntries(["rate", "reason", "rhythm", "probability", "rr", "sdnn", "rmssd", "quality", "time", "source"].map((name) => [name, h("span", { class: name })]));
    this.list = h("tbody");
    this.empty = h("p", { class: "none" });
    this.element = h("section", { class: "patient" }, this.#head(), this.#chart(), this.#side());
    root.replaceChildren(this.element);
    this.sweep = new Sweep(this.canvas, patient, { rows: ROWS, seconds: SECONDS, letters: true, mmPerMv: GAINS[3] });
    this.resize = new ResizeObserver(() => this.#fit());
    this.resize.observe(this.canvas);
    this.#fit();
  }

  close() { this.resize.disconnect(); }

  frame(at) { this.sweep.draw(at); }

  key(event) {
    if (event.key === "Escape") { this.back(); return true; }
    if (!GAINS[event.key]) return false;
    this.sweep.options.mmPerMv = GAINS[event.key];
    this.sweep.redraw();
    this.#scale();
    return true;
  }

  refresh(connected, today) {
    const { patient, facts } = this;
    const dead = !connected || patient.stale || patient.ended;
    setClass(this.element, "dead", dead);
    const { arrhythmia, technical } = standing(patient.alarms.values(), now());
    this.#standing(arrhythmia);
    setText(this.technical, technicalText(patient, technical, connected));
    setText(this.note, this.#missing(connected));
    const { text, reason } = patient.heartRate(connected);
    setText(facts.rate, text);
    setText(facts.reason, reason);
    const fresh = !dead && patient.vitals;
    setText(facts.rhythm, dead || !patient.rhythm ? "--" : rhythmInFull(patient.rhythm.label));
    facts.rhythm.dataset.label = dead ? "" : patient.rhythm?.label ?? "";
    setText(facts.rr, dead ? "--" : number(patient.beats.at(-1)?.rr));
    setText(facts.sdnn, fresh ? number(patient.vitals.sdnn) : "--");
    setText(facts.rmssd, fresh ? number(patient.vitals.rmssd) : "--");
    setText(facts.quality, fresh ? quality(patient.vitals.quality, 0).replace("signal ", "") + ` ${Math.round(patient.vitals.quality * 100)} %` : "--");
    const { samples } = patient;
    const at = samples ? samples.timeOf(patient.playhead.at(now()) * samples.fs) : NaN;
    setText(facts.time, Number.isFinite(at) ? dayTime(at, today) : "--");
    setText(facts.source, patient.known ? [patient.lead, patient.device].filter(Boolean).join(" · ") : "");
    this.#listAlarms(today);
  }

  #missing(connected) {
    const { patient } = this;
    if (!connected) return "";
    if (!patient.known) return `Nothing has been heard of ${patient.id} yet; its trace appears here when it begins.`;
    if (patient.ended) return "The stream has ended.";
    if (patient.samplesAt === -Infinity) return "No samples yet.";
    return patient.stale ? `No data for ${age(patient.age)}: the trace is old.` : "";
  }

  #standing(alarms) {
    const lines = alarms.map((alarm) => [alarm, alarmState(alarm, now())]);
    const key = lines.map(([alarm, state]) => `${alarm.id} ${alarm.priority} ${alarmLine(alarm, state)} ${state}`).join("\n");
    if (key === this.standingKey) return;
    this.standingKey = key;
    this.alarms.replaceChildren(...lines.map(([alarm, state]) => h("span", { class: "line", "data-level": alarm.priority, "data-state": state }, alarmLine(alarm, state))));
    for (const line of this.alarms.children) for (const animation of line.getAnimations()) animation.startTime = 0;
  }

  #listAlarms(today) {
    const listed = [...this.patient.alarms.values()].sort((a, b) => b.onset - a.onset).slice(0, LISTED);
    const key = listed.map((a) => `${a.id} ${a.text} ${a.over}`).join("\n");
    setText(this.empty, listed.length ? "" : this.patient.historyLoaded ? "No alarms in the last 24 h." : "No alarms yet; the stored ones are not read.");
    if (key === this.listKey) return;
    this.listKey = key;
    this.list.replaceChildren(...listed.map((alarm) => this.#row(alarm, today)));
  }

  #row(alarm, today) {
    const state = { holds: "holds", latched: `over ${time(alarm.end ?? alarm.raised)} · not acknowledged`, over: `over ${time(alarm.end ?? alarm.raised)}` };
    const told = alarm.announced ? "" : " · held back";
    return h(
      "tr", { "data-level": alarm.technical ? "technical" : alarm.priority, "data-state": alarmState(alarm, Infinity), "data-announced": String(alarm.announced) },
      h("td", { class: "mark" }, alarm.technical ? "" : mark(alarm)),
      h("td", {}, h("div", {}, alarmText(alarm)), h("div", { class: "state" }, state[alarmState(alarm, Infinity)] + told)),
      h("td", { class: "onset" }, dayTime(alarm.onset, today)),
    );
  }

  #head() {
    return h("div", { class: "title" }, h("h1", { title: this.patient.id }, this.patient.id), this.facts.source, h("span", { class: "space" }), this.alarms);
  }

  #chart() {
    return h("div", { class: "chart" }, h("div", { class: "rows" }, this.paper, this.canvas, this.technical, this.note), h("div", { class: "under" }, this.facts.time, this.scale));
  }

  #side() {
    const fact = (name, value, unit) => h("div", { class: "fact" }, h("span", { class: "label" }, name), value, h("span", { class: "unit" }, unit));
    const { facts } = this;
    return h(
      "aside", {},
      h("div", { class: "big" }, facts.rate, h("span", { class: "unit" }, "bpm"), facts.reason),
      h("div", { class: "rhythmline" }, facts.rhythm),
      h("div", { class: "facts" }, fact("RR", facts.rr, "ms"), fact("SDNN", facts.sdnn, "ms"), fact("RMSSD", facts.rmssd, "ms"), fact("Signal", facts.quality, "")),
      h("h2", {}, "Alarms"),
      h("div", { class: "list" }, h("table", {}, this.list), this.empty),
    );
  }

  #fit() {
    drawPaper(this.paper, SECONDS);
    this.sweep.fit();
    this.#scale();
  }

  #scale() { setText(this.scale, `25 mm/s   ${this.sweep.options.mmPerMv} mm/mV   square 0.2 s × ${5 / this.sweep.options.mmPerMv} mV`); }
}

const number = (value) => (value === null || value === undefined ? "--" : String(Math.round(value)));
