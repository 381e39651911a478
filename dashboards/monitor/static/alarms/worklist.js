// The worklist: every alarm of the ward in one list, to acknowledge many at once, to review one after the other, and to hand over.

import { getJson } from "../core/api.js";
import { h, setData, setHidden, setText } from "../core/dom.js";
import { wallClock } from "../core/model.js";
import { alarmHref, Filters, fits, sorted } from "./worklistfilter.js";
import { rememberOrder, reviewHref } from "./worklistorder.js";
import { alarmText, completeAlarm, dayTime, mark, time } from "./words.js";

const EVERY_MS = 5000;
const VERDICTS = { confirmed: "confirmed", rejected: "rejected", relabelled: "relabelled" };

export class Worklist {
  /** context: {actions, session, say, go} */
  constructor(root, context) {
    this.context = context;
    this.alarms = new Map();
    this.rows = new Map();
    this.chosen = new Set();
    this.kept = new Set(); // acknowledged just now from this page, and shown on request
    this.filters = new Filters(() => this.#show());
    this.tools = [this.filters.element];
    this.all = h("input", {
      type: "checkbox",
      "aria-label": "Mark all that are shown",
      onchange: () => this.#markAll(this.all.checked),
    });
    this.batch = h("button", { class: "primary", onclick: () => this.#acknowledge() });
    this.undo = h("button", {
      hidden: true,
      title: "An acknowledgement stays recorded; the rows come back into the list",
      onclick: () => this.#bringBack(),
    });
    this.count = h("span", { class: "none", role: "status" });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.body = h("tbody");
    this.table = h(
      "table",
      { class: "worklist-table" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("td", {}, h("label", { class: "box" }, this.all)),
          ...["Alarm", "Patient", "Began", "State", "Review", ""].map((name) =>
            h("th", { scope: "col" }, name || h("span", { class: "unseen" }, "Actions")),
          ),
        ),
      ),
      this.body,
    );
    this.element = h(
      "section",
      { class: "worklist", "aria-label": "All alarms of the ward" },
      h(
        "div",
        { class: "worklist-bar" },
        h("a", { class: "up", href: "/", title: "Back to the ward (Esc)" }, "‹ Ward"),
        h("h1", {}, "Alarms"),
        h("span", { class: "space" }),
        this.undo,
        this.batch,
        h(
          "a",
          {
            class: "button",
            download: "alarms.csv",
            href: "#",
            title: "All alarms of these hours as a table, for the hand-over",
            onclick: (event) => {
              event.currentTarget.href = `/api/alarms.csv?hours=${this.filters.hours}`;
            },
          },
          "CSV",
        ),
      ),
      this.problem,
      this.count,
      h("div", { class: "worklist-page" }, this.table),
    );
    root.replaceChildren(this.element);
    this.#load();
    this.timer = setInterval(() => this.#load(), EVERY_MS);
  }

  close() {
    clearInterval(this.timer);
    this.closed = true;
  }

  frame() {}

  refresh() {
    for (const [id, row] of this.rows) this.#state(id, row);
  }

  /** Take the ward's summary, once a second: if an alarm came or changed, the list is out of date. */
  tick(ward) {
    const key = JSON.stringify([ward.alarms, ward.worst.map((a) => [a.id, a.changed])]);
    if (this.heard !== undefined && key !== this.heard) this.#load();
    this.heard = key;
  }

  key(event) {
    const rows = [...this.body.children],
      at = rows.indexOf(document.activeElement?.closest("tr")),
      id = rows[at]?.dataset.id;
    const go = (to) => rows[Math.max(0, Math.min(rows.length - 1, to))]?.querySelector("a").focus();
    const actions = {
      ArrowDown: () => go(at + 1),
      ArrowUp: () => go(at < 0 ? 0 : at - 1),
      Home: () => go(0),
      End: () => go(rows.length - 1),
      x: () => id && this.#mark(id, !this.chosen.has(id)),
      a: () => (this.chosen.size ? this.#acknowledge() : id && this.#one(id)),
      r: () => id && this.context.go(reviewHref(this.alarms.get(id))),
      Escape: () => this.context.go("/"),
    };
    if (!actions[event.key]) return false;
    actions[event.key]();
    return true;
  }

  async #load() {
    const { hours } = this.filters;
    try {
      const { alarms } = await getJson(`/api/alarms?hours=${hours}`);
      if (this.closed || hours !== this.filters.hours) return;
      this.alarms = new Map(alarms.map((alarm) => [alarm.id, completeAlarm(alarm)]));
      setText(this.problem, "");
      this.loaded = hours;
      this.#show();
    } catch (refused) {
      setText(this.problem, refused.message);
    }
  }

  #show() {
    if (this.loaded !== this.filters.hours) this.#load();
    this.filters.offer([...this.alarms.values()]);
    const shown = sorted(
      [...this.alarms.values()].filter((a) => this.kept.has(a.id) || fits(a, this.filters.chosen)),
    );
    rememberOrder(shown);
    const wanted = new Set(shown.map((alarm) => alarm.id));
    for (const [id, row] of this.rows)
      if (!wanted.has(id)) {
        row.element.remove();
        this.rows.delete(id);
      }
    shown.forEach((alarm, k) => {
      if (!this.rows.has(alarm.id)) this.rows.set(alarm.id, this.#row(alarm));
      const { element } = this.rows.get(alarm.id);
      if (this.body.children[k] !== element)
        this.body.insertBefore(element, this.body.children[k] ?? null);
    });
    for (const id of this.chosen) if (!wanted.has(id)) this.chosen.delete(id);
    this.refresh();
    setText(
      this.count,
      shown.length ? "" : this.alarms.size ? "No alarm fits these filters." : "No alarm.",
    );
    setHidden(this.table, shown.length === 0);
    this.#marks();
  }

  #row(alarm) {
    const { id, patient } = alarm;
    const box = h("input", {
      type: "checkbox",
      "aria-label": `Mark ${alarmText(alarm)} of ${patient}`,
      onchange: () => this.#mark(id, box.checked),
    });
    const row = {
      box,
      state: h("td", { class: "state" }),
      review: h("td", { class: "review-said" }),
      acknowledge: h("button", { class: "act", onclick: () => this.#one(id) }, "Acknowledge"),
    };
    row.element = h(
      "tr",
      { "data-id": id, "data-level": alarm.technical ? "technical" : alarm.priority },
      h("td", {}, h("label", { class: "box" }, box)),
      h(
        "td",
        { class: "what" },
        h("span", { class: "mark" }, alarm.technical ? "" : mark(alarm)),
        h("a", { class: "inside", href: alarmHref(alarm) }, alarmText(alarm)),
      ),
      h(
        "td",
        { class: "whose" },
        h(
          "a",
          { class: "inside", href: `/patient?id=${encodeURIComponent(patient)}` },
          [alarm.bed, alarm.name].filter(Boolean).join(" · ") || patient,
        ),
      ),
      h("td", {}, h("time", {}, dayTime(alarm.onset, wallClock()))),
      row.state,
      row.review,
      h("td", {}, row.acknowledge),
    );
    return row;
  }

  #state(id, row) {
    const alarm = this.alarms.get(id);
    if (!alarm) return;
    const { actions, session } = this.context,
      doing = actions.state(id);
    const said = alarm.acknowledged === null ? "" : ` · ${alarm.acknowledged_by || "acknowledged"}`;
    const over = `over ${time(alarm.end ?? alarm.raised)}`;
    const state = alarm.over
      ? over + (alarm.standing ? " · not acknowledged" : said)
      : alarm.acknowledged === null
        ? "holds"
        : `holds${said}`;
    setText(row.state, doing && doing.phase !== "done" ? doing.text : state);
    setData(row.element, "state", state.split(" ")[0]);
    const verdict = alarm.verdict
      ? `${VERDICTS[alarm.verdict]}${alarm.verdict_label ? ` ${alarm.verdict_label}` : ""} · ${alarm.reviewed_by}`
      : "";
    setText(row.review, verdict);
    const can = session.may("acknowledge") && alarm.standing && alarm.acknowledged === null;
    setHidden(row.acknowledge, !can);
    const busy = doing?.phase === "sending" || doing?.phase === "sent";
    if (row.acknowledge.disabled !== busy) row.acknowledge.disabled = busy;
  }

  #mark(id, on) {
    if (on) this.chosen.add(id);
    else this.chosen.delete(id);
    this.#marks();
  }

  #markAll(on) {
    this.chosen = new Set(on ? this.rows.keys() : []);
    this.#marks();
  }

  /** The marked alarms that can be acknowledged. */
  get #open() {
    return [...this.chosen].filter((id) => {
      const alarm = this.alarms.get(id);
      return alarm?.standing && alarm.acknowledged === null;
    });
  }

  #marks() {
    for (const [id, row] of this.rows) row.box.checked = this.chosen.has(id);
    const { size } = this.chosen,
      open = this.#open.length;
    this.all.checked = size > 0 && size === this.rows.size;
    this.all.indeterminate = size > 0 && size < this.rows.size;
    setText(this.batch, open ? `Acknowledge ${open} marked` : "Acknowledge marked");
    this.batch.disabled = !open || !this.context.session.may("acknowledge");
  }

  #one(id) {
    return this.#send(this.alarms.get(id));
  }

  async #acknowledge() {
    const ids = this.#open;
    if (!ids.length) return this.context.say("None of the marked alarms waits for anybody.");
    if (!(await this.context.session.named())) return;
    this.acknowledged = ids;
    this.kept.clear();
    await Promise.all(ids.map((id) => this.#send(this.alarms.get(id))));
    setText(this.undo, `Show the ${ids.length} again`);
    setHidden(this.undo, false);
    this.chosen.clear();
    this.#load();
  }

  /** Undo what the acknowledgement did to the display. */
  #bringBack() {
    this.kept = new Set(this.acknowledged);
    setHidden(this.undo, true);
    this.#show();
  }

  #send(alarm) {
    if (!alarm?.standing || alarm.acknowledged !== null)
      return this.context.say("No alarm to acknowledge.");
    const settled = () => this.alarms.get(alarm.id)?.acknowledged !== null;
    return this.context.actions.send(
      { id: alarm.patient },
      alarm.id,
      { action: "acknowledge", alarm: alarm.id },
      settled,
      alarmText(alarm),
    );
  }
}
