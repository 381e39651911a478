// The frame of a small plot: caption, note, canvas with axes in CSS pixels.

import { h, setText } from "../core/dom.js";
import { colour } from "../core/theme.js";
import { fitCanvas } from "../trace/plot.js";

const LEFT = 38,
  FOOT = 16,
  TOP = 6,
  RIGHT = 8; // CSS pixels around the plot
const FONT = '10px system-ui, "DejaVu Sans", sans-serif';

export class PlotFrame {
  constructor(name) {
    this.name = name;
    this.canvas = h("canvas", { role: "img", "aria-label": name });
    this.note = h("span", { class: "label" });
    this.element = h(
      "figure",
      { class: "beat-plot" },
      h("figcaption", {}, h("b", {}, name), this.note),
      this.canvas,
    );
  }

  /** Say what the plot shows, in the caption and to a screen reader. */
  say(text, aloud = text) {
    setText(this.note, text);
    this.canvas.setAttribute("aria-label", `${this.name}: ${aloud}`);
  }

  /** Clear the canvas; returns its context in CSS pixels and the plot's rectangle. */
  begin(square = false) {
    const { canvas } = this;
    fitCanvas(canvas);
    const ratio = window.devicePixelRatio || 1,
      context = canvas.getContext("2d"),
      width = canvas.clientWidth - LEFT - RIGHT,
      height = canvas.clientHeight - TOP - FOOT;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.font = FONT;
    const side = square ? Math.min(width, height) : width;
    return { context, box: { x: LEFT, y: TOP, width: side, height: square ? side : height } };
  }
}

/** Lines and labels [place, text] of both axes. */
export function grid(context, box, { x, y }) {
  context.font = FONT;
  for (const [at, text] of x) {
    context.fillStyle = colour("line");
    context.fillRect(Math.round(at), box.y, 1, box.height);
    context.fillStyle = colour("quiet");
    context.textAlign = "center";
    context.fillText(text, at, box.y + box.height + 12);
  }
  for (const [at, text] of y) {
    context.fillStyle = colour("line");
    context.fillRect(box.x, Math.round(at), box.width, 1);
    context.fillStyle = colour("quiet");
    context.textAlign = "right";
    context.fillText(text, box.x - 3, at + 4);
  }
}

/** Multiples of `step` within [low, high]. */
export function steps(low, high, step) {
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high + 1e-9; k++) found.push(k * step);
  return found;
}
