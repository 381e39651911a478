// Marks above and beneath a trace: beats, reference beats, and moments that a person has noted.

import { colour } from "../core/theme.js";

const BEAT_TICK = { N: [5, 1], S: [9, 2], V: [9, 2], F: [9, 2], Q: [7, 1] }; // CSS pixels: length, width
const SPIKE_PX = 14; // of a paced beat
export const PACED = "P"; // the rhythm whose Q beats are paced

/** Draw when the wearer pressed the button or left a note: a line over the row, with a head at its foot. */
export function drawSaid(context, x, top, height, ratio) {
  context.fillStyle = colour("said");
  context.fillRect(Math.round(x), top, Math.ceil(ratio), height); // whole pixels: a crisp line
  context.beginPath();
  context.arc(x, top + height - 5 * ratio, 4 * ratio, 0, 2 * Math.PI);
  context.fill();
}

/** Draw a tick, and the letter if there is room; a fusion beat is half of either kind, and a Q beat in paced rhythm gets a pacer's spike and P. */
export function drawBeat(context, { label, paced }, x, top, ratio, letters) {
  if (label === "Q" && paced) {
    context.fillStyle = colour("pacer");
    context.fillRect(Math.round(x), top, Math.ceil(ratio), SPIKE_PX * ratio);
    if (letters) letter(context, "P", x, top + (SPIKE_PX + 10) * ratio, ratio);
    return;
  }
  const [length, width] = BEAT_TICK[label] ?? BEAT_TICK.Q;
  const left = x - (width * ratio) / 2;
  if (label === "F") {
    context.fillStyle = colour("beat-N");
    context.fillRect(left, top, width * ratio, (length * ratio) / 2);
    context.fillStyle = colour("beat-V");
    context.fillRect(left, top + (length * ratio) / 2, width * ratio, (length * ratio) / 2);
  } else {
    context.fillStyle = colour(`beat-${BEAT_TICK[label] ? label : "Q"}`);
    context.fillRect(left, top, width * ratio, length * ratio);
  }
  if (letters) letter(context, label, x, top + 20 * ratio, ratio);
}

/** Draw the reference class of a beat at the foot of its row, below the detected one. */
export function drawReference(context, label, x, foot, ratio) {
  context.fillStyle = colour(`beat-${BEAT_TICK[label] ? label : "Q"}`);
  context.fillRect(x - ratio / 2, foot - 5 * ratio, ratio, 5 * ratio);
  letter(context, label.toLowerCase(), x, foot - 8 * ratio, ratio);
}

function letter(context, text, x, y, ratio) {
  context.font = `${11 * ratio}px ui-monospace, "DejaVu Sans Mono", monospace`;
  context.textAlign = "center";
  context.fillText(text, x, y);
}
