// The newest finding of each task that the model learned after its release, one line per task.

import { h } from "../core/dom.js";
import { dayTime } from "../alarms/words.js";

/** The lines, in the order of the tasks' names; empty if there is no finding. */
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

/** Returns true if the lines must be drawn again. */
export const findingKey = (findings) =>
  [...findings.values()].map(({ task, label, end }) => `${task} ${label} ${end}`).join();
