// The review of one event: its strip 10 s before and after, the model's answer and confidence, and people's edits.

import { getJson, patientPath, period } from "../core/api.js";
import { h, setText } from "../core/dom.js";
import { verdictWords } from "./edits.js";
import { drawOnPaper, rowOf } from "../trace/paper.js";
import { length } from "./plot.js";
import { pxPerMm } from "../core/prefs.js";
import { Reasons } from "../trace/reasons.js";
import { stripOf } from "../trace/strip.js";
import { onTheme } from "../core/theme.js";
import {
  alarmKinds,
  alarmName,
  alarmText,
  BEATS,
  dayTime,
  mark,
  percent,
  rhythmInFull,
  time,
} from "../alarms/words.js";

const ROW_MM = 42,
  AROUND_MS = 10_000,
  AGAIN_MS = 3000,
  COMES_MS = 60_000;

export class Review {
  /** `close` ends the review, `step` goes to the next (1) or the previous (-1) alarm, `show` opens the chart at a time. */
  constructor(patient, alarm, { edits, close, step, show }) {
    Object.assign(this, { patient, alarm, edits, close, step, show });
    this.blocks = [];
    this.beats = [];
    this.canvas = h("canvas", {
      class: "ecg",
      role: "img",
      "aria-label": `Strip of ${alarmText(alarm)}`,
    });
    this.ticks = h("div", { class: "ticks" });
    this.reasons = new Reasons(patient);
    this.paper = h("div", { class: "strip-paper" }, this.canvas, this.reasons.bars, this.ticks);
    this.note = h("p", { class: "strip-note" });
    this.said = h("dl", { class: "said" });
    this.people = h("ul", { class: "people" });
    this.feedback = h("p", { class: "feedback", role: "status" });
    this.beatBar = h("div", { class: "beat-bar" });
    this.element = h(
      "section",
      { class: "review", "aria-label": "Review of an alarm" },
      this.#head(),
      this.paper,
      this.note,
      this.beatBar,
      h("div", { class: "columns" }, this.#model(), this.#verdict()),
    );
    this.resize = new ResizeObserver(() => this.#paint());
    this.resize.observe(this.paper);
    this.offTheme = onTheme(() => this.#paint());
    this.#load();
    this.#told();
    queueMicrotask(() => this.closing.focus());
  }

  end() {
    this.ended = true;
    this.resize.disconnect();
    this.offTheme();
    clearTimeout(this.timer);
  }

  /** Called a few times a second: show edits that arrive over the live link. */
  refresh() {
    const key = this.edits.all.map((edit) => edit.id).join();
    if (key === this.editsKey) return;
    this.editsKey = key;
    this.#listEdits();
    this.#marks();
  }

  async #load() {
    const from = this.alarm.onset - AROUND_MS,
      to = this.alarm.onset + AROUND_MS,
      { id } = this.patient;
    this.edits.load().catch(() => {});
    const [strip, beats, rhythm] = await Promise.allSettled([
      stripOf(id, this.alarm.id),
      getJson(patientPath(id, "beats", period(from, to))),
      getJson(patientPath(id, "rhythm", period(from, to))),
    ]);
    if (this.ended) return;
    if (beats.status === "fulfilled") this.beats = beats.value.beats;
    if (strip.status === "fulfilled") this.blocks = strip.value;
    setText(this.note, strip.status === "fulfilled" ? this.#coming() : strip.reason.message);
    if (!this.blocks.length) this.timer = setTimeout(() => this.#load(), AGAIN_MS);
    this.#told(rhythm.status === "fulfilled" ? rhythm.value.episodes : []);
    this.#paint();
  }

  /** Why there is no strip, "" if there is one. */
  #coming() {
    if (this.blocks.length) return "";
    const fresh = this.patient.time - this.alarm.raised < COMES_MS;
    return fresh
      ? "The strip is kept some 20 s after the alarm began: it comes here by itself."
      : "No strip of this alarm is stored.";
  }

  #paint() {
    const mm = pxPerMm(),
      width = this.paper.clientWidth,
      onset = this.alarm.onset,
      first = this.blocks[0],
      last = this.blocks.at(-1);
    if (!width) return;
    const from = first?.t0 ?? onset - AROUND_MS,
      to = last ? last.t0 + length(last) : onset + AROUND_MS;
    const rows = Math.ceil((to - from) / 1000 / rowOf(width, mm).seconds - 1e-6),
      rowHeight = ROW_MM * mm;
    this.paper.style.height = `${rows * rowHeight}px`;
    this.place = drawOnPaper(this.canvas, this.blocks, {
      from,
      to,
      rows,
      rowHeight,
      mm,
      marks: [{ t: onset, name: "onset" }],
    });
    this.from = from;
    this.to = to;
    this.reasons.paint({ place: this.place, from, to, rowHeight, pxPerS: 25 * mm });
    this.#marks();
  }

  /** Place a button above each beat. */
  #marks() {
    if (!this.place) return;
    const focused = document.activeElement?.dataset?.beat;
    const buttons = this.beats
      .filter((beat) => beat.t >= this.from && beat.t < this.to)
      .map((beat) => {
        const edit = this.edits.of("beat", beat.id),
          { x, y } = this.place(beat.t);
        const label =
          edit?.verdict === "relabelled"
            ? edit.label
            : edit?.verdict === "rejected"
              ? "×"
              : beat.label;
        const button = h(
          "button",
          {
            class: "beat",
            "data-beat": beat.id,
            "data-label": label,
            "data-edited": edit ? edit.verdict : null,
            title: `${time(beat.t)} · model: ${beat.label} ${percent(beat.probability)}`,
            "aria-label": `Beat ${time(beat.t)}, ${BEATS[label] ?? "rejected"}${edit ? ", edited" : ""}`,
            "aria-pressed": String(this.chosen?.id === beat.id),
            onclick: () => this.#choose(beat),
            onkeydown: (event) => this.#beatKey(event, beat),
          },
          label,
        );
        button.style.left = `${x}px`;
        button.style.top = `${y + 2}px`;
        return button;
      });
    this.ticks.replaceChildren(...buttons);
    if (focused) buttons.find((button) => button.dataset.beat === focused)?.focus();
  }

  #choose(beat) {
    this.chosen = beat;
    const say = (label) =>
      h(
        "button",
        { "aria-pressed": String(label === beat.label), onclick: () => this.#sayBeat(beat, label) },
        `${label} ${BEATS[label]}`,
      );
    this.beatBar.replaceChildren(
      h(
        "span",
        {},
        `Beat at ${time(beat.t)}: the model says ${beat.label} (${percent(beat.probability)}). It is`,
      ),
      ...Object.keys(BEATS).map(say),
      h("button", { onclick: () => this.#sayBeat(beat, null) }, "no beat"),
      h("button", { onclick: () => this.reasons.ask("beat", beat.t) }, `Why ${beat.label}?`),
    );
    this.#marks();
  }

  /** Letters relabel, Delete rejects, arrows go to the neighbouring beat. */
  #beatKey(event, beat) {
    const letter = event.key.toUpperCase();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (BEATS[letter]) this.#sayBeat(beat, letter);
    else if (event.key === "Delete" || event.key === "Backspace") this.#sayBeat(beat, null);
    else if (event.key === "ArrowRight") event.target.nextElementSibling?.focus();
    else if (event.key === "ArrowLeft") event.target.previousElementSibling?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** The model's own label confirms the answer, another relabels it, none rejects it. */
  #sayBeat(beat, label) {
    const verdict = label === null ? "rejected" : label === beat.label ? "confirmed" : "relabelled";
    return this.#say({
      target: "beat",
      target_id: beat.id,
      at: beat.t,
      said: beat.label,
      verdict,
      ...(verdict === "relabelled" ? { label } : {}),
    });
  }

  #sayAlarm(verdict) {
    const { alarm } = this,
      note = this.noteInput.value.trim();
    return this.#say({
      target: "alarm",
      target_id: alarm.id,
      at: alarm.onset,
      said: alarm.kind,
      verdict,
      ...(verdict === "relabelled" ? { label: this.kind.value } : {}),
      ...(note ? { note } : {}),
    });
  }

  async #say(edit) {
    await this.edits.record(edit, this.feedback);
    this.refresh();
  }

  #head() {
    const { alarm } = this;
    this.closing = h("button", { onclick: () => this.close() }, "Close  Esc");
    return h(
      "div",
      { class: "review-head", "data-level": alarm.technical ? "technical" : alarm.priority },
      h("h2", {}, `${alarm.technical ? "" : `${mark(alarm)} `}${alarmText(alarm)}`),
      h("time", {}, dayTime(alarm.onset, this.patient.time)),
      h("span", { class: "space" }),
      h("button", { onclick: () => this.step(-1) }, "‹ Previous  p"),
      h("button", { onclick: () => this.step(1) }, "Next  n ›"),
      h("button", { onclick: () => this.show(alarm.onset) }, "In the trace"),
      this.closing,
    );
  }

  #model() {
    const why = (what, text) =>
      h("button", { onclick: () => this.reasons.ask(what, this.alarm.raised) }, text);
    return h(
      "div",
      { class: "card" },
      h("h3", {}, "The model says"),
      this.said,
      h(
        "div",
        {},
        why("rhythm", "Why this rhythm?"),
        why("lethal", "Why VT, VF, asystole or none?"),
      ),
      this.reasons.note,
    );
  }

  /** The answers of the model's tasks around the onset. */
  #told(episodes = []) {
    const { alarm } = this,
      around = episodes.filter((e) => e.start <= alarm.raised && e.end >= alarm.onset);
    const beats = this.beats.filter(
      (beat) => beat.t >= alarm.onset - 1 && beat.t <= (alarm.end ?? alarm.raised) + 1,
    );
    const fact = (name, text) => [h("dt", {}, name), h("dd", {}, text)];
    const counted = Object.keys(BEATS)
      .map((label) => [label, beats.filter((beat) => beat.label === label)])
      .filter(([, found]) => found.length);
    this.said.replaceChildren(
      ...fact(
        "Alarm",
        `${alarmName(alarm.kind)}, ${alarm.priority}${alarm.announced ? "" : ", suppressed"}`,
      ),
      ...fact(
        "Value",
        alarm.value === null || alarm.value === undefined
          ? "--"
          : `${+alarm.value.toFixed(2)}${alarm.limit === null || alarm.limit === undefined ? "" : `, limit ${alarm.limit}`}`,
      ),
      ...fact("Told after", `${((alarm.raised - alarm.onset) / 1000).toFixed(1)} s`),
      ...fact(
        "Rhythm",
        around.map((e) => `${rhythmInFull(e.label)} ${percent(e.probability)}`).join(", ") || "--",
      ),
      ...fact(
        "Beats",
        counted
          .map(
            ([label, found]) =>
              `${found.length} ${label} (${percent(found.reduce((sum, beat) => sum + beat.probability, 0) / found.length)})`,
          )
          .join(", ") || "--",
      ),
    );
  }

  #verdict() {
    this.kind = h(
      "select",
      { "aria-label": "The alarm it should have been" },
      ...alarmKinds()
        .filter((kind) => kind !== this.alarm.kind)
        .map((kind) => h("option", { value: kind }, alarmName(kind))),
    );
    this.noteInput = h("input", {
      type: "text",
      maxlength: 200,
      placeholder: "Note (optional)",
      "aria-label": "Note",
    });
    return h(
      "div",
      { class: "card" },
      h("h3", {}, "People say"),
      this.people,
      h(
        "div",
        { class: "verdicts" },
        h("button", { class: "primary", onclick: () => this.#sayAlarm("confirmed") }, "Confirm"),
        h("button", { onclick: () => this.#sayAlarm("rejected") }, "Reject"),
        h(
          "span",
          { class: "relabel" },
          this.kind,
          h("button", { onclick: () => this.#sayAlarm("relabelled") }, "Relabel"),
        ),
      ),
      this.noteInput,
      this.feedback,
    );
  }

  #listEdits() {
    const ids = new Set([this.alarm.id, ...this.beats.map((beat) => beat.id)]);
    const mine = this.edits.all.filter((edit) => ids.has(edit.target_id)).reverse();
    const line = (edit) =>
      h(
        "li",
        {},
        h("b", {}, verdictWords(edit)),
        ` · ${edit.target === "beat" ? `beat at ${time(edit.at)} (was ${edit.said})` : alarmName(edit.said)} · ${edit.by}, ${dayTime(edit.t, Date.now())}${edit.note ? ` · “${edit.note}”` : ""}`,
      );
    this.people.replaceChildren(
      ...(mine.length
        ? mine.map(line)
        : [h("li", { class: "none" }, "Nobody has said anything yet.")]),
    );
  }
}
