// The average normal beat with its marks, as calipers would measure it: PR, QRS, QT and QTc, or "unsure".

import { colour } from "../core/theme.js";
import { grid, steps } from "./plotframe.js";

// of LUDB's even records, lead II (benchmarks/delineation.py)
const ACCURACY =
  "Of one lead, by its average beat. Against cardiologists (LUDB, lead II) the marks of P and T differ by 5 to 9 ms (SD), those of QRS by 13 ms. A mark on which parts of the minute do not agree is unsure.";
const MEASURED = [
  ["PR", "pr", "p_on", "qrs_on"],
  ["QRS", "qrs", "qrs_on", "qrs_off"],
  ["QT", "qt", "qrs_on", "t_off"],
];

/** found: "beat" of the server's measures, null if there is none. */
export function drawIntervals(frame, found) {
  const { context, box } = frame.begin();
  frame.canvas.title = ACCURACY;
  if (!found) return frame.say("too few normal beats");
  const { mv, fs, r, marks, unsure } = found;
  frame.say(words(found));
  const low = Math.min(...mv, -0.2),
    high = Math.max(...mv, 0.5);
  const lines = 3 * 11; // room for the intervals' names beneath the beat
  const x = (k) => box.x + (k / (mv.length - 1)) * box.width,
    y = (value) => box.y + ((high - value) / (high - low)) * (box.height - lines);
  grid(context, box, {
    x: [-0.2, 0, 0.2, 0.4].map((s) => [x(r + s * fs), String(Math.round(s * 1000))]),
    y: steps(low, high, 0.5).map((value) => [y(value), String(value)]),
  });
  context.strokeStyle = colour("trace");
  context.lineWidth = 1.5;
  context.beginPath();
  for (const [k, value] of mv.entries()) context.lineTo(x(k), y(value));
  context.stroke();
  context.lineWidth = 1;
  MEASURED.forEach(([name, key, from, to], row) => {
    const a = marks[from],
      b = marks[to],
      foot = box.y + box.height - lines + 11 * (row + 1) - 2;
    if (a === null || b === null) return;
    const doubtful = unsure.includes(from) || unsure.includes(to);
    context.strokeStyle = context.fillStyle = colour(doubtful ? "quiet" : "text");
    context.setLineDash(doubtful ? [3, 3] : []);
    context.beginPath();
    for (const at of [a, b]) {
      context.moveTo(x(at), box.y);
      context.lineTo(x(at), foot);
    }
    context.moveTo(x(a), foot - 3);
    context.lineTo(x(b), foot - 3);
    context.stroke();
    context.setLineDash([]);
    context.textAlign = "left";
    context.fillText(doubtful ? `${name} ?` : `${name} ${Math.round(found[key])}`, x(b) + 3, foot);
  });
}

function words({ pr, qrs, qt, qtc_fridericia: fridericia, qtc_bazett: bazett, beats, rr }) {
  const one = (name, value) => `${name} ${value === null ? "unsure" : Math.round(value)}`;
  return `${[
    one("PR", pr),
    one("QRS", qrs),
    one("QT", qt),
    ...(fridericia === null ? [] : [one("QTcF", fridericia), one("QTcB", bazett)]),
  ].join(" · ")} ms · ${beats} beats at RR ${Math.round(rr)}`;
}
