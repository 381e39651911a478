// Beats on paper, to be edited: choose one by arrows or a click, relabel by its letter, delete, move by Shift and arrows, insert at a click beside them.

import { BEATS, percent, time } from "../alarms/words.js";
import { h, setText } from "../core/dom.js";
import { pxPerMm } from "../core/prefs.js";
import { onTheme } from "../core/theme.js";
import { drawOnPaper, rowOf } from "../trace/paper.js";

const ROW_MM = 42,
  ROWS = 3;
const SPEED = 25; // mm/s
const STEP_MS = 4,
  BIG_MS = 20;
const NEAR_MS = 60; // a click this close to a beat chooses it

export class BeatEditor {
  /** Beats around a time, ms. `close` ends the editor. */
  constructor(patient, tape, at, { edits, close }) {
    Object.assign(this, { patient, tape, at, edits, close, beats: [], chosen: null });
    this.canvas = h("canvas", { class: "ecg", role: "img", "aria-label": "Beats to edit" });
    this.ticks = h("div", { class: "ticks" });
    this.paper = h("div", { class: "strip-paper" }, this.canvas, this.ticks);
    this.bar = h("div", { class: "beat-bar" });
    this.feedback = h("p", { class: "feedback", role: "status" });
    this.title = h("time", {});
    this.element = h(
      "section",
      { class: "review beat-editor", "aria-label": "Edit beats" },
      this.#head(),
      this.paper,
      this.bar,
      h(
        "p",
        { class: "strip-note" },
        "← → choose a beat · N S V F Q relabel · Delete: no beat · Shift ← → move · click beside the beats: insert · , . a screen back and on",
      ),
      this.feedback,
    );
    this.canvas.addEventListener("click", (event) => this.#clicked(event));
    this.ticks.addEventListener("click", (event) => {
      if (event.target === this.ticks) this.#clicked(event);
    });
    this.resize = new ResizeObserver(() => this.#show(this.at));
    this.resize.observe(this.paper);
    this.offTheme = onTheme(() => this.#paint());
    this.edits.load().then(
      () => this.#marks(),
      () => {},
    );
    queueMicrotask(() => this.closing.focus());
  }

  end() {
    this.ended = true;
    this.resize.disconnect();
    this.offTheme();
  }

  /** Called a few times a second: show edits that arrive over the live link. */
  refresh() {
    const key = this.edits.all.map((edit) => edit.id).join();
    if (key === this.editsKey) return;
    this.editsKey = key;
    this.#marks();
  }

  key(event) {
    const letter = event.key.toUpperCase();
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.key === "Escape") this.close();
    else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      const step = event.key === "ArrowRight" ? 1 : -1;
      if (event.shiftKey) this.#move(step * STEP_MS);
      else this.#next(step);
    } else if (event.key === "." || event.key === ",")
      this.#show(this.at + (event.key === "." ? 0.9 : -0.9) * (this.to - this.from));
    else if (BEATS[letter] && this.chosen) this.#label(letter);
    else if ((event.key === "Delete" || event.key === "Backspace") && this.chosen)
      this.#label(null);
    else return false;
    return true;
  }

  /** Show the rows around a time. */
  async #show(at) {
    const width = this.paper.clientWidth;
    if (!width) return;
    const { seconds } = rowOf(width, pxPerMm()),
      half = (ROWS * seconds * 1000) / 2;
    Object.assign(this, { at, from: at - half, to: at + half });
    setText(this.title, `${time(this.from)} – ${time(this.to)}`);
    const newest = this.patient.time;
    await Promise.allSettled([
      this.tape.references?.want(this.from, this.to, newest),
      this.tape.samples.want(this.from, this.to, newest),
      this.tape.beats.want(this.from, this.to, newest),
    ]);
    if (!this.ended && at === this.at) this.#paint();
  }

  #paint() {
    if (!this.to) return;
    const mm = pxPerMm(),
      rowHeight = ROW_MM * mm,
      { from, to } = this;
    this.paper.style.height = `${ROWS * rowHeight}px`;
    this.place = drawOnPaper(this.canvas, this.tape.known(from, to), {
      from,
      to,
      rows: ROWS,
      rowHeight,
      mm,
      marks: [],
    });
    this.#marks();
  }

  /** The beats as they stand after the edits: {id, t, label, model, edit}. */
  get standing() {
    const own = this.tape.knownBeats(this.from - 1000, this.to + 1000).map((beat) => {
      const edit = this.edits.of("beat", beat.id),
        { verdict } = edit ?? {};
      return {
        id: beat.id,
        model: beat,
        edit,
        t: verdict === "moved" ? edit.at : beat.t,
        label: edit?.label || beat.label,
        gone: verdict === "rejected",
      };
    });
    const added = new Map();
    for (const edit of this.edits.all)
      if (edit.target === "beat" && edit.said === "") added.set(edit.target_id, edit);
    for (const edit of added.values())
      own.push({
        id: edit.target_id,
        edit,
        t: edit.at,
        label: edit.label,
        gone: edit.verdict === "rejected",
      });
    return own.filter((beat) => beat.t >= this.from && beat.t < this.to).sort((a, b) => a.t - b.t);
  }

  #marks() {
    if (!this.place || !this.to) return;
    this.ticks.replaceChildren(
      ...this.#references(),
      ...this.standing.map((beat) => {
        const { x, y } = this.place(beat.t),
          said = beat.model ? `model: ${beat.model.label}` : "inserted";
        const button = h(
          "button",
          {
            class: "beat",
            tabindex: -1,
            "data-label": beat.gone ? "×" : beat.label,
            "data-edited": beat.edit?.verdict ?? null,
            title: `${time(beat.t)} · ${said}`,
            "aria-label": `Beat ${time(beat.t)}, ${beat.gone ? "rejected" : BEATS[beat.label]}, ${said}`,
            "aria-pressed": String(this.chosen?.id === beat.id),
            onclick: () => this.#choose(beat),
          },
          beat.gone ? "×" : beat.label,
        );
        button.style.left = `${x}px`;
        button.style.top = `${y + 2}px`;
        return button;
      }),
    );
    if (this.chosen?.id) {
      const again = this.standing.find((beat) => beat.id === this.chosen.id);
      if (again) this.#choose(again, false);
    }
  }

  /** The record's own annotations, at the foot of their rows. */
  #references() {
    return (this.tape.references?.known(this.from, this.to) ?? [])
      .filter(({ t }) => t >= this.from && t < this.to)
      .map(({ t, label }) => {
        const { x, y } = this.place(t);
        const mark = h("span", { class: "reference", "data-label": label }, label.toLowerCase());
        mark.style.left = `${x}px`;
        mark.style.top = `${y + ROW_MM * pxPerMm() - 18}px`;
        return mark;
      });
  }

  #next(step) {
    const beats = this.standing,
      at = this.chosen?.t ?? (step > 0 ? this.from : this.to);
    const next = step > 0 ? beats.find((b) => b.t > at + 1) : beats.findLast((b) => b.t < at - 1);
    if (next) this.#choose(next);
    else this.#show(this.at + step * 0.9 * (this.to - this.from)).then(() => this.#edge(step, at));
  }

  /** After turning the page, choose the beat that follows. */
  #edge(step, at) {
    const beats = this.standing;
    const next = step > 0 ? beats.find((b) => b.t > at + 1) : beats.findLast((b) => b.t < at - 1);
    if (next) this.#choose(next);
  }

  #choose(beat, mark = true) {
    this.chosen = beat;
    const button = (text, press, pressed) =>
      h("button", { onclick: press, "aria-pressed": String(Boolean(pressed)) }, text);
    const said = beat.model
      ? `the model says ${beat.model.label} (${percent(beat.model.probability)})`
      : beat.id
        ? "inserted"
        : "no beat was found here";
    this.bar.replaceChildren(
      h("span", {}, `${time(beat.t)}: ${said}. It is`),
      ...Object.keys(BEATS).map((label) =>
        button(
          `${label} ${BEATS[label]}`,
          () => this.#label(label),
          !beat.gone && beat.id && label === beat.label,
        ),
      ),
      ...(beat.id ? [button("no beat", () => this.#label(null), beat.gone)] : []),
      ...(beat.id
        ? [button("◂", () => this.#move(-BIG_MS)), button("▸", () => this.#move(BIG_MS))]
        : []),
    );
    if (mark) this.#marks();
  }

  /** Choose the beat under the pointer, or a place for a new one. */
  #clicked(event) {
    const box = this.paper.getBoundingClientRect(),
      mm = pxPerMm(),
      { seconds, left } = rowOf(box.width, mm);
    const row = Math.max(
      0,
      Math.min(ROWS - 1, Math.floor(((event.clientY - box.top) / box.height) * ROWS)),
    );
    const t = this.from + (row * seconds + (event.clientX - box.left - left) / (SPEED * mm)) * 1000;
    const near = this.standing.find((beat) => Math.abs(beat.t - t) < NEAR_MS);
    this.#choose(near ?? { id: "", t, label: "N", gone: false });
  }

  #label(label) {
    const { chosen } = this,
      at = Math.round(chosen.t * 1000) / 1000;
    const about = { target: "beat", at };
    if (!chosen.id) {
      if (label === null) return;
      const id = String(Math.round(at * 1e6));
      this.#say({ ...about, target_id: id, said: "", verdict: "inserted", label });
      this.chosen = { ...chosen, id };
    } else if (!chosen.model)
      this.#say({
        ...about,
        target_id: chosen.id,
        said: "",
        ...(label === null ? { verdict: "rejected" } : { verdict: "inserted", label }),
      });
    else {
      const { model } = chosen,
        moved = chosen.edit?.verdict === "moved" && label !== null;
      this.#say({
        ...about,
        target_id: chosen.id,
        said: model.label,
        ...(label === null
          ? { verdict: "rejected" }
          : moved
            ? { verdict: "moved", label }
            : label === model.label
              ? { verdict: "confirmed" }
              : { verdict: "relabelled", label }),
      });
    }
  }

  #move(ms) {
    const { chosen } = this;
    if (!chosen?.id) return;
    this.#say({
      target: "beat",
      target_id: chosen.id,
      at: Math.round((chosen.t + ms) * 1000) / 1000,
      said: chosen.model?.label ?? "",
      verdict: chosen.model ? "moved" : "inserted",
      label: chosen.label,
    });
  }

  async #say(edit) {
    await this.edits.record(edit, this.feedback);
    this.refresh();
  }

  #head() {
    this.closing = h("button", { onclick: () => this.close() }, "Close  Esc");
    return h(
      "div",
      { class: "review-head" },
      h("h2", {}, "Edit beats"),
      this.title,
      h("span", { class: "space" }),
      h(
        "button",
        { onclick: () => this.#show(this.at - 0.9 * (this.to - this.from)) },
        "‹ Back  ,",
      ),
      h("button", { onclick: () => this.#show(this.at + 0.9 * (this.to - this.from)) }, "On  . ›"),
      this.closing,
    );
  }
}
