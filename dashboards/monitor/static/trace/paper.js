// A period of ECG on pink paper, as it would be printed: 25 mm/s, 10 mm/mV, calibration pulse, onset of the alarm. For the review.

import { drawPaper, fitCanvas, baselineMv, plot } from "../patient/plot.js";
import { colour } from "../core/theme.js";

const PULSE_MM = 5,
  LEAD_IN_MM = 8; // the calibration pulse and the paper it takes
const MOST_S = 10; // of a row
const SPEED = 25,
  GAIN = 10;

/** The capacity of a row of paper of this width (CSS pixels): {seconds, left}. */
export const rowOf = (width, mm, mostS = MOST_S) => ({
  seconds: Math.max(1, Math.min(mostS, Math.floor((width / mm - LEAD_IN_MM) / SPEED))),
  left: LEAD_IN_MM * mm,
});

/** Draw [from, to) in rows; returns a function that gives the place {x, y} of a time in CSS pixels (y is the row's top). */
export function drawOnPaper(canvas, blocks, { from, to, rows, rowHeight, mm, marks, mostSeconds }) {
  fitCanvas(canvas);
  const ratio = window.devicePixelRatio || 1,
    context = canvas.getContext("2d"),
    { seconds, left } = rowOf(canvas.clientWidth, mm, mostSeconds),
    perRow = seconds * 1000;
  context.fillStyle = colour("paper");
  context.fillRect(0, 0, canvas.width, canvas.height);
  drawPaper(context, canvas.width, canvas.height, mm * ratio, ratio, [
    colour("paper-1"),
    colour("paper-5"),
  ]);
  const zero = baselineMv(blocks, from, to),
    scale = GAIN * mm * ratio;
  for (let row = 0; row < rows; row++) {
    const box = {
        x: left * ratio,
        y: row * rowHeight * ratio,
        width: seconds * SPEED * mm * ratio,
        height: rowHeight * ratio,
      },
      start = from + row * perRow;
    pulse(context, box.y + box.height * 0.6, mm * ratio, ratio);
    for (const { t, name } of marks) {
      if (t < start || t >= start + perRow) continue;
      context.fillStyle = colour(name);
      context.fillRect(box.x + ((t - start) / perRow) * box.width, box.y, 2 * ratio, box.height);
    }
    plot(context, blocks, box, {
      from: start,
      to: start + perRow,
      level: box.height * 0.6,
      scale,
      zero,
      colour: colour("ink"),
      line: 1.3 * ratio,
    });
  }
  return (t) => {
    const row = Math.floor((t - from) / perRow);
    return { x: left + ((t - from - row * perRow) / 1000) * SPEED * mm, y: row * rowHeight };
  };
}

/** 1 mV, 0.2 s. */
function pulse(context, base, mm, ratio) {
  context.strokeStyle = colour("ink");
  context.lineWidth = 1.3 * ratio;
  context.beginPath();
  context.moveTo(mm, base);
  context.lineTo(1.5 * mm, base);
  context.lineTo(1.5 * mm, base - GAIN * mm);
  context.lineTo((1.5 + PULSE_MM) * mm, base - GAIN * mm);
  context.lineTo((1.5 + PULSE_MM) * mm, base);
  context.lineTo(7.5 * mm, base);
  context.stroke();
}
