// What the model said around an alarm: the alarm with its value, the rhythm, the beats, each with its probability; and on request why.

import { h } from "../core/dom.js";
import { alarmName, BEATS, percent, rhythmInFull } from "../alarms/words.js";

export class ModelCard {
  constructor(alarm, reasons) {
    this.alarm = alarm;
    this.said = h("dl", { class: "said" });
    const why = (what, text) =>
      h("button", { onclick: () => reasons.ask(what, alarm.raised) }, text);
    this.element = h(
      "div",
      { class: "card" },
      h("h3", {}, "The model says"),
      this.said,
      h(
        "div",
        { class: "whys" },
        why("rhythm", "Why this rhythm?"),
        why("lethal", "Why VT, VF, asystole or none?"),
      ),
      reasons.note,
    );
  }

  /** Show the model's beats and episodes of rhythm around the onset. */
  show(beats, episodes = []) {
    const { alarm } = this,
      around = episodes.filter((e) => e.start <= alarm.raised && e.end >= alarm.onset),
      end = (alarm.end ?? alarm.raised) + 1;
    const facts = {
      Alarm: `${alarmName(alarm.kind)}, ${alarm.priority}${alarm.announced ? "" : ", suppressed"}`,
      Value: value(alarm),
      "Told after": `${((alarm.raised - alarm.onset) / 1000).toFixed(1)} s`,
      Rhythm: around.map((e) => `${rhythmInFull(e.label)} ${percent(e.probability)}`).join(", "),
      Beats: counted(beats.filter(({ t }) => t >= alarm.onset - 1 && t <= end)),
    };
    this.said.replaceChildren(
      ...Object.entries(facts).flatMap(([name, text]) => [
        h("dt", {}, name),
        h("dd", {}, text || "--"),
      ]),
    );
  }
}

const known = (number) => number !== null && number !== undefined;

function value({ value: measured, limit }) {
  if (!known(measured)) return "";
  return `${+measured.toFixed(2)}${known(limit) ? `, limit ${limit}` : ""}`;
}

/** "5 V (97.0 %)": beats of each class, with their mean probability. */
function counted(beats) {
  return Object.keys(BEATS)
    .map((label) => beats.filter((beat) => beat.label === label))
    .filter((found) => found.length)
    .map((found) => {
      const sum = found.reduce((total, beat) => total + beat.probability, 0);
      return `${found.length} ${found[0].label} (${percent(sum / found.length)})`;
    })
    .join(", ");
}
