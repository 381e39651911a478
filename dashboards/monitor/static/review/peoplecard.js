// What people say of an alarm: the edits so far, and a form to confirm, reject or relabel it.

import { alarmKinds, alarmName, dayTime, time } from "../alarms/words.js";
import { wallClock } from "../core/model.js";
import { h } from "../core/dom.js";
import { verdictWords } from "./edits.js";

export class PeopleCard {
  /** `record` is called with an edit. */
  constructor(alarm, record) {
    Object.assign(this, { alarm, record });
    this.people = h("ul", { class: "people" });
    this.feedback = h("p", { class: "feedback", role: "status" });
    this.kind = h(
      "select",
      { "aria-label": "The alarm it should have been", onchange: () => this.#chosen() },
      ...alarmKinds().map((kind) => h("option", { value: kind }, alarmName(kind))),
    );
    this.relabel = h("button", { onclick: () => this.#say("relabelled") }, "Relabel");
    this.noteInput = h("input", {
      type: "text",
      maxlength: 200,
      placeholder: "Note (optional)",
      "aria-label": "Note",
    });
    this.element = h(
      "div",
      { class: "card" },
      h("h3", {}, "People say"),
      this.people,
      h(
        "div",
        { class: "verdicts" },
        h("button", { class: "primary", onclick: () => this.#say("confirmed") }, "Confirm"),
        h("button", { onclick: () => this.#say("rejected") }, "Reject"),
        h("span", { class: "relabel" }, this.kind, this.relabel),
      ),
      this.noteInput,
      this.feedback,
    );
    this.kind.value = alarm.kind; // relabelling begins at what the model said
    this.#chosen();
  }

  /** Show these edits, newest first. */
  show(edits) {
    const line = (edit) =>
      h(
        "li",
        {},
        h("b", {}, words(edit)),
        ` · ${of(edit)} · ${edit.by}, ${dayTime(edit.t, wallClock())}${edit.note ? ` · “${edit.note}”` : ""}`,
      );
    this.people.replaceChildren(
      ...(edits.length
        ? edits.map(line)
        : [h("li", { class: "none" }, "Nobody has said anything yet.")]),
    );
  }

  #chosen() {
    this.relabel.disabled = this.kind.value === this.alarm.kind;
    this.relabel.title = this.relabel.disabled ? "Choose what it should have been first" : "";
  }

  #say(verdict) {
    const { alarm } = this,
      note = this.noteInput.value.trim();
    this.record({
      target: "alarm",
      target_id: alarm.id,
      at: alarm.onset,
      said: alarm.kind,
      verdict,
      ...(verdict === "relabelled" ? { label: this.kind.value } : {}),
      ...(note ? { note } : {}),
    });
  }
}

const words = (edit) =>
  verdictWords(
    edit.target === "alarm" ? { ...edit, label: edit.label && alarmName(edit.label) } : edit,
  );

const of = ({ target, at, said }) =>
  target === "alarm" ? alarmName(said) : `beat at ${time(at)}${said ? ` (was ${said})` : ""}`;
