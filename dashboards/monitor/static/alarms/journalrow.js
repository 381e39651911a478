// An entry of the journal between the alarms of a patient's list: what, when, who, and the rhythms of that minute.

import { h, icon, setText } from "../core/dom.js";
import { journalText } from "../patient/journal.js";
import { dayTime, rhythmWord } from "./words.js";

export class JournalRow {
  /** `show` is called with the time of an entry that a person opens. */
  constructor(entry, show) {
    this.onset = h("time", { class: "onset" });
    this.state = h("div", { class: "state" });
    this.element = h(
      "li",
      { "data-id": entry.id, "data-kind": entry.kind },
      h(
        "button",
        { class: "open", title: "Show this time", onclick: () => show(entry.t) },
        h(
          "span",
          { class: "line1" },
          icon("person"),
          h("span", { class: "text" }, journalText(entry)),
          this.onset,
        ),
      ),
      this.state,
    );
  }

  close() {}

  refresh(entry, today) {
    setText(this.onset, dayTime(entry.t, today));
    const rhythm = (entry.rhythm ?? []).map(rhythmWord).join(", ");
    setText(this.state, [rhythm, `by ${entry.by}`].filter(Boolean).join(" · "));
  }
}
