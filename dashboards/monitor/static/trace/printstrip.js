// A strip on a sheet of paper by the browser's print: who, when, rhythm or alarm, speed and gain to size, the beats' letters, and who printed.

import { dayTime } from "../alarms/words.js";
import { h } from "../core/dom.js";
import { wallClock } from "../core/model.js";
import { prefs } from "../core/prefs.js";
import { byDay } from "../core/theme.js";
import { drawOnPaper, rowFor, rowOf, scaleWords } from "./paper.js";

const MM = 96 / 25.4; // CSS pixels of a printed millimetre
const WIDTH_MM = 259; // of a row on A4 or Letter, landscape

/** Print [from, to) ms of a signal, a row of paper beneath another; facts: lines beneath the title. */
export function printStrip({ patient, title, facts, blocks, beats, from, to, marks = [], by }) {
  const { paperSpeed: speed, paperGain: gain } = prefs,
    { seconds } = rowOf(WIDTH_MM * MM, MM, speed, Infinity),
    row = rowFor(blocks, { from, to, gain });
  const rows = [];
  for (let start = from; start < to - 1; start += seconds * 1000) {
    const canvas = h("canvas", {
      role: "img",
      "aria-label": `${title}, from ${dayTime(start, 0)}`,
    });
    canvas.style.width = `${WIDTH_MM * MM}px`;
    canvas.style.height = `${row.heightMm * MM}px`;
    rows.push({ start, canvas });
  }
  const lines = [
    `${dayTime(from, 0)} to ${dayTime(to, 0)}`,
    ...facts,
    `${scaleWords(speed, gain)}, to size if printed at 100 %`,
    `Printed ${dayTime(wallClock(), 0)}${by ? ` by ${by}` : ""} · ecgwatch, not a medical device`,
  ];
  const sheet = h(
    "section",
    { class: "print-sheet" },
    h("h1", {}, patient.id),
    h("h2", {}, title),
    ...lines.filter(Boolean).map((text) => h("p", {}, text)),
    ...rows.map(({ canvas }) => canvas),
  );
  document.body.append(sheet);
  byDay(() => {
    for (const { start, canvas } of rows) {
      const paper = { from: start, rows: 1, row, mm: MM, marks, speed, gain, mostSeconds: seconds };
      const place = drawOnPaper(canvas, blocks, paper);
      letters(canvas, beats, place, start, Math.min(to, start + seconds * 1000));
    }
  });
  window.addEventListener("afterprint", () => sheet.remove(), { once: true });
  window.print();
}

function letters(canvas, beats, place, from, to) {
  const ratio = window.devicePixelRatio || 1,
    context = canvas.getContext("2d");
  context.font = `${11 * ratio}px sans-serif`;
  context.textAlign = "center";
  for (const { t, label } of beats) {
    if (t < from || t >= to) continue;
    const { x, y } = place(t);
    context.fillText(label, x * ratio, (y + 14) * ratio);
  }
}
