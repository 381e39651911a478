// ECG on paper with a button above each beat, at a chosen speed and gain: the ground of the review and of the editor of beats.

import { BEATS, time } from "../alarms/words.js";
import { h } from "../core/dom.js";
import { prefs, pxPerMm } from "../core/prefs.js";
import { onTheme } from "../core/theme.js";
import { drawOnPaper, rowFor, rowOf } from "../trace/paper.js";
import { PaperScale } from "./paperscale.js";

export class BeatPaper {
  /** `changed` is called when the paper's width, scale or colours have changed, `choose` with the beat that a person presses; `over` are
   * elements between the paper and the beats. */
  constructor(label, { changed, choose, over = [] }) {
    Object.assign(this, { changed, choose });
    this.canvas = h("canvas", { class: "ecg", role: "img", "aria-label": label });
    this.ticks = h("div", { class: "ticks" });
    this.element = h("div", { class: "strip-paper" }, this.canvas, ...over, this.ticks);
    this.scale = new PaperScale(changed);
    this.resize = new ResizeObserver(changed);
    this.resize.observe(this.element);
    this.offTheme = onTheme(changed);
  }

  end() {
    this.resize.disconnect();
    this.offTheme();
    this.scale.end();
  }

  get width() {
    return this.element.clientWidth;
  }

  /** What a row holds, s. */
  get rowSeconds() {
    return rowOf(this.width, pxPerMm(), prefs.paperSpeed).seconds;
  }

  /** Draw [from, to) ms in rows, `marks` {t, name} as lines. */
  draw(blocks, { from, to, rows, marks = [] }) {
    const mm = pxPerMm(),
      { paperSpeed: speed, paperGain: gain } = prefs,
      row = rowFor(blocks, { from, to, gain });
    this.rowHeight = row.heightMm * mm;
    this.pxPerS = speed * mm;
    Object.assign(this, { from, rows });
    this.element.style.height = `${rows * this.rowHeight}px`;
    this.place = drawOnPaper(this.canvas, blocks, { from, rows, row, mm, marks, speed, gain });
  }

  /** Put a button above each beat {id, t, label, gone, edit, about} and a letter beneath each reference {t, label}. */
  mark(beats, chosen, references = []) {
    if (!this.place) return;
    const focused = document.activeElement?.dataset?.beat;
    const letters = references.map(({ t, label }) => {
      const letter = h("span", { class: "reference", "data-label": label }, label.toLowerCase());
      return this.#at(letter, t, this.rowHeight - 18);
    });
    const buttons = beats.map((beat) => this.#button(beat, chosen));
    this.ticks.replaceChildren(...letters, ...buttons);
    if (focused) this.focus(focused);
  }

  focus(id) {
    [...this.ticks.children].find((button) => button.dataset.beat === id)?.focus();
  }

  /** The time under the pointer. */
  timeAt(event) {
    const box = this.element.getBoundingClientRect(),
      { left } = rowOf(this.width, pxPerMm(), prefs.paperSpeed);
    const row = Math.floor((event.clientY - box.top) / this.rowHeight);
    const s =
      Math.max(0, Math.min(this.rows - 1, row)) * this.rowSeconds +
      (event.clientX - box.left - left) / this.pxPerS;
    return this.from + s * 1000;
  }

  #button(beat, chosen) {
    const { id, t, label, gone, edit, about } = beat;
    const button = h(
      "button",
      {
        class: "beat",
        tabindex: id === chosen ? 0 : -1,
        "data-beat": id,
        "data-label": gone ? "×" : label,
        "data-edited": edit?.verdict ?? null,
        title: `${time(t)} · ${about}`,
        "aria-label": `Beat ${time(t)}, ${gone ? "rejected" : BEATS[label]}, ${about}`,
        "aria-pressed": String(id === chosen),
        onclick: () => this.choose(beat),
      },
      gone ? "×" : label,
    );
    return this.#at(button, t, 2);
  }

  #at(element, t, below) {
    const { x, y } = this.place(t);
    element.style.left = `${x}px`;
    element.style.top = `${y + below}px`;
    return element;
  }
}
