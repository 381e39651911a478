// The spectrum of heart-rate variability with its bands LF and HF (Task Force 1996).

import { colour } from "../core/theme.js";
import { grid } from "./plotframe.js";

const MOST_HZ = 0.45,
  SMOOTH_HZ = 0.005;

/** found: "spectrum" of the server's measures, null if there is none. */
export function drawSpectrum(frame, found) {
  const { context, box } = frame.begin();
  if (!found)
    return frame.say("needs 5 min of sinus rhythm, 80 % of them normal intervals, above 48/min");
  const { frequency, density, lf_hz: lf, hf_hz: hf } = found;
  frame.say(
    `LF ${power(found.lf_ms2)} · HF ${power(found.hf_ms2)} ms² · LF/HF ${found.ratio === null ? "--" : found.ratio.toFixed(1)} · ${found.intervals} N-N in ${found.stretches} × 5 min`,
  );
  const shown = smooth(frequency, density).filter(([f]) => f <= MOST_HZ),
    most = Math.max(...shown.map(([, value]) => value), 1);
  const x = (f) => box.x + (f / MOST_HZ) * box.width,
    y = (value) => box.y + box.height - (value / most) * box.height;
  for (const [band, name, [from, to]] of [
    ["rhythm-AFIB", "LF", lf],
    ["rhythm-O", "HF", hf],
  ]) {
    context.globalAlpha = 0.18;
    context.fillStyle = colour(band);
    context.fillRect(x(from), box.y, x(to) - x(from), box.height);
    context.globalAlpha = 1;
    context.fillStyle = colour("quiet");
    context.textAlign = "left";
    context.fillText(name, x(from) + 3, box.y + 10);
  }
  grid(context, box, {
    x: [lf[0], lf[1], 0.3, hf[1]].map((f) => [x(f), f === hf[1] ? `${f} Hz` : String(f)]),
    y: [
      [box.y + 6, power(most)],
      [y(0), "0"],
    ],
  });
  context.strokeStyle = colour("trace");
  context.lineWidth = 1.5;
  context.beginPath();
  for (const [f, value] of shown) context.lineTo(x(f), y(value));
  context.stroke();
  context.lineWidth = 1;
}

/** Means over steps of SMOOTH_HZ: only the picture is smoothed. */
function smooth(frequency, density) {
  const bins = new Map();
  for (const [k, f] of frequency.entries()) {
    const bin = Math.floor(f / SMOOTH_HZ);
    bins.set(bin, [...(bins.get(bin) ?? []), density[k]]);
  }
  return [...bins].map(([bin, values]) => [
    (bin + 0.5) * SMOOTH_HZ,
    values.reduce((sum, value) => sum + value, 0) / values.length,
  ]);
}

const power = (value) =>
  value >= 10_000 ? `${(value / 1000).toFixed(0)}k` : value.toFixed(value < 10 ? 1 : 0);
