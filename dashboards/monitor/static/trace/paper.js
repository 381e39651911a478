// A period of ECG on pink paper, as it would be printed: calibration pulse, speed and gain, onset of the alarm. For reviews and prints.

import { drawPaper, fitCanvas, baselineMv, extentMv, plot } from "./plot.js";
import { colour } from "../core/theme.js";

const PULSE_MM = 5;
export const LEAD_IN_MM = 8; // paper that the calibration pulse takes
const MOST_S = 10; // of a row
const HEAD_MM = 9,
  FOOT_MM = 6; // of a row: for the beats' letters, and for speed and gain
const LEAST_ROW_MM = 35,
  MOST_ROW_MM = 80,
  SQUARE_MM = 5;

/** The capacity of a row of paper of this width (CSS pixels) at `speed` mm/s: {seconds, left}. */
export const rowOf = (width, mm, speed, mostS = MOST_S) => ({
  seconds: Math.max(1, Math.min(mostS, Math.floor((width / mm - LEAD_IN_MM) / speed))),
  left: LEAD_IN_MM * mm,
});

/** A row that holds the signal of [from, to) at `gain` mm/mV, or one of `heightMm`: {heightMm, levelMm, zero}; the baseline of `zero` mV lies
 * `levelMm` beneath its top. */
export function rowFor(blocks, { from, to, gain, heightMm = null }) {
  const zero = baselineMv(blocks, from, to),
    [low, high] = extentMv(blocks, from, to),
    up = Math.max(0, high - zero) * gain,
    down = Math.max(0, zero - low) * gain,
    need = HEAD_MM + up + down + FOOT_MM;
  const whole =
      Math.ceil(Math.min(MOST_ROW_MM, Math.max(LEAST_ROW_MM, need)) / SQUARE_MM) * SQUARE_MM,
    height = heightMm ?? whole,
    free = height - HEAD_MM - FOOT_MM;
  const share = up + down > 0 ? up / (up + down) : 0.6;
  const levelMm =
    up + down <= free ? HEAD_MM + up + (free - up - down) / 2 : HEAD_MM + free * share;
  return { heightMm: height, levelMm, zero };
}

/** Draw the signal from `from` on in rows of `row` (rowFor); returns a function that gives the place {x, y} of a time in CSS pixels (y is the row's top). */
export function drawOnPaper(
  canvas,
  blocks,
  { from, rows, row, mm, marks, speed, gain, mostSeconds },
) {
  fitCanvas(canvas);
  const ratio = window.devicePixelRatio || 1,
    context = canvas.getContext("2d"),
    { seconds, left } = rowOf(canvas.clientWidth, mm, speed, mostSeconds),
    perRow = seconds * 1000,
    rowHeight = row.heightMm * mm,
    level = row.levelMm * mm * ratio;
  context.fillStyle = colour("paper");
  context.fillRect(0, 0, canvas.width, canvas.height);
  drawPaper(context, canvas.width, canvas.height, mm * ratio, ratio, [
    colour("paper-1"),
    colour("paper-5"),
  ]);
  for (let k = 0; k < rows; k++) {
    const box = {
        x: left * ratio,
        y: k * rowHeight * ratio,
        width: seconds * speed * mm * ratio,
        height: rowHeight * ratio,
      },
      start = from + k * perRow;
    pulse(context, box.y + level, gain, mm * ratio, ratio);
    for (const { t, name } of marks) {
      if (t < start || t >= start + perRow) continue;
      context.fillStyle = colour(name);
      context.fillRect(box.x + ((t - start) / perRow) * box.width, box.y, 2 * ratio, box.height);
    }
    plot(context, blocks, box, {
      from: start,
      to: start + perRow,
      level,
      scale: gain * mm * ratio,
      zero: row.zero,
      colour: colour("ink"),
      line: 1.3 * ratio,
    });
  }
  context.fillStyle = colour("ink");
  context.font = `${11 * ratio}px system-ui, "DejaVu Sans", sans-serif`;
  context.textAlign = "left";
  context.fillText(scaleWords(speed, gain), mm * ratio, (rowHeight - mm) * ratio);
  return (t) => {
    const k = Math.floor((t - from) / perRow);
    return { x: left + ((t - from - k * perRow) / 1000) * speed * mm, y: k * rowHeight };
  };
}

export const scaleWords = (speed, gain) => `${speed} mm/s   ${gain} mm/mV`;

/** 1 mV, 5 mm wide. */
function pulse(context, base, gain, mm, ratio) {
  context.strokeStyle = colour("ink");
  context.lineWidth = 1.3 * ratio;
  context.beginPath();
  context.moveTo(mm, base);
  context.lineTo(1.5 * mm, base);
  context.lineTo(1.5 * mm, base - gain * mm);
  context.lineTo((1.5 + PULSE_MM) * mm, base - gain * mm);
  context.lineTo((1.5 + PULSE_MM) * mm, base);
  context.lineTo(7.5 * mm, base);
  context.stroke();
}
