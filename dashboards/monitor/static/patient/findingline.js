// What the tasks say that the model learned in the field: a line for each, the newest finding.

import { h } from "../core/dom.js";
import { dayTime } from "../alarms/words.js";

/** The lines, in the order of the tasks' names; empty where nothing has been said. */
export function findingLines(findings, today) {
  return [...findings.values()]
    .sort((a, b) => (a.task < b.task ? -1 : 1))
    .map(({ task, label, probability, start, end }) =>
      h(
        "div",
        { class: "finding", title: `Until ${dayTime(end, today)}` },
        h("span", { class: "label" }, task),
        h("b", {}, label),
        ` ${Math.round(probability * 100)} % since ${dayTime(start, today)}`,
      ),
    );
}

/** Tells whether the lines must be drawn anew. */
export const findingKey = (findings) =>
  [...findings.values()].map(({ task, label, end }) => `${task} ${label} ${end}`).join();
