// The alarms of one patient, newest first, and between them the entries of the journal: name, time, state, strip, and the possible actions.

import { h, icon, setData, setHidden, setText } from "../core/dom.js";
import { now } from "../core/model.js";
import { SmallStrip } from "../trace/strip.js";
import { JournalRow } from "./journalrow.js";
import { alarmState, alarmText, countdown, dayTime, mark, time } from "./words.js";

const LISTED = 40;

export class AlarmList {
  /** `review` is called with the alarm that a person opens, `show` with the time of an entry of the journal. */
  constructor(patient, actions, { review, show }) {
    Object.assign(this, { patient, actions, review, show });
    this.rows = new Map();
    this.items = h("ol", { class: "alarm-list" });
    this.empty = h("p", { class: "none" });
    this.more = h(
      "button",
      {
        class: "more-alarms",
        hidden: true,
        onclick: () => {
          this.most += LISTED;
          this.key = null;
        },
      },
      "Earlier ones",
    );
    this.most = LISTED;
    this.all = h("button", {
      class: "act",
      title: "A",
      hidden: true,
      onclick: () => actions.acknowledgeAll(patient),
    });
    this.feedback = h("div", { class: "feedback", role: "status" });
    this.element = h(
      "div",
      { class: "list" },
      this.all,
      this.feedback,
      this.items,
      this.empty,
      this.more,
    );
  }

  close() {
    for (const row of this.rows.values()) row.close();
  }

  refresh(today) {
    const { patient, rows, actions } = this;
    const all = [...patient.alarms.values()],
      events = [
        ...all.map((alarm) => ({ id: alarm.id, t: alarm.onset, alarm })),
        ...[...patient.journal.values()].map((entry) => ({ id: entry.id, t: entry.t, entry })),
      ].sort((a, b) => b.t - a.t),
      listed = events.slice(0, this.most);
    setText(
      this.empty,
      all.length
        ? ""
        : patient.historyLoaded
          ? "No alarms in the last 24 h."
          : "No alarms yet; the stored ones are not read.",
    );
    setHidden(this.more, events.length <= this.most);
    const key = listed.map((event) => event.id).join("\n");
    if (key !== this.key) {
      this.key = key;
      const kept = new Set(listed.map((event) => event.id));
      for (const [id, row] of rows)
        if (!kept.has(id)) {
          row.close();
          row.element.remove();
          rows.delete(id);
        }
      listed.forEach(({ id, alarm, entry }, k) => {
        if (!rows.has(id))
          rows.set(id, alarm ? new Row(this, alarm) : new JournalRow(entry, this.show));
        const { element } = rows.get(id);
        if (this.items.children[k] !== element)
          this.items.insertBefore(element, this.items.children[k] ?? null);
      });
    }
    const open = all.filter((alarm) => alarm.standing && alarm.acknowledged === null).length,
      doing = actions.state(`all ${patient.id}`);
    setHidden(this.all, open < 2 || !actions.session.may("acknowledge"));
    setText(this.all, `Acknowledge all ${open}`);
    setText(this.feedback, doing?.text ?? "");
    setData(this.feedback, "phase", doing?.phase ?? "");
    for (const { id, alarm, entry } of listed) rows.get(id).refresh(alarm ?? entry, today);
  }
}

class Row {
  constructor(list, alarm) {
    const { patient, actions } = list;
    this.list = list;
    this.id = alarm.id;
    const of = () => patient.alarms.get(this.id);
    this.mark = h("span", { class: "mark" });
    this.text = h("span", { class: "text" });
    this.onset = h("time", { class: "onset" });
    this.state = h("div", { class: "state" });
    this.feedback = h("div", { class: "feedback", role: "status" });
    this.acknowledge = h(
      "button",
      { class: "act", onclick: () => actions.acknowledge(patient, of()) },
      "Acknowledge",
    );
    this.silence = h(
      "button",
      { class: "act", onclick: () => actions.silence(patient, of()) },
      icon("bell-off"),
      "Silence 2 min",
    );
    this.resume = h(
      "button",
      { class: "act", onclick: () => actions.resume(patient, of()) },
      icon("bell"),
      "Resume",
    );
    this.strip = new SmallStrip(patient.id, alarm);
    this.open = h(
      "button",
      { class: "open", title: "Review this alarm", onclick: () => list.review(of()) },
      h("span", { class: "line1" }, this.mark, this.text, this.onset),
    );
    this.element = h(
      "li",
      { "data-id": alarm.id },
      h("div", { class: "titleline" }, this.open, this.acknowledge),
      h("div", { class: "strip-of", onclick: () => list.review(of()) }, this.strip.element),
      this.state,
      this.feedback,
      h("div", { class: "acts" }, this.silence, this.resume),
    );
  }

  close() {
    this.strip.close();
  }

  refresh(alarm, today) {
    const { patient, actions } = this.list,
      silencedS = patient.silencedS(alarm),
      state = alarmState(alarm, now(), silencedS);
    const settled = ["over", "just over"].includes(state);
    const { element } = this;
    setData(element, "level", alarm.technical ? "technical" : alarm.priority);
    setData(element, "state", state);
    setData(element, "announced", String(alarm.announced));
    setText(this.mark, alarm.technical ? "" : mark(alarm));
    setText(this.text, alarmText(alarm));
    setText(this.onset, dayTime(alarm.onset, today));
    setText(this.state, stateWords(alarm, state, silencedS));
    const hint = stateHint(alarm);
    if (this.state.title !== hint) this.state.title = hint;
    const may = actions.session.may("acknowledge");
    setHidden(this.acknowledge, !may || settled || !alarm.standing || alarm.acknowledged !== null);
    setHidden(
      this.silence,
      !may || alarm.priority === "high" || alarm.over || silencedS > 0 || !alarm.announced,
    );
    setHidden(this.resume, !may || !silencedS || alarm.over);
    const doing = actions.state(alarm.id);
    setText(this.feedback, doing?.text ?? "");
    setData(this.feedback, "phase", doing?.phase ?? "");
    const busy = doing?.phase === "sending" || doing?.phase === "sent";
    for (const button of [this.acknowledge, this.silence, this.resume])
      if (button.disabled !== busy) button.disabled = busy;
  }
}

/** Meanings of the less common words of a state. */
function stateHint(alarm) {
  const hints = [];
  if (!alarm.announced)
    hints.push(
      "Suppressed: a more urgent alarm of the same chain held, or one of its kind was told less than a minute before. It is stored, and nobody was called.",
    );
  if (alarm.level > 0)
    hints.push(
      `Re-alarmed: nobody acknowledged it, or it held on after an acknowledgement; people were called ${alarm.level + 1} times.`,
    );
  if (alarm.late_s > 0)
    hints.push("Told late: its signal arrived late, for instance after a lost connection.");
  return hints.join(" ");
}

/** The state of an alarm in words: holds, silenced for how long, over since when, acknowledged by whom. */
export function stateWords(alarm, state, silencedS) {
  const late = alarm.late_s > 0 ? ` · told ${Math.round(alarm.late_s / 60)} min late` : "";
  const told = (alarm.announced ? "" : " · suppressed") + late;
  const again =
    alarm.level > 0 && alarm.acknowledged === null && !["over", "just over"].includes(state)
      ? ` · re-alarmed ×${alarm.level}`
      : "";
  const by =
    alarm.acknowledged === null
      ? ""
      : ` · acknowledged by ${alarm.acknowledged_by || "?"} ${time(alarm.acknowledged)}`;
  const over = `over ${time(alarm.end ?? alarm.raised)}`;
  if (state === "holds") return `holds${again}${told}`;
  if (state === "acknowledged") return `holds${by}${told}`;
  if (state === "silenced") return `holds · silenced for ${countdown(silencedS)}${told}`;
  if (state === "latched") return `${over} · not acknowledged${again}${told}`;
  return `${over}${by}${told}`;
}
