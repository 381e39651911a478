// The strip of an alarm: fetched when it scrolls into view, drawn small in the list. It is stored some seconds after the alarm.

import { getBlocks, patientPath } from "../core/api.js";
import { h, setText } from "../core/dom.js";
import { baselineMv, fitCanvas, length, plot } from "./plot.js";
import { colour, onTheme } from "../core/theme.js";

const AGAIN_MS = 4000,
  TRIES = 15;
const HEIGHT_MV = 2.4;

const fetched = new Map(); // by alarm id, as strips never change
const KEPT = 200;

/** The blocks of an alarm's strip; none if it is not stored yet. */
export async function stripOf(patientId, alarmId) {
  if (!fetched.has(alarmId)) {
    const blocks = await getBlocks(patientPath(patientId, "strip", { alarm: alarmId }));
    if (!blocks.length) return blocks;
    fetched.set(alarmId, blocks);
    if (fetched.size > KEPT) fetched.delete(fetched.keys().next().value);
  }
  return fetched.get(alarmId);
}

export class SmallStrip {
  constructor(patientId, alarm) {
    Object.assign(this, { patientId, alarm, tries: 0, blocks: null });
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.coming = h("span", { class: "coming" });
    this.element = h("div", { class: "small-strip" }, this.canvas, this.coming);
    this.seen = new IntersectionObserver((entries) => {
      if (entries.some((e) => e.isIntersecting)) {
        this.seen.disconnect();
        this.#load();
      }
    });
    this.seen.observe(this.element);
    this.offTheme = onTheme(() => this.#paint());
  }

  close() {
    this.seen.disconnect();
    this.offTheme();
    clearTimeout(this.timer);
  }

  async #load() {
    try {
      this.blocks = await stripOf(this.patientId, this.alarm.id);
    } catch {
      this.blocks = null;
    }
    if (this.blocks?.length) {
      setText(this.coming, "");
      return this.#paint();
    }
    const more = ++this.tries < TRIES;
    setText(this.coming, more ? "The strip comes in some seconds." : "No strip is stored.");
    if (more) this.timer = setTimeout(() => this.#load(), AGAIN_MS);
  }

  #paint() {
    if (!this.blocks?.length || !this.canvas.clientWidth) return;
    fitCanvas(this.canvas);
    const { canvas, blocks } = this,
      context = canvas.getContext("2d"),
      ratio = window.devicePixelRatio || 1;
    const from = blocks[0].t0,
      last = blocks.at(-1),
      to = last.t0 + length(last);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = colour(this.alarm.technical ? "low" : this.alarm.priority);
    context.fillRect(
      ((this.alarm.onset - from) / (to - from)) * canvas.width,
      0,
      ratio,
      canvas.height,
    );
    plot(
      context,
      blocks,
      { x: 0, y: 0, width: canvas.width, height: canvas.height },
      {
        from,
        to,
        level: canvas.height * 0.6,
        scale: canvas.height / HEIGHT_MV,
        zero: baselineMv(blocks, from, to),
        colour: colour("trace"),
        line: ratio,
      },
    );
  }
}
