// The ECG of one patient on millimetre paper: three sweeping rows while it is live, and still rows of any period of the past.

import { Calipers } from "./calipers.js";
import { listen } from "./gestures.js";
import { h, setData, setHidden, setText } from "../core/dom.js";
import { HistoryRows } from "./historyrows.js";
import { now } from "../core/model.js";
import { drawPaper, fitCanvas } from "./plot.js";
import { keep, onChange, prefs, pxPerMm } from "../core/prefs.js";
import { SHORTEST_MS, StillRows } from "./stillrows.js";
import { Suit } from "./suit.js";
import { Sweep } from "./sweep.js";
import { colour, onTheme } from "../core/theme.js";
import { dayTime, span } from "../alarms/words.js";

const ROWS = 3,
  MOST_SECONDS = 18; // samples.js keeps three rows of them
const WIDTH_MM = 250; // of a row that fills the screen, not to size
const SQUARE_MM = 5; // a row ends with a square of the paper
const MOST_FIT = 20; // mm/mV that "fit" may choose
const TREND_PX = 210; // kept for the trend and the tools beneath the trace
export const GAINS = { 1: 2.5, 2: 5, 3: 10, 4: 20, 5: 40 };

export class Chart {
  /** `changed` is called when another period is shown. */
  constructor(patient, tape, changed) {
    Object.assign(this, { patient, tape, changed });
    this.paper = h("canvas", { class: "paper", "aria-hidden": "true" });
    this.canvas = h("canvas", {
      class: "trace",
      role: "img",
      "aria-label": `Live ECG of ${patient.id}`,
    });
    this.past = h("canvas", {
      class: "past",
      role: "img",
      "aria-label": `Stored ECG of ${patient.id}`,
      hidden: true,
    });
    this.technical = h("div", { class: "technical" });
    this.note = h("div", { class: "note" });
    this.badge = h("div", { class: "badge", hidden: true });
    this.rows = h(
      "div",
      { class: "rows" },
      this.paper,
      this.canvas,
      this.past,
      this.technical,
      this.badge,
      this.note,
    );
    this.element = h("div", { class: "chart" }, this.rows);
    this.sweep = new Sweep(patient, {
      rows: ROWS,
      seconds: MOST_SECONDS,
      letters: true,
      mmPerMv: prefs.gain,
      mm: 1,
    });
    this.history = new HistoryRows(this.past, tape, () => this.calipers.place());
    this.still = new StillRows();
    this.calipers = new Calipers(this);
    this.suit = new Suit(patient);
    this.begin = () => null; // the time of the first sample, if it is known
    listen(this);
    this.resize = new ResizeObserver(() => this.fit());
    this.resize.observe(this.element);
    this.endings = [
      onTheme(() => this.fit(true)),
      ...["gain", "speed", "fill", "screenMm"].map((name) =>
        onChange(name, () => {
          this.suit.again();
          this.fit(true);
        }),
      ),
    ];
  }

  close() {
    this.resize.disconnect();
    for (const end of this.endings) end();
    this.history.close();
  }

  get live() {
    return this.still.from === null;
  }

  /** The shown period, {from, to} in ms. */
  get shown() {
    const { from, span, screen } = this.still;
    if (!this.live) return { from, to: from + span };
    const to = this.liveAt;
    return { from: to - screen, to };
  }

  /** The time at the pen. */
  get liveAt() {
    const { samples, playhead } = this.patient;
    return samples ? samples.timeOf(playhead.at(now()) * samples.fs) : NaN;
  }

  frame(at) {
    if (this.live) this.sweep.draw(at);
  }

  /** Lay out the rows; does nothing if nothing has changed, unless `all` must be drawn again. */
  fit(all = false) {
    const { clientWidth: wide, clientHeight: tall } = this.element;
    if (!wide || !tall) return;
    const ratio = window.devicePixelRatio || 1,
      mm = prefs.fill ? wide / WIDTH_MM : pxPerMm();
    const squares = Math.floor(wide / (mm * SQUARE_MM) + 1e-6);
    this.seconds = Math.max(1, Math.min(MOST_SECONDS, (squares * SQUARE_MM) / prefs.speed));
    this.mm = mm;
    const width = Math.min(wide, this.seconds * prefs.speed * mm);
    Object.assign(this.still, { width, height: tall, perRow: this.seconds * 1000 });
    this.rows.style.width = `${width}px`;
    const again = fitCanvas(this.paper, width, tall) || all;
    fitCanvas(this.canvas, width, tall);
    fitCanvas(this.past, width, tall);
    if (!again) return;
    const paper = this.paper.getContext("2d");
    paper.clearRect(0, 0, this.paper.width, this.paper.height);
    drawPaper(paper, this.paper.width, this.paper.height, mm * ratio, ratio, [
      colour("grid-1"),
      colour("grid-5"),
    ]);
    Object.assign(this.sweep.options, {
      seconds: this.seconds,
      mmPerMv: prefs.gain,
      mm: mm * ratio,
    });
    this.sweep.place(
      this.canvas.getContext("2d"),
      0,
      0,
      this.canvas.width,
      this.canvas.height,
      ratio,
    );
    this.sweep.redraw();
    this.#draw();
  }

  /** "25 mm/s   10 mm/mV": of the shown rows; "≈" while nobody has measured this screen. */
  get scale() {
    const { span, screen, width, rowSpan } = this.still,
      speed = this.live || span === screen ? prefs.speed : width / this.mm / (rowSpan / 1000);
    const shown = speed >= 10 ? Math.round(speed) : +speed.toPrecision(2);
    return `${prefs.screenMm || prefs.fill ? "" : "≈ "}${shown} mm/s   ${prefs.gain} mm/mV${prefs.fill ? "   not to size" : ""}`;
  }

  /** Freeze the screen, or continue. */
  toggle() {
    if (this.live) this.pause();
    else this.resume();
  }

  pause() {
    if (!this.live || !Number.isFinite(this.liveAt)) return false;
    this.tape.freeze();
    this.show(this.shown.from, this.still.screen);
    return true;
  }

  resume() {
    this.still.clear();
    this.calipers.close();
    this.sweep.redraw();
    this.#draw();
  }

  /** The period in which there is signal, {from, to} in ms; from 0 if its beginning is not known. */
  get bounds() {
    return { from: this.begin() ?? 0, to: this.patient.time };
  }

  /** Show `length` ms from `from` on, within the data. */
  show(from, length = this.still.span ?? this.still.screen) {
    if (this.live) this.tape.freeze();
    this.still.show(from, length, this.bounds);
    this.calipers.leave(this.shown);
    this.#draw();
  }

  /** Show a moment a third from the left, with what came before and what followed. */
  third(at) {
    this.show(at - (this.still.span ?? this.still.screen) / 3);
  }

  /** Show the period with `at` in the middle. */
  centre(at, length = this.still.span ?? this.still.screen) {
    this.show(at - length / 2, length);
  }

  scroll(screens) {
    if (this.live && (screens > 0 || !this.pause())) return;
    const { from, span } = this.still,
      to = from + screens * span;
    const over = screens > 0 && to + span > this.patient.time + span * 0.5;
    if (over && !this.patient.horizon) this.resume();
    else this.show(to);
  }

  /** Zoom one step in (-1) or out (1); the middle stays, or the time under the pointer. */
  zoom(step, at = null) {
    if (this.live && !this.pause()) return;
    const { from, to: newest } = this.bounds,
      { still } = this;
    if (step > 0 && still.span >= newest - from) return; // all there is
    const next = still.zoomed(step);
    if (next) this.zoomTo(next, at ?? still.from + still.span / 2);
  }

  /** Show `length` ms; the time `at` stays where it is. */
  zoomTo(length, at) {
    this.show(this.still.around(at, length), Math.max(SHORTEST_MS, length));
  }

  setGain(gain) {
    keep("gain", gain);
  }

  /** The gains at which the signal is neither cut nor flat. */
  get gains() {
    const column = this.element.parentElement?.clientHeight ?? 0,
      mostPx = Math.max(this.still.height, column - TREND_PX) / ROWS;
    return this.suit.gains(Object.values(GAINS), prefs.gain, mostPx / this.mm);
  }

  /** Choose the largest gain at which the signal is not cut. */
  fitGain() {
    this.setGain(this.gains.filter((gain) => gain <= MOST_FIT).at(-1) ?? prefs.gain);
  }

  /** The state of the stream, in words and colours. */
  refresh({ dead, technical, missing }) {
    if (this.mm && this.live) {
      const px = ROWS * this.suit.rowPx(prefs.gain * this.mm);
      this.element.parentElement?.style.setProperty("--chart", `${Math.round(px)}px`);
    }
    this.sweep.setDead(dead);
    setText(this.technical, technical);
    setText(this.note, this.live ? missing : "");
  }

  cursor(t) {
    this.history.cursor(this.live ? null : t);
  }

  #draw() {
    const { live } = this;
    setHidden(this.canvas, !live);
    setHidden(this.past, live);
    setData(this.element, "live", String(live));
    setHidden(this.badge, live);
    if (!live) {
      const { from, to } = this.shown;
      setText(
        this.badge,
        `${this.patient.horizon ? "Paused" : "History"} · ${dayTime(from, this.patient.time)} · ${span(this.still.span / 1000)} · Space: ${this.patient.horizon ? "play" : "back to live"}`,
      );
      this.history.draw({ from, to, rows: this.still.rows, scale: prefs.gain * this.mm });
    }
    this.calipers.place();
    this.changed();
  }
}
