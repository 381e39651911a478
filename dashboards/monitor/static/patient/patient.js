// One patient: the trace, the last hours, the numbers and the alarms; and over them, on request, a review or an hour at a glance.

import { AlarmList } from "../alarms/alarmlist.js";
import { getJson, patientPath } from "../core/api.js";
import { Chart, GAINS } from "../trace/chart.js";
import { Disclosure } from "../core/disclosure.js";
import { h, setClass, setData, setHidden, setText } from "../core/dom.js";
import { Edits } from "./edits.js";
import { nextBeat } from "./findbeat.js";
import { findingKey, findingLines } from "./findingline.js";
import { openLimits } from "./limits.js";
import { now } from "../core/model.js";
import { keep, prefs } from "../core/prefs.js";
import { Review } from "./review.js";
import { scoreLine } from "./scoreline.js";
import { Tape } from "../trace/tape.js";
import { inStep, qualityWord, technicalText } from "../ward/tile.js";
import { Trend } from "./trend.js";
import {
  age,
  alarmLine,
  alarmState,
  BEATS,
  dayTime,
  rhythmInFull,
  standing,
} from "../alarms/words.js";

const SPEEDS = [25, 50];
const MOST_LINES = 3; // most lines of alarms in the head; the list shows all
const REPORT_HOURS = [1, 6, 24];

export class PatientView {
  /** context: {back, session, actions, limits, say} */
  constructor(root, patient, context) {
    Object.assign(this, { patient, context });
    this.tape = new Tape(patient);
    this.edits = new Edits(patient, context.session);
    this.chart = new Chart(patient, this.tape, () => this.#shown());
    this.trend = new Trend(patient, this.tape, {
      go: (t) => this.goTo(t),
      pointed: (t) => this.chart.cursor(t),
    });
    this.list = new AlarmList(patient, context.actions, (alarm) => this.review(alarm));
    this.alarms = h("div", { class: "alarms", role: "group", "aria-label": "Standing alarms" });
    this.score = h("div", {
      class: "score",
      title: "Against the reference annotations that are replayed with this record",
      hidden: true,
    });
    this.findings = h("div", {
      class: "findings",
      role: "group",
      "aria-label": "Added tasks",
      hidden: true,
    });
    this.facts = Object.fromEntries(
      [
        "rate",
        "reason",
        "rhythm",
        "rr",
        "pvcs",
        "range",
        "sdnn",
        "rmssd",
        "quality",
        "time",
        "source",
        "scale",
      ].map((name) => [name, h("span", { class: name })]),
    );
    this.panel = null; // the panel that covers the trace
    this.left = h("div", { class: "left" }, this.chart.element, this.#tools(), this.trend.element);
    this.element = h(
      "section",
      { class: "patient" },
      this.#head(),
      this.score,
      this.left,
      this.#side(),
    );
    root.replaceChildren(this.element);
    this.chart.fit();
    this.#older();
  }

  close() {
    this.#closePanel();
    for (const part of [this.chart, this.trend, this.list]) part.close();
  }

  frame(at) {
    if (!this.panel) this.chart.frame(at);
  }

  async #older() {
    try {
      this.patient.older(
        (await getJson(patientPath(this.patient.id, "alarms", { hours: 24 }))).alarms,
      );
    } catch {
      /* the list shows what could not be read */
    }
  }

  key(event) {
    const { key, shiftKey } = event;
    if (this.panel instanceof Disclosure) return this.panel.key(event);
    if (key === "Escape") return this.#escape();
    const actions = {
      " ": () => this.chart.toggle(),
      ArrowLeft: () => this.chart.scroll(shiftKey ? -0.1 : -1),
      ArrowRight: () => this.chart.scroll(shiftKey ? 0.1 : 1),
      "+": () => this.chart.zoom(-1),
      "=": () => this.chart.zoom(-1),
      "-": () => this.chart.zoom(1),
      n: () => this.nextAlarm(1),
      p: () => this.nextAlarm(-1),
      b: () => this.nextBeat(1),
      B: () => this.nextBeat(-1),
      c: () => this.chart.calipers.toggle(),
      a: () => this.#worst("acknowledge"),
      A: () => this.context.actions.acknowledgeAll(this.patient),
      s: () => this.#worst("silence"),
      g: () => keep("speed", SPEEDS[(SPEEDS.indexOf(prefs.speed) + 1) % SPEEDS.length]),
      d: () => this.disclose(),
      l: () => this.limits(),
      r: () => this.#newest(),
    };
    if (GAINS[key]) keep("gain", GAINS[key]);
    else if (actions[key] && !(this.panel && ![..."npar"].includes(key))) actions[key]();
    else return false;
    return true;
  }

  refresh(connected, today) {
    const { patient, facts } = this,
      dead = !connected || patient.stale || patient.ended;
    setClass(this.element, "dead", dead);
    const { arrhythmia, technical } = standing(patient, now());
    this.#standing(arrhythmia);
    this.chart.refresh({
      dead,
      technical: technicalText(patient, technical, connected),
      missing: this.#missing(connected),
    });
    const { text, reason } = patient.heartRate(connected),
      fresh = !dead && patient.vitals;
    setText(facts.rate, text);
    setText(facts.reason, reason);
    const rhythm = dead ? "" : patient.rhythmLabel;
    setText(facts.rhythm, rhythm ? rhythmInFull(rhythm) : "--");
    setData(facts.rhythm, "label", rhythm);
    setText(facts.rr, dead ? "--" : number(patient.beats.at(-1)?.rr));
    setText(facts.pvcs, dead ? "--" : String(patient.pvcPerMinute));
    setText(facts.range, this.context.limits.range(patient.id) || "--");
    setText(facts.sdnn, fresh ? number(patient.vitals.sdnn) : "--");
    setText(facts.rmssd, fresh ? number(patient.vitals.rmssd) : "--");
    setText(
      facts.quality,
      fresh
        ? `${qualityWord(patient.vitals.quality)} ${Math.round(patient.vitals.quality * 100)} %`
        : "--",
    );
    const { liveAt } = this.chart;
    setText(facts.time, Number.isFinite(liveAt) ? dayTime(liveAt, today) : "--");
    setText(
      facts.source,
      patient.known ? [patient.lead, patient.device].filter(Boolean).join(" · ") : "",
    );
    setHidden(this.score, !patient.score);
    if (patient.score) setText(this.score, scoreLine(patient.score));
    this.#found(dead ? new Map() : patient.findings, today);
    this.list.refresh(today);
    this.trend.refresh(this.chart.live ? null : this.chart.shown);
    this.panel?.refresh?.();
  }

  /** Update the findings of added tasks, which must not look current once the signal is gone. */
  #found(findings, today) {
    setHidden(this.findings, findings.size === 0);
    const key = findingKey(findings);
    if (this.findings.dataset.key === key) return;
    this.findings.dataset.key = key;
    this.findings.replaceChildren(...findingLines(findings, today));
  }

  /** Show a time in the trace. */
  goTo(t) {
    this.#closePanel();
    this.chart.centre(t);
  }

  nextAlarm(step) {
    const alarms = [...this.patient.alarms.values()].sort((a, b) => a.onset - b.onset);
    const at = this.panel instanceof Review ? this.panel.alarm.onset : this.#middle();
    const next =
      step > 0
        ? alarms.find((alarm) => alarm.onset > at + 1)
        : alarms.findLast((alarm) => alarm.onset < at - 1);
    if (!next) return this.context.say(step > 0 ? "No later alarm." : "No earlier alarm.");
    if (this.panel instanceof Review) this.review(next);
    else this.chart.centre(next.onset);
  }

  async nextBeat(step) {
    const label = this.beatClass.value,
      at = this.#middle();
    const beat = await nextBeat(this.tape, label, at, step).catch((refused) => {
      this.context.say(refused.message);
    });
    if (beat) this.chart.centre(beat.t);
    else if (beat === null)
      this.context.say(`No ${step > 0 ? "later" : "earlier"} ${label} beat within a day.`);
  }

  review(alarm) {
    this.#closePanel();
    const close = () => this.#closePanel(true);
    this.#open(
      new Review(this.patient, alarm, {
        edits: this.edits,
        close,
        step: (step) => this.nextAlarm(step),
        show: (t) => this.goTo(t),
      }),
    );
  }

  disclose() {
    this.#open(
      new Disclosure(this.patient, this.tape, {
        show: (t) => this.goTo(t),
        close: () => this.#closePanel(true),
      }),
    );
  }

  limits() {
    openLimits({
      patient: this.patient,
      limits: this.context.limits,
      actions: this.context.actions,
    });
  }

  #middle() {
    if (this.chart.live) return this.patient.time + 1;
    const { from, to } = this.chart.shown;
    return (from + to) / 2;
  }

  #open(panel) {
    this.#closePanel();
    this.panel = panel;
    this.left.append(panel.element);
    setClass(this.left, "covered", true);
  }

  #closePanel(focus = false) {
    if (!this.panel) return;
    this.panel.end();
    this.panel.element.remove();
    this.panel = null;
    setClass(this.left, "covered", false);
    if (focus) document.getElementById("view").focus();
  }

  #escape() {
    if (this.panel) this.#closePanel(true);
    else if (this.chart.calipers.open) this.chart.calipers.close();
    else if (!this.chart.live) this.chart.resume();
    else this.context.back();
    return true;
  }

  /** The alarm on which the keys act: the most urgent one that needs attention. */
  #worst(action) {
    const { arrhythmia, technical } = standing(this.patient, now()),
      { actions, say } = this.context;
    const open = [...arrhythmia, ...technical].filter((a) =>
      ["holds", "latched"].includes(alarmState(a, now(), this.patient.silencedS(a))),
    );
    const alarm =
      this.panel instanceof Review
        ? this.patient.alarms.get(this.panel.alarm.id)
        : open.find((a) => action === "acknowledge" || (a.priority !== "high" && !a.over));
    if (!alarm)
      return say(
        action === "acknowledge"
          ? "No alarm to acknowledge."
          : "No alarm that can be silenced: high ones never are.",
      );
    actions[action](this.patient, alarm);
  }

  #newest() {
    const newest = [...this.patient.alarms.values()].sort((a, b) => b.onset - a.onset)[0];
    if (newest) this.review(newest);
    else this.context.say("No alarm to review.");
  }

  #missing(connected) {
    const { patient } = this;
    if (!connected) return "";
    if (!patient.known)
      return `Nothing has been heard of ${patient.id} yet; its trace appears here when it begins.`;
    if (patient.ended) return "The stream has ended.";
    if (patient.samplesAt === -Infinity) return "No samples yet.";
    return patient.stale ? `No data for ${age(patient.age)}: the trace is old.` : "";
  }

  #standing(alarms) {
    const lines = alarms.map((alarm) => {
      const silencedS = this.patient.silencedS(alarm),
        state = alarmState(alarm, now(), silencedS);
      return { alarm, state, text: alarmLine(alarm, state, silencedS) };
    });
    const more = lines.splice(MOST_LINES).length;
    const key =
      lines
        .map(({ alarm, state, text }) => `${alarm.id} ${alarm.priority} ${text} ${state}`)
        .join("\n") + more;
    if (key === this.standingKey) return;
    this.standingKey = key;
    this.alarms.replaceChildren(
      ...lines.map(({ alarm, state, text }) =>
        h("span", { class: "line", "data-level": alarm.priority, "data-state": state }, text),
      ),
      ...(more ? [h("span", { class: "more" }, `+${more}`)] : []),
    );
    for (const line of this.alarms.children) inStep(line);
  }

  /** Called when the chart shows another period. */
  #shown() {
    if (!this.facts) return;
    setText(this.facts.scale, this.chart.scale);
    this.facts.scale.title =
      prefs.screenMm || prefs.fill
        ? ""
        : "The size of this screen is the browser's guess: measure it in the settings (,)";
    setText(this.pause, this.chart.live ? "Pause" : "Back to live");
    setData(this.left, "live", String(this.chart.live));
  }

  #head() {
    const { facts, patient } = this;
    return h(
      "div",
      { class: "title" },
      h("a", { href: "/", class: "up", title: "Back to the ward (Esc)" }, "‹ Ward"),
      h("h1", { title: patient.id }, patient.id),
      facts.source,
      h("span", { class: "space" }),
      this.alarms,
    );
  }

  #tools() {
    const { facts, chart } = this,
      button = (text, title, press) => h("button", { title, onclick: press }, text);
    this.pause = button("Pause", "Space", () => chart.toggle());
    this.pause.className = "pause";
    this.beatClass = h(
      "select",
      { "aria-label": "Class of beat to go to", title: "Class of beat that b and B go to" },
      ...["V", "S", "F", "Q", "N"].map((label) =>
        h("option", { value: label, title: BEATS[label] }, label),
      ),
    );
    return h(
      "div",
      { class: "tools" },
      facts.time,
      this.pause,
      h(
        "span",
        { class: "group" },
        button("◂", "A screen back (←)", () => chart.scroll(-1)),
        button("▸", "A screen on (→)", () => chart.scroll(1)),
        button("−", "Wider (-)", () => chart.zoom(1)),
        button("+", "Closer (+)", () => chart.zoom(-1)),
      ),
      h(
        "span",
        { class: "group" },
        button("‹ Alarm", "Previous alarm (p)", () => this.nextAlarm(-1)),
        button("Alarm ›", "Next alarm (n)", () => this.nextAlarm(1)),
      ),
      h(
        "span",
        { class: "group" },
        button("‹", "Previous beat of this class (B)", () => this.nextBeat(-1)),
        this.beatClass,
        button("›", "Next beat of this class (b)", () => this.nextBeat(1)),
      ),
      button("Calipers", "c", () => chart.calipers.toggle()),
      button("Hour", "Full disclosure (d)", () => this.disclose()),
      h(
        "span",
        { class: "group" },
        button("25 / 50", "mm/s (g)", () => keep("speed", prefs.speed === 25 ? 50 : 25)),
        button("mV −", "Smaller (1 to 5)", () => this.#gain(-1)),
        button("mV +", "Larger (1 to 5)", () => this.#gain(1)),
      ),
      h("span", { class: "space" }),
      facts.scale,
    );
  }

  #gain(step) {
    const gains = Object.values(GAINS),
      next = gains[gains.indexOf(prefs.gain) + step];
    if (next) keep("gain", next);
  }

  #side() {
    const fact = (name, value, unit) =>
      h(
        "div",
        { class: "fact" },
        h("span", { class: "label" }, name),
        value,
        h("span", { class: "unit" }, unit),
      );
    const { facts, patient } = this;
    const report = (hours) =>
      h(
        "a",
        {
          class: "button",
          target: "_blank",
          rel: "noopener",
          href: "#",
          onclick: (event) => {
            event.currentTarget.href = patientPath(patient.id, "report", {
              from: Math.floor(patient.time - hours * 3_600_000),
              to: Math.floor(patient.time) + 1,
            });
          },
        },
        `${hours} h`,
      );
    return h(
      "aside",
      {},
      h(
        "div",
        { class: "now" },
        h("div", { class: "big" }, facts.rate, h("span", { class: "unit" }, "bpm"), facts.reason),
        h("div", { class: "rhythmline" }, facts.rhythm),
        this.findings,
      ),
      h(
        "div",
        { class: "facts" },
        fact("RR", facts.rr, "ms"),
        fact("PVC", facts.pvcs, "/min"),
        fact("Limits", facts.range, "bpm"),
        fact("SDNN", facts.sdnn, "ms"),
        fact("RMSSD", facts.rmssd, "ms"),
        fact("Signal", facts.quality, ""),
      ),
      h(
        "div",
        { class: "doors" },
        h("button", { title: "l", onclick: () => this.limits() }, "Limits"),
        h(
          "span",
          { class: "group", role: "group", "aria-label": "Report of the last hours, in a new tab" },
          h("span", { class: "label" }, "Report"),
          ...REPORT_HOURS.map(report),
        ),
      ),
      h("h2", {}, "Alarms"),
      this.list.element,
    );
  }
}

const number = (value) =>
  value === null || value === undefined ? "--" : String(Math.round(value));
