// The right column of a patient's page: heart rate, rhythm, findings of added tasks, numbers, ways to limits and reports, and the alarms.

import { AlarmList } from "../alarms/alarmlist.js";
import { rhythmInFull } from "../alarms/words.js";
import { patientPath } from "../core/api.js";
import { h, setData, setHidden, setText } from "../core/dom.js";
import { qualityWord } from "../ward/tile.js";
import { findingKey, findingLines } from "./findingline.js";
import { Journal } from "./journal.js";

const REPORT_HOURS = [1, 6, 24];
const FACTS = [
  "rate",
  "reason",
  "rhythm",
  "rr",
  "pvcs",
  "range",
  "sdnn",
  "rmssd",
  "nn",
  "quality",
  "off",
];

export class SidePanel {
  /** context: {actions, limits}; `openLimits` opens the limits, `review` is called with an alarm, `goTo` with a time. */
  constructor(patient, context, { openLimits, review, goTo }) {
    Object.assign(this, { patient, context, openLimits });
    this.list = new AlarmList(patient, context.actions, { review, show: goTo });
    this.journal = new Journal(patient);
    this.findings = h("div", {
      class: "findings",
      role: "group",
      "aria-label": "Added tasks",
      hidden: true,
    });
    this.facts = Object.fromEntries(FACTS.map((name) => [name, h("span", { class: name })]));
    this.element = this.#element();
  }

  close() {
    this.list.close();
    this.journal.close();
  }

  refresh(connected, dead, today) {
    const { patient, facts } = this;
    const { text, reason } = patient.heartRate(connected),
      fresh = !dead && patient.vitals;
    setText(facts.rate, text);
    setText(facts.reason, reason);
    const rhythm = dead ? "" : patient.rhythmLabel;
    const why = rhythm && patient.rhythmReason;
    setText(facts.rhythm, rhythm ? rhythmInFull(rhythm) + (why ? `: ${why}` : "") : "--");
    setData(facts.rhythm, "label", rhythm);
    setText(facts.rr, dead ? "--" : number(patient.rr));
    setText(facts.pvcs, dead ? "--" : String(patient.pvcPerMinute));
    setText(facts.range, this.context.limits.range(patient.id) || "--");
    setText(facts.off, this.context.limits.off(patient.id) || "none");
    setText(facts.sdnn, fresh ? number(patient.vitals.sdnn) : "--");
    setText(facts.rmssd, fresh ? number(patient.vitals.rmssd) : "--");
    setText(facts.nn, fresh ? number(patient.vitals.nn) : "--");
    setText(
      facts.quality,
      fresh
        ? `${qualityWord(patient.vitals.quality)} ${Math.round(patient.vitals.quality * 100)} %` +
            (patient.vitals.noise ? ` · ${patient.vitals.noise}` : "")
        : "--",
    );
    this.#found(dead ? new Map() : patient.findings, today);
    this.journal.refresh();
    this.list.refresh(today);
  }

  /** Update the findings of added tasks, which must not look current once the signal is gone. */
  #found(findings, today) {
    setHidden(this.findings, findings.size === 0);
    const key = findingKey(findings);
    if (this.findings.dataset.key === key) return;
    this.findings.dataset.key = key;
    this.findings.replaceChildren(...findingLines(findings, today));
  }

  #element() {
    const fact = (name, value, unit) =>
      h(
        "div",
        { class: "fact" },
        h("span", { class: "label" }, name),
        value,
        h("span", { class: "unit" }, unit),
      );
    const { facts } = this;
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
        fact("Alarms off", facts.off, ""),
        fact("SDNN", facts.sdnn, "ms"),
        fact("RMSSD", facts.rmssd, "ms"),
        fact("NN", facts.nn, "in 5 min"),
        fact("Signal", facts.quality, ""),
      ),
      h(
        "div",
        { class: "doors" },
        h("button", { title: "l", onclick: this.openLimits }, "Limits"),
        h(
          "details",
          { class: "menu" },
          h("summary", { class: "button" }, "Report"),
          h(
            "div",
            { class: "menu-items", role: "group", "aria-label": "Report, in a new tab" },
            ...REPORT_HOURS.map((hours) => this.#report(hours)),
          ),
        ),
      ),
      h("h2", {}, "Alarms and events"),
      this.list.element,
    );
  }

  #report(hours) {
    const { patient } = this;
    return h(
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
      `Last ${hours} h`,
    );
  }
}

const number = (value) =>
  value === null || value === undefined ? "--" : String(Math.round(value));
