// The head of a patient's page: the way back to the ward, the name, the lead and device, and the standing alarms.

import { alarmLine, alarmState, standing } from "../alarms/words.js";
import { h, icon, setAttribute, setHidden, setText } from "../core/dom.js";
import { now } from "../core/model.js";
import { prefs, togglePin } from "../core/prefs.js";
import { inStep } from "../ward/tile.js";
import { scoreChip, scoreLine } from "./scoreline.js";

const MOST_LINES = 3; // most lines of alarms in the head; the list shows all

export class TitleBar {
  constructor(patient) {
    this.patient = patient;
    this.source = h("span", { class: "source" });
    this.pin = h("button", {
      class: "plain pin-button",
      onclick: () => togglePin(patient.id),
    });
    this.pin.append(icon("pin"));
    this.scoreShort = h("summary", {
      title: "Against the reference annotations that are replayed with this record",
    });
    this.scoreFull = h("div", { class: "score-full" });
    this.score = h("details", { class: "score", hidden: true }, this.scoreShort, this.scoreFull);
    this.alarms = h("div", { class: "alarms", role: "group", "aria-label": "Standing alarms" });
    this.element = h(
      "div",
      { class: "title" },
      h("a", { href: "/", class: "up", title: "Back to the ward (Esc)" }, "‹ Ward"),
      h("h1", { title: patient.id }, patient.id),
      this.source,
      this.pin,
      this.score,
      h("span", { class: "space" }),
      this.alarms,
    );
  }

  refresh() {
    const { patient } = this;
    setText(
      this.source,
      patient.known ? [patient.lead, patient.device].filter(Boolean).join(" · ") : "",
    );
    const pinned = prefs.pinned.includes(patient.id);
    setAttribute(this.pin, "aria-pressed", String(pinned));
    setAttribute(this.pin, "aria-label", "Pinned to the head of the ward");
    this.pin.title = pinned ? "Pinned; click: no longer (P)" : "Pin to the head of the ward (P)";
    setHidden(this.score, !patient.score);
    if (patient.score) {
      setText(this.scoreShort, scoreChip(patient.score));
      setText(this.scoreFull, scoreLine(patient.score));
    }
    this.#standing(standing(patient, now()).arrhythmia);
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
    if (key === this.key) return;
    this.key = key;
    this.alarms.replaceChildren(
      ...lines.map(({ alarm, state, text }) =>
        h("span", { class: "line", "data-level": alarm.priority, "data-state": state }, text),
      ),
      ...(more ? [h("span", { class: "more" }, `+${more}`)] : []),
    );
    for (const line of this.alarms.children) inStep(line);
  }
}
