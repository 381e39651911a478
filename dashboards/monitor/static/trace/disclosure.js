// Full disclosure: an hour of ECG on one page, a minute to a row, coloured by rhythm, with the alarms. A click opens that time.

import { h, setText } from "../core/dom.js";
import { flag, rhythmColour } from "./historyrows.js";
import { baselineMv, fitCanvas, plot } from "./plot.js";
import { colour, onTheme } from "../core/theme.js";
import { rhythmWord, shortDayTime, shortTime } from "../alarms/words.js";

const MINUTE = 60_000,
  HOUR = 60 * MINUTE,
  ROWS = 60;
const TIMES_PX = 44,
  LEAST_ROW_PX = 12,
  MOST_POINTS = 4000;
const PARTS = 20; // the hour is fetched in stretches of 3 min, so that each pixel of a row has its range
const ROW_MV = 2;

export class Disclosure {
  /** `show` is called with the time that was clicked. */
  constructor(patient, tape, { show, close }) {
    Object.assign(this, { patient, tape, show, close, turn: 0, blocks: [], episodes: [] });
    this.canvas = h("canvas", { role: "img", "aria-label": "An hour of ECG" });
    this.title = h("h2");
    this.note = h("span", { class: "none" });
    this.page = h("div", { class: "page" }, this.canvas);
    const labels = ["N", "AFIB", "U", "VT", "VF", "ASYS", "~"];
    this.element = h(
      "section",
      { class: "disclosure", "aria-label": "Full disclosure" },
      h(
        "div",
        { class: "review-head" },
        this.title,
        this.note,
        h("span", { class: "space" }),
        h(
          "span",
          { class: "legend" },
          ...labels.map((label) => h("span", { "data-label": label }, rhythmWord(label))),
        ),
        h("button", { onclick: () => this.go(-1) }, "‹ Hour before  ←"),
        h("button", { onclick: () => this.go(1) }, "Hour after  → ›"),
        h("button", { onclick: () => this.close() }, "Close  Esc"),
      ),
      this.page,
    );
    this.from = Math.ceil(patient.time / MINUTE) * MINUTE - HOUR;
    this.canvas.addEventListener("click", (event) => this.show(this.#at(event)));
    this.resize = new ResizeObserver(() => {
      if (!this.turn) this.#load();
      this.#paint();
    }); // the element's width decides how much is requested
    this.resize.observe(this.page);
    this.offTheme = onTheme(() => this.#paint());
  }

  end() {
    this.turn++;
    this.resize.disconnect();
    this.offTheme();
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) this.go(step);
    else if (event.key === "Escape" || event.key === "d") this.close();
    else return false;
    return true;
  }

  go(hours) {
    this.from += hours * HOUR;
    this.blocks = [];
    this.episodes = [];
    this.#paint();
    this.#load();
  }

  async #load() {
    const mine = ++this.turn,
      { from, tape } = this;
    setText(this.title, `${shortDayTime(from, this.patient.time)} to ${shortTime(from + HOUR)}`);
    setText(this.note, "Loading …");
    const columns = Math.min(
      MOST_POINTS,
      Math.round(this.page.clientWidth * (window.devicePixelRatio || 1) * (ROWS / PARTS)),
    );
    let problem = "";
    await tape.rhythm(from, from + HOUR).then(
      (episodes) => {
        this.episodes = episodes;
      },
      (refused) => {
        problem = refused.message;
      },
    );
    for (let part = 0; part < PARTS; part++) {
      const start = from + (part * HOUR) / PARTS;
      if (mine !== this.turn) return;
      if (start > this.patient.time) break;
      await tape.picture(start, start + HOUR / PARTS, columns).then(
        (blocks) => {
          if (mine === this.turn) this.blocks.push(...blocks);
        },
        (refused) => {
          problem = refused.message;
        },
      );
      if (part % 4 === 3) this.#paint();
    }
    if (mine !== this.turn) return;
    setText(
      this.note,
      problem || (this.blocks.length ? "" : "No samples are stored of this hour."),
    );
    this.#paint();
  }

  get #rowHeight() {
    return Math.max(LEAST_ROW_PX, this.page.clientHeight / ROWS);
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect(),
      row = Math.floor((event.clientY - box.top) / this.#rowHeight);
    return (
      this.from +
      row * MINUTE +
      Math.max(0, (event.clientX - box.left - TIMES_PX) / (box.width - TIMES_PX)) * MINUTE
    );
  }

  #paint() {
    const { canvas, page, from } = this,
      height = this.#rowHeight,
      ratio = window.devicePixelRatio || 1;
    if (!page.clientWidth) return;
    canvas.style.height = `${height * ROWS}px`;
    fitCanvas(canvas, page.clientWidth, height * ROWS);
    const context = canvas.getContext("2d"),
      left = TIMES_PX * ratio,
      width = canvas.width - left;
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.font = `${10 * ratio}px system-ui, "DejaVu Sans", sans-serif`;
    const zero = baselineMv(this.blocks, from, from + HOUR);
    for (let row = 0; row < ROWS; row++) {
      const start = from + row * MINUTE,
        box = { x: left, y: row * height * ratio, width, height: height * ratio };
      if (row % 5 === 0) {
        context.fillStyle = colour("quiet");
        context.textAlign = "left";
        context.fillText(shortTime(start), 4 * ratio, box.y + box.height * 0.8);
      }
      const blocks = this.blocks.filter(
        (block) => block.t0 < start + MINUTE && block.t0 > start - 4 * MINUTE,
      );
      if (!blocks.length) continue;
      for (const [a, b, label] of this.#stretches(start))
        this.#stretch(context, blocks, box, start, a, b, { zero, label, ratio });
      this.#alarms(context, box, start, ratio);
    }
  }

  /** The minute cut where the rhythm changes: [from, to, label]. */
  #stretches(start) {
    const parts = [];
    let at = start;
    for (const { start: begin, end, label } of this.episodes) {
      if (end <= at || begin >= start + MINUTE) continue;
      if (begin > at) parts.push([at, begin, null]);
      at = Math.min(end, start + MINUTE);
      parts.push([Math.max(begin, start), at, label]);
    }
    if (at < start + MINUTE) parts.push([at, start + MINUTE, null]);
    return parts;
  }

  #stretch(context, blocks, box, start, a, b, { zero, label, ratio }) {
    const x = box.x + ((a - start) / MINUTE) * box.width,
      width = ((b - a) / MINUTE) * box.width;
    const name = label === null ? "trace" : rhythmColour(label);
    if (label === "ASYS") {
      context.fillStyle = colour("rhythm-ASYS");
      context.fillRect(x, box.y, width, box.height);
    }
    plot(
      context,
      blocks,
      { ...box, x, width },
      {
        from: a,
        to: b,
        level: box.height * 0.6,
        scale: box.height / ROW_MV,
        zero,
        colour: label === "ASYS" ? "#fff" : colour(name),
        line: ratio,
      },
    );
  }

  #alarms(context, box, start, ratio) {
    for (const alarm of this.patient.alarms.values()) {
      if (alarm.onset < start || alarm.onset >= start + MINUTE || !alarm.announced) continue;
      context.fillStyle = colour(alarm.technical ? "low" : alarm.priority);
      flag(context, box.x + ((alarm.onset - start) / MINUTE) * box.width, box.y, 9 * ratio);
    }
  }
}
