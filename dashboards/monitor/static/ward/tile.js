// One patient on the ward: name, most urgent alarm, trace and numbers, each in a fixed place.

import { h, icon, setClass, setData, setHidden, setText } from "../core/dom.js";
import { now, wallClock } from "../core/model.js";
import { prefs, pxPerMm } from "../core/prefs.js";
import { intervals, rrOnly } from "../trace/notrace.js";
import { Sweep } from "../trace/sweep.js";
import {
  age,
  alarmLine,
  alarmState,
  countdown,
  remedy,
  rhythmWord,
  shortTime,
  standing,
} from "../alarms/words.js";

const SYMPTOM_MS = 600_000;
const AWAY_S = 60;

/** What the settings say of a tile's trace. */
const chosen = () => ({
  seconds: prefs.tileSeconds,
  mmPerMv: prefs.tileGain,
  mm: pxPerMm() * (window.devicePixelRatio || 1),
});

export class Tile {
  constructor(patient, { open, limits }) {
    this.patient = patient;
    this.limits = limits;
    this.name = h("span", { class: "name", title: patient.id }, patient.id);
    this.pin = h("span", { class: "pin", title: "Pinned", hidden: true }, icon("pin"));
    this.alarm = h("span", { class: "alarm" });
    this.more = h("span", { class: "more" });
    this.silence = h("span", { class: "silence", hidden: true }, icon("bell-off"), h("span"));
    this.technical = h("span", { class: "technical" });
    this.strip = h("div", { class: "strip" });
    this.rate = h("div", { class: "rate" });
    this.reason = h("div", { class: "reason" });
    this.range = h("div", { class: "range", title: "Alarm limits of the heart rate" });
    this.rhythm = h("div", { class: "rhythm" });
    this.pvcs = h("div", { class: "pvcs" });
    this.quality = h("div", { class: "quality" });
    this.element = h(
      "a",
      { class: "tile", href: `/patient?id=${encodeURIComponent(patient.id)}` },
      h(
        "div",
        { class: "head" },
        h("span", { class: "who" }, this.pin, this.name),
        this.alarm,
        this.technical,
        this.silence,
        this.more,
      ),
      this.strip,
      h(
        "div",
        { class: "numbers" },
        this.rate,
        h("div", { class: "beneath" }, this.reason, this.range),
        this.rhythm,
        this.pvcs,
        this.quality,
      ),
    );
    this.element.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open();
    });
    this.sweep = new Sweep(patient, { rows: 1, letters: false, bar: true, ...chosen() });
  }

  /** Show the person who was admitted under this id, if any. */
  call(bed, name) {
    setText(this.name, [bed, name].filter(Boolean).join(" · ") || this.patient.id);
  }

  /** Sweep as the settings say now. */
  sweepAgain() {
    Object.assign(this.sweep.options, chosen());
    this.sweep.redraw();
  }

  setPinned(pinned) {
    setHidden(this.pin, !pinned);
  }

  refresh(connected) {
    const { patient } = this;
    const dead = !connected || patient.stale || patient.ended;
    const { arrhythmia, technical } = standing(patient, now());
    setClass(this.element, "dead", dead);
    this.sweep.setDead(dead);
    this.#alarm(arrhythmia);
    setText(this.technical, technicalText(patient, technical, connected));
    const { text, reason } = patient.heartRate(connected);
    setText(this.rate, text);
    setText(this.reason, reason === "no data" ? away(patient.age) : reason);
    setText(this.range, reason ? "" : this.limits.range(patient.id));
    const rhythm = dead ? "" : patient.rhythmLabel;
    setText(
      this.rhythm,
      rhythm ? (rrOnly(patient) ? intervals(patient) : rhythmWord(rhythm)) : "--",
    );
    setData(this.rhythm, "label", rhythm);
    const pvcs = dead ? 0 : patient.pvcPerMinute;
    setText(this.pvcs, rrOnly(patient) ? "RR only, no trace" : pvcs ? `PVC ${pvcs}/min` : "");
    const signal = dead || !patient.vitals ? "" : quality(patient.vitals.quality, patient.age);
    const battery = patient.battery === null ? "" : `bat ${Math.round(patient.battery * 100)} %`;
    const off = reason ? "" : this.limits.off(patient.id);
    setText(this.quality, [symptom(patient), off, signal, battery].filter(Boolean).join(" · "));
  }

  /** The alarm that the key `a` acknowledges: the most urgent one that needs attention. */
  get worst() {
    const { arrhythmia, technical } = standing(this.patient, now());
    return [...arrhythmia, ...technical].find((a) =>
      ["holds", "latched", "silenced"].includes(alarmState(a, now(), this.patient.silencedS(a))),
    );
  }

  #alarm(alarms) {
    const [worst] = alarms,
      head = this.alarm.parentElement;
    const left = worst ? this.patient.silencedS(worst) : 0;
    const state = worst ? alarmState(worst, now(), left) : "";
    setData(head, "level", worst ? worst.priority : "");
    if (head.dataset.state !== state) {
      head.dataset.state = state;
      inStep(head);
    }
    setText(this.alarm, worst ? alarmLine(worst, state === "silenced" ? "holds" : state) : "");
    setText(this.more, alarms.length > 1 ? `+${alarms.length - 1}` : "");
    const silence = state === "silenced" ? left : this.patient.silenceS;
    setHidden(this.silence, !silence);
    setText(this.silence.lastChild, silence ? countdown(silence) : "");
  }
}

/** Flash all tiles together: one pulse on the ward, not many. */
export function inStep(element) {
  for (const animation of element.getAnimations()) animation.startTime = 0;
}

export function technicalText(patient, technical, connected) {
  if (!connected || patient.ended) return "";
  if (technical.length)
    return remedy(technical[0]) + (technical.length > 1 ? ` +${technical.length - 1}` : "");
  if (patient.leadOff && !patient.stale) return remedy({ kind: "lead_off" });
  return "";
}

export const qualityWord = (share) => (share >= 0.9 ? "good" : share >= 0.5 ? "fair" : "poor");

/** "no data 12 s", then "disconnected since 12:03". */
const away = (seconds) =>
  seconds < AWAY_S
    ? `no data ${age(seconds)}`
    : `disconnected since ${shortTime(wallClock() - 1000 * seconds)}`;

/** "symptom 12:03": the newest one, for some minutes. */
function symptom({ journal }) {
  const newest = [...journal.values()].findLast(({ kind }) => kind === "symptom");
  return newest && wallClock() - newest.t < SYMPTOM_MS ? `symptom ${shortTime(newest.t)}` : "";
}

/** The signal quality in words unless it is good, with the age of the data if it is over a second. */
function quality(share, dataAge) {
  const word = qualityWord(share);
  const said = [word === "good" ? "" : `signal ${word}`];
  if (dataAge > 1.5) said.push(`${dataAge.toFixed(0)} s old`);
  return said.filter(Boolean).join(" · ");
}
