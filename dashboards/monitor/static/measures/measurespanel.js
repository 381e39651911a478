// Measures that the server computes: the intervals of the average beat, the spectrum of the normal intervals, and the burden of atrial
// fibrillation. They are asked for while they are on the screen.

import { getJson, patientPath, period } from "../core/api.js";
import { h } from "../core/dom.js";
import { onTheme } from "../core/theme.js";
import { drawBurden } from "./burdenplot.js";
import { drawIntervals } from "./intervalsplot.js";
import { PlotFrame } from "./plotframe.js";
import { drawSpectrum } from "./spectrumplot.js";

const DAY = 24 * 3_600_000,
  DAYS = 14;
const ASK_MS = 60_000,
  ASK_AGAIN_MS = 5000; // while nothing is known
const UTC_PLUS = 1440; // the server's `offset` counts from a day behind UTC

export class MeasuresPanel {
  /** `trend` has the shown period. */
  constructor(patient, trend) {
    Object.assign(this, { patient, trend, askedAt: -Infinity, asked: "" });
    this.measures = this.days = null;
    this.frames = {
      intervals: new PlotFrame("Intervals, ms"),
      spectrum: new PlotFrame("HRV spectrum, ms²/Hz"),
      burden: new PlotFrame("AF burden"),
    };
    this.element = h(
      "section",
      { class: "beats-panel measures-panel", "aria-label": "Measures" },
      ...Object.values(this.frames).map(({ element }) => element),
    );
    this.resize = new ResizeObserver(() => this.#paint());
    this.resize.observe(this.element);
    this.offTheme = onTheme(() => this.#paint());
  }

  close() {
    this.closed = true;
    this.resize.disconnect();
    this.offTheme();
  }

  /** `window` {from, to} is the period that the chart shows, or null while it is live: the beat is averaged at its end. */
  refresh(window) {
    if (!this.element.clientWidth || !this.patient.known) return;
    const key = window ? `${Math.floor(window.to)}` : "",
      wait = this.measures?.beat ? ASK_MS : ASK_AGAIN_MS,
      now = performance.now();
    if (now - this.askedAt < (key === this.asked ? wait : 1000)) return;
    Object.assign(this, { askedAt: now, asked: key });
    this.#ask(window?.to ?? this.trend.range.to);
  }

  async #ask(to) {
    const { id } = this.patient,
      from = Math.max(to - DAY, Math.min(this.trend.range.from, to - 600_000)),
      offset = UTC_PLUS - new Date(to).getTimezoneOffset();
    const [measures, burden] = await Promise.allSettled([
      getJson(patientPath(id, "measures", period(from, to))),
      getJson(patientPath(id, "burden", { ...period(to - (DAYS - 1) * DAY, to), offset })),
    ]);
    if (this.closed) return;
    // a failure is shown by the rest of the page; known values stay
    if (measures.status === "fulfilled") this.measures = measures.value;
    if (burden.status === "fulfilled") this.days = burden.value.days;
    this.#paint();
  }

  #paint() {
    if (!this.element.clientWidth) return;
    const { frames, measures, days } = this;
    if (measures) {
      drawIntervals(frames.intervals, measures.beat);
      drawSpectrum(frames.spectrum, measures.spectrum);
    }
    drawBurden(frames.burden, days);
  }
}
