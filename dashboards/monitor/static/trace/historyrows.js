// Rows of the stored past on a canvas: samples (or their range if many fall on a pixel), beats, the rhythm's colour, and alarms.

import { levelOf } from "./gain.js";
import { baselineMv, extentMv, plot } from "./plot.js";
import { drawBeat, drawReference, drawSaid, PACED } from "./marks.js";
import { ofMoment } from "../patient/journal.js";
import { colour } from "../core/theme.js";
import { shortTime, time } from "../alarms/words.js";

const SAMPLES_UP_TO_MS = 120_000; // wider periods are requested as ranges
const BEATS_UP_TO_MS = 600_000;
const LETTERS_FROM = 24; // CSS pixels per second
const BAND_PX = 4;
const WAIT_MS = 120; // for the next key before the server is asked

export class HistoryRows {
  #turn = 0;
  #timer = 0;

  constructor(canvas, tape, drawn) {
    Object.assign(this, { canvas, tape, drawn });
    this.context = canvas.getContext("2d");
    this.picture = null;
    this.problem = "";
    this.at = null;
  }

  close() {
    this.#turn++;
    clearTimeout(this.#timer);
  }

  /** Show [from, to) ms in rows, `scale` CSS pixels per mV: at once what is cached, and the rest when it has arrived. */
  draw(wanted) {
    const mine = ++this.#turn;
    if (!this.wanted || wanted.from !== this.wanted.from || wanted.to !== this.wanted.to)
      this.picture = null;
    this.wanted = wanted;
    this.problem = "loading";
    this.#paint();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#load(mine), WAIT_MS);
  }

  /** The time under the pointer on the trend. */
  cursor(t) {
    if (t === this.at) return;
    this.at = t;
    if (this.wanted) this.#paint();
  }

  async #load(mine) {
    const { from, to } = this.wanted,
      { tape } = this,
      newest = tape.patient.time,
      wide = to - from > SAMPLES_UP_TO_MS;
    const beats = to - from <= BEATS_UP_TO_MS ? tape.beats.want(from, to, newest) : null;
    const rhythm = tape.rhythm(from, to).then((episodes) => {
      this.episodes = episodes;
    });
    const signal = wide
      ? tape.picture(from, to, this.wanted.rows * this.canvas.width).then((blocks) => {
          if (mine === this.#turn) this.picture = blocks;
        })
      : tape.samples.want(from, to, newest);
    const references = to - from <= BEATS_UP_TO_MS ? tape.references?.want(from, to, newest) : null;
    const found = await Promise.allSettled([signal, beats, rhythm, references]);
    if (mine !== this.#turn) return;
    this.problem = found.find((result) => result.status === "rejected")?.reason.message ?? "";
    this.#paint();
  }

  #paint() {
    const { canvas, context } = this,
      { from, to, rows, scale } = this.wanted;
    const ratio = window.devicePixelRatio || 1,
      height = canvas.height / rows,
      perRow = (to - from) / rows;
    context.clearRect(0, 0, canvas.width, canvas.height);
    const blocks = to - from > SAMPLES_UP_TO_MS ? (this.picture ?? []) : this.tape.known(from, to);
    const zero = baselineMv(blocks, from, to),
      up = (extentMv(blocks, from, to)[1] - zero) * scale * ratio,
      level = levelOf(height, up, ratio);
    for (let row = 0; row < rows; row++) {
      const box = { x: 0, y: row * height, width: canvas.width, height },
        start = from + row * perRow;
      this.#rhythm(box, start, start + perRow, ratio);
      plot(context, blocks, box, {
        from: start,
        to: start + perRow,
        level,
        scale: scale * ratio,
        zero,
        colour: colour("trace"),
        line: 1.5 * ratio,
      });
      this.#beats(box, start, start + perRow, ratio);
      this.#alarms(box, start, start + perRow, ratio);
      this.#said(box, start, start + perRow, ratio);
      this.#stamp(box, start, perRow, ratio);
      this.#cursor(box, start, perRow, ratio);
    }
    if (!blocks.length)
      this.#say(
        this.problem === "loading" ? "Loading …" : this.problem || "No samples are stored here.",
        ratio,
      );
    this.drawn();
  }

  #rhythm({ y, width, height }, from, to, ratio) {
    for (const { start, end, label } of this.episodes ?? []) {
      if (start >= to || end <= from) continue;
      const left = ((Math.max(start, from) - from) / (to - from)) * width,
        right = ((Math.min(end, to) - from) / (to - from)) * width;
      band(
        this.context,
        label,
        left,
        y + height - BAND_PX * ratio,
        Math.max(1, right - left),
        BAND_PX * ratio,
      );
    }
  }

  #beats({ y, width, height }, from, to, ratio) {
    if (this.wanted.to - this.wanted.from > BEATS_UP_TO_MS) return;
    const letters = (width / ratio / (to - from)) * 1000 >= LETTERS_FROM;
    for (const beat of this.tape.knownBeats(from, to))
      drawBeat(
        this.context,
        { label: beat.label, paced: this.#paced(beat.t) },
        ((beat.t - from) / (to - from)) * width,
        y,
        ratio,
        letters,
      );
    if (!letters) return;
    for (const { t, label } of this.tape.references?.known(from, to) ?? [])
      if (t >= from && t < to)
        drawReference(
          this.context,
          label,
          ((t - from) / (to - from)) * width,
          y + height - BAND_PX * ratio,
          ratio,
        );
  }

  #paced(t) {
    return (this.episodes ?? []).some(
      ({ start, end, label }) => label === PACED && start <= t && t < end,
    );
  }

  #alarms({ y, width, height }, from, to, ratio) {
    for (const alarm of this.tape.patient.alarms.values()) {
      if (alarm.onset < from || alarm.onset >= to) continue;
      const x = ((alarm.onset - from) / (to - from)) * width;
      this.context.fillStyle = colour(alarm.technical ? "low" : alarm.priority);
      this.context.globalAlpha = 0.55;
      this.context.fillRect(x, y, ratio, height - BAND_PX * ratio);
      this.context.globalAlpha = 1;
      flag(this.context, x, y + 24 * ratio, 8 * ratio);
    }
  }

  #said({ y, width, height }, from, to, ratio) {
    for (const entry of this.tape.patient.journal.values()) {
      if (!ofMoment(entry) || entry.t < from || entry.t >= to) continue;
      const x = ((entry.t - from) / (to - from)) * width;
      drawSaid(this.context, x, y, height - BAND_PX * ratio, ratio);
    }
  }

  #stamp({ y, height }, from, perRow, ratio) {
    this.context.font = `${11 * ratio}px system-ui, "DejaVu Sans", sans-serif`;
    this.context.textAlign = "left";
    this.context.fillStyle = colour("quiet");
    this.context.fillText(
      perRow < 1_200_000 ? time(from) : shortTime(from),
      4 * ratio,
      y + height - 8 * ratio,
    );
  }

  #cursor({ y, width, height }, from, perRow, ratio) {
    if (this.at === null || this.at < from || this.at >= from + perRow) return;
    this.context.fillStyle = colour("text");
    this.context.fillRect(((this.at - from) / perRow) * width, y, ratio, height);
  }

  #say(text, ratio) {
    this.context.font = `${15 * ratio}px system-ui, "DejaVu Sans", sans-serif`;
    this.context.textAlign = "center";
    this.context.fillStyle = colour("text");
    this.context.fillText(text, this.canvas.width / 2, this.canvas.height / 2);
  }
}

/** Draw a part of the rhythm's band; unreadable signal is hatched. */
export function band(context, label, x, y, width, height) {
  context.fillStyle = colour(rhythmColour(label));
  if (label !== "~") return context.fillRect(x, y, width, height);
  for (let at = 0; at < width; at += 5)
    context.fillRect(x + at, y, Math.min(2, width - at), height);
}

export function flag(context, x, y, size) {
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + size, y + size / 2);
  context.lineTo(x, y + size);
  context.fill();
}

/** The name of a rhythm's colour in the style sheet. */
export const rhythmColour = (label) =>
  ({
    N: "rhythm-N",
    SBR: "rhythm-N",
    STACH: "rhythm-N",
    SARR: "rhythm-N",
    AFIB: "rhythm-AFIB",
    IVR: "rhythm-VT",
    VT: "rhythm-VT",
    VFL: "rhythm-VT",
    VF: "rhythm-VF",
    ASYS: "rhythm-ASYS",
    "~": "rhythm-none",
  })[label] ?? "rhythm-O";
