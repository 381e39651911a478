// The list of keys that `?` shows.

import { h, openDialog } from "./dom.js";

const KEYS = {
  Everywhere: [
    ["?", "these keys"],
    ["/", "find a patient"],
    ["w", "the list of all alarms"],
    ["m", "mute the tones for 2 min"],
    ["t", "light or dark"],
    [",", "settings"],
  ],
  Ward: [
    ["← → ↑ ↓", "choose a patient"],
    ["Home End", "first, last"],
    ["Enter", "open"],
    ["a", "acknowledge the chosen patient's worst alarm"],
    ["o", "order by bed or by urgency"],
    ["p", "pin the chosen patient, or no longer"],
    ["v", "only the pinned patients, or all"],
    ["PgUp PgDn", "page"],
  ],
  Patient: [
    ["Space", "pause, go on"],
    ["← →", "scroll by a screen, with Shift by a tenth"],
    ["+ −", "zoom, from 1 s to a day"],
    ["n p", "next, previous alarm"],
    ["b B", "next, previous beat of the chosen class"],
    ["1 2 3 4 5", "gain"],
    ["0", "the gain that fits the signal"],
    ["e", "trend, beats or measures beneath the trace"],
    ["P", "pin to the head of the ward, or no longer"],
    ["g", "25 or 50 mm/s"],
    ["c", "calipers"],
    ["a A", "acknowledge the worst alarm, all alarms"],
    ["s", "silence the worst alarm for 2 min"],
    ["r", "review the newest alarm"],
    ["j k", "in a review: the next, previous one in the list of all alarms"],
    ["d", "full disclosure"],
    ["E", "edit beats: ← → choose, a letter relabels, Delete, Shift ← → moves"],
    ["N", "write a note or an event of this moment"],
    ["o", "print the shown strip, or that of the review"],
    ["l", "alarm limits"],
    ["Esc", "back"],
  ],
  "List of alarms": [
    ["↑ ↓", "choose"],
    ["x", "mark"],
    ["a", "acknowledge what is marked, or else the chosen one"],
    ["Enter", "open"],
    ["r", "review"],
    ["j k", "from an alarm's page: the next, previous one in the list"],
    ["Esc", "back"],
  ],
  Calipers: [
    ["← →", "move the line by 4 ms, with Shift by 40 ms"],
    ["↑ ↓", "by 0.02 mV"],
    ["Tab", "the other line"],
  ],
  "Beats under review": [
    ["← →", "choose a beat"],
    ["N S V F Q", "relabel it"],
    ["Delete", "no beat"],
    ["Esc", "leave the beat"],
  ],
};

export function openKeys() {
  const table = (name) =>
    h(
      "section",
      {},
      h("h3", {}, name),
      h(
        "dl",
        {},
        ...KEYS[name].flatMap(([keys, text]) => [
          h("dt", {}, ...keys.split(" ").map((key) => h("kbd", {}, key))),
          h("dd", {}, text),
        ]),
      ),
    );
  return openDialog("Keys", h("div", { class: "keys" }, ...Object.keys(KEYS).map(table)));
}
