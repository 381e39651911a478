// The row of buttons beneath the trace: pause, scroll, zoom, go to alarms and beats, calipers, speed and gain.

import { BEATS, dayTime } from "../alarms/words.js";
import { h, setAttribute, setHidden, setText } from "../core/dom.js";
import { keep, prefs } from "../core/prefs.js";

export class Toolbar {
  /** steps: {alarm, beat, disclose, edit, note, print, toggle}: go to the next (1) or previous (-1) alarm or beat, open the full disclosure */
  constructor(chart, steps) {
    this.chart = chart;
    this.time = h("span", { class: "time" });
    this.scale = h("span", { class: "scale" });
    this.element = this.#element(steps);
  }

  /** The class of beats that a person wants to go to. */
  get beatClass() {
    return this.beats.value;
  }

  refresh(today) {
    const { liveAt } = this.chart;
    setText(this.time, Number.isFinite(liveAt) ? dayTime(liveAt, today) : "--");
    const { gains } = this.chart,
      at = gains.indexOf(prefs.gain);
    for (const [button, off] of [
      [this.smaller, at <= 0],
      [this.larger, at === gains.length - 1],
    ])
      setAttribute(button, "aria-disabled", String(off)); // keeps the focus at the last step
    setHidden(this.legend, this.chart.patient.references.length === 0);
  }

  /** Say how the chart shows its period: called when it shows another one. */
  shown() {
    setText(this.scale, this.chart.scale);
    this.scale.title =
      prefs.screenMm || prefs.fill
        ? ""
        : "The size of this screen is the browser's guess: measure it in the settings (,)";
    setText(this.pause, this.chart.live ? "Pause" : "Back to live");
  }

  #element({ alarm, beat, disclose, edit, note, print, toggle, player }) {
    const { chart } = this,
      button = (text, title, press) => h("button", { title, onclick: press }, text);
    this.pause = button("Pause", "Space", toggle);
    this.pause.className = "pause";
    this.smaller = button("mV −", "Smaller (1 to 5)", () => this.#gain(-1));
    this.larger = button("mV +", "Larger (1 to 5)", () => this.#gain(1));
    this.legend = h(
      "span",
      { class: "letters", hidden: true },
      h("b", {}, "N S V"),
      " found   ",
      h("b", {}, "n s v"),
      " reference",
    );
    this.beats = h(
      "select",
      { "aria-label": "Class of beat to go to", title: "Class of beat that b and B go to" },
      ...["V", "S", "F", "Q", "N"].map((label) =>
        h("option", { value: label, title: BEATS[label] }, label),
      ),
    );
    return h(
      "div",
      { class: "tools" },
      this.time,
      player ?? this.pause,
      h(
        "span",
        { class: "group" },
        button("◂", "A screen back (←)", () => chart.scroll(-1)),
        button("▸", "A screen on (→)", () => chart.scroll(1)),
        button("−", "Wider (-)", () => chart.zoom(1)),
        button("+", "Closer (+)", () => chart.zoom(-1)),
      ),
      h(
        "span",
        { class: "group" },
        button("‹ Alarm", "Previous alarm (p)", () => alarm(-1)),
        button("Alarm ›", "Next alarm (n)", () => alarm(1)),
      ),
      h(
        "span",
        { class: "group" },
        button("‹", "Previous beat of this class (B)", () => beat(-1)),
        this.beats,
        button("›", "Next beat of this class (b)", () => beat(1)),
      ),
      button("Calipers", "c", () => chart.calipers.toggle()),
      button("Hour", "Full disclosure (d)", disclose),
      button("Edit beats", "Relabel, move, insert and delete beats (E)", edit),
      button("Note", "Write a note or an event of this moment (N)", note),
      button("Print", "Print the shown strip (o)", print),
      h(
        "span",
        { class: "group" },
        button("25 / 50", "mm/s (g)", () => keep("speed", prefs.speed === 25 ? 50 : 25)),
        this.smaller,
        this.larger,
        button("Fit", "The largest gain that cuts nothing (0)", () => chart.fitGain()),
      ),
      this.legend,
      h("span", { class: "space" }),
      this.scale,
    );
  }

  #gain(step) {
    const { gains } = this.chart,
      next = gains[gains.indexOf(prefs.gain) + step];
    if (next) keep("gain", next);
  }
}
