// The parts of the signal on which an answer of the model depends, drawn below the review's strip: the darker a part, the less likely the answer without it.

import { getJson, patientPath } from "../core/api.js";
import { h, setText } from "../core/dom.js";
import { percent, time } from "../alarms/words.js";

const LEAST = 0.1, // of the largest weight, from which a part is drawn
  TOLD = 0.01; // of probability, from which a part is named

export class Reasons {
  constructor(patient) {
    this.patient = patient;
    this.bars = h("div", { class: "reasons", "aria-hidden": "true" });
    this.note = h("p", { class: "reasons-note", role: "status" });
  }

  /** Ask what the answer about a beat, the rhythm or a lethal rhythm at this time hangs on; a second or two. */
  async ask(what, at) {
    setText(this.note, "Asking the model …");
    try {
      this.found = await getJson(patientPath(this.patient.id, "reasons", { at, what }));
      setText(this.note, told(this.found));
    } catch (error) {
      this.found = null;
      setText(this.note, error.message);
    }
    this.#draw();
  }

  /** Where the strip is drawn now. */
  paint(strip) {
    this.strip = strip;
    this.#draw();
  }

  #draw() {
    if (!this.strip) return;
    const { place, from, to, rowHeight, pxPerS } = this.strip;
    this.bars.replaceChildren(
      ...parts(this.found)
        .filter(({ t }) => t >= from && t < to)
        .map(({ t, share, step }) => {
          const { x, y } = place(t),
            bar = h("span", {});
          bar.style.left = `${x}px`;
          bar.style.top = `${y + rowHeight - 10}px`;
          bar.style.width = `${(step / 1000) * pxPerS}px`;
          bar.style.opacity = share;
          return bar;
        }),
    );
  }
}

/** The parts that weigh, with their share of the largest weight. */
function parts(found) {
  if (!found) return [];
  const most = Math.max(...found.weights, TOLD);
  return found.weights
    .map((weight, k) => ({
      t: found.t0 + k * found.step_ms,
      share: weight / most,
      step: found.step_ms,
    }))
    .filter(({ share }) => share > LEAST);
}

/** The answer, and when what weighs most is. */
function told({ label, probability, t0, step_ms: step, weights }) {
  const most = Math.max(...weights),
    at = time(t0 + (weights.indexOf(most) + 0.5) * step);
  return most < TOLD
    ? `${label} ${percent(probability)}: no single part changes that.`
    : `${label} ${percent(probability)}: without the part at ${at} ${percent(Math.max(0, probability - most))}.`;
}
