// Draw the trend: axes that fit the data, heart rate with its limits, RR intervals as dots, the rhythm's band and the alarms.

import { shortTime } from "../alarms/words.js";
import { colour } from "../core/theme.js";
import { drawSaid } from "../trace/marks.js";
import { band, flag } from "../trace/historyrows.js";

const MINUTE = 60_000,
  HOUR = 60 * MINUTE;
export const LEFT = 46;
const RIGHT = 8,
  TOP = 12;
export const BAND = 8;
const FOOT = 16; // CSS pixels around the two plots
const GAP_MS = 3 * MINUTE; // a longer one breaks the line
const LEAST_BPM = 40; // range of an axis
const FONT = '11px system-ui, "DejaVu Sans", sans-serif';

/** The rectangle of the plots within an element of this size. */
export const plotBox = (width, height) => ({
  x: LEFT,
  width: width - LEFT - RIGHT,
  y: TOP,
  height: height - TOP - BAND - FOOT,
});

/** data: TrendData; range {from, to} ms; limits {low, high} or null; alarms of the patient; said: journal entries of the wearer */
export function drawTrend(context, box, { data, range, limits, alarms, said }) {
  const { from, to } = range,
    x = (t) => box.x + ((t - from) / (to - from)) * box.width;
  const upper = { y: box.y, height: box.height * 0.58 },
    lower = { y: box.y + box.height * 0.66, height: box.height * 0.34 };
  context.font = FONT;
  times(context, box, range, x);
  rates(context, box, upper, x, data.hr, range, limits);
  intervals(context, box, lower, x, data.beats, range);
  for (const { start, end, label } of data.episodes) {
    if (end <= from) continue;
    const left = x(Math.max(start, from));
    band(context, label, left, box.y + box.height + 2, Math.max(1, x(end) - left), BAND);
  }
  for (const alarm of alarms) {
    if (alarm.onset < from || !alarm.announced) continue;
    context.fillStyle = colour(alarm.technical ? "low" : alarm.priority);
    flag(context, x(alarm.onset), 1, 8);
  }
  for (const entry of said) if (entry.t >= from) drawSaid(context, x(entry.t), 0, box.y, 1);
}

function times(context, box, { from, to }, x) {
  const steps = [1, 2, 5, 10, 30, 60, 120, 240].map((m) => m * MINUTE);
  const every = steps.find((step) => (to - from) / step <= box.width / 70) ?? 6 * HOUR;
  context.textAlign = "center";
  for (let t = Math.ceil(from / every) * every; t <= to; t += every) {
    line(context, Math.round(x(t)), box.y, 1, box.height, "line");
    context.fillStyle = colour("quiet");
    const at = Math.max(box.x + 14, Math.min(x(t), box.x + box.width - 14));
    context.fillText(shortTime(t), at, box.y + box.height + BAND + FOOT - 3);
  }
}

/** The axis that holds the values and, if they are near, the limits: {bottom, top, step}. */
export function axis(values, limits = []) {
  let low = Infinity,
    high = -Infinity;
  for (const value of values) {
    if (value === null) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) [low, high] = [60, 100];
  for (const limit of limits) {
    if (limit > high && limit - high < 40) high = limit;
    if (limit < low && low - limit < 40) low = limit;
  }
  const middle = (low + high) / 2,
    half = Math.max(LEAST_BPM / 2, ((high - low) / 2) * 1.08);
  const step = [10, 20, 50, 100].find((s) => (2 * half) / s <= 5) ?? 100;
  return {
    bottom: Math.max(0, Math.floor((middle - half) / step) * step),
    top: Math.ceil((middle + half) / step) * step,
    step,
  };
}

function rates(context, box, { y, height }, x, { t, mean, low, high }, { from }, limits) {
  const shown = t.map((at, k) => (at >= from ? k : -1)).filter((k) => k >= 0);
  const { bottom, top, step } = axis(
    shown.flatMap((k) => [mean[k], low[k], high[k]]),
    limits ? [limits.low, limits.high] : [],
  );
  const place = (v) => y + height - ((v - bottom) / (top - bottom)) * height;
  context.textAlign = "right";
  for (let v = bottom; v <= top; v += step) {
    line(context, box.x, Math.round(place(v)), box.width, 1, "line");
    context.fillStyle = colour("quiet");
    context.fillText(String(v), LEFT - 4, place(v) + 4);
  }
  for (const limit of limits ? [limits.low, limits.high] : []) {
    if (limit < bottom || limit > top) continue;
    context.strokeStyle = colour("medium");
    context.setLineDash([4, 4]);
    stroke(context, [
      [box.x, place(limit)],
      [box.x + box.width, place(limit)],
    ]);
    context.setLineDash([]);
  }
  context.fillStyle = colour("trace-soft");
  for (const k of shown)
    if (low[k] !== null && high[k] > low[k])
      context.fillRect(x(t[k]), place(high[k]), 1.5, Math.max(1, place(low[k]) - place(high[k])));
  context.strokeStyle = colour("trace");
  context.lineWidth = 1.5;
  context.beginPath();
  let before = null;
  for (const k of shown) {
    if (mean[k] === null) {
      before = null;
      continue;
    }
    if (before !== null && t[k] - before < GAP_MS) context.lineTo(x(t[k]), place(mean[k]));
    else context.moveTo(x(t[k]), place(mean[k]));
    before = t[k];
  }
  context.stroke();
  context.lineWidth = 1;
}

/** RR intervals, on an axis of whole 0.2 s that holds 99 % of them. */
function intervals(context, box, { y, height }, x, { t, rr, n }, { from, to }) {
  const shown = [];
  for (let k = 0; k < n; k++) if (t[k] >= from && t[k] <= to) shown.push(k);
  const sorted = Float32Array.from(shown, (k) => rr[k]).sort();
  const least = Math.floor((sorted[Math.floor(sorted.length * 0.005)] ?? 400) / 200) * 200,
    most = Math.ceil(((sorted[Math.floor(sorted.length * 0.995)] ?? 1200) + 1) / 200) * 200;
  const place = (v) =>
    y + height - ((Math.min(most, Math.max(least, v)) - least) / (most - least)) * height;
  context.textAlign = "right";
  context.fillStyle = colour("quiet");
  for (const [v, text] of [
    [most, `RR ${most / 1000} s`],
    [least, `${least / 1000} s`],
  ]) {
    line(context, box.x, Math.round(place(v)), box.width, 1, "line");
    context.fillStyle = colour("quiet");
    context.fillText(text, LEFT - 4, place(v) + 4);
  }
  context.fillStyle = colour("dots");
  for (const k of shown) context.fillRect(x(t[k]), place(rr[k]) - 1, 1.5, 1.5);
}

function line(context, x, y, width, height, name) {
  context.fillStyle = colour(name);
  context.fillRect(x, y, width, height);
}

function stroke(context, points) {
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
}
