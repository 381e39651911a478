// The head of a patient's page: the way back to the ward, the name, the lead and device, and the standing alarms.

import { alarmLine, alarmState, standing } from "../alarms/words.js";
import { h, setText } from "../core/dom.js";
import { now } from "../core/model.js";
import { inStep } from "../ward/tile.js";

const MOST_LINES = 3; // most lines of alarms in the head; the list shows all

export class TitleBar {
  constructor(patient) {
    this.patient = patient;
    this.source = h("span", { class: "source" });
    this.alarms = h("div", { class: "alarms", role: "group", "aria-label": "Standing alarms" });
    this.element = h(
      "div",
      { class: "title" },
      h("a", { href: "/", class: "up", title: "Back to the ward (Esc)" }, "‹ Ward"),
      h("h1", { title: patient.id }, patient.id),
      this.source,
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
