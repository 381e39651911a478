// Draw a period of stored signal as a still picture: every sample if there is room, else the lowest and the highest of each pixel.

import { MISSING } from "./samples.js";

const LOOKED_AT = 4000; // samples, for a baseline

/** The median of the samples in [from, to) ms, in mV; 0 if there are none. */
export function baselineMv(blocks, from, to) {
  const found = [];
  const step = Math.max(
    1,
    Math.floor(blocks.reduce((n, block) => n + block.values.length, 0) / LOOKED_AT),
  );
  for (const { t0, dt, values, countsPerMv, envelope } of blocks) {
    const per = envelope ? dt / 2 : dt;
    for (
      let k = Math.max(0, Math.ceil((from - t0) / per));
      k < values.length && t0 + k * per < to;
      k += step
    ) {
      if (values[k] !== MISSING) found.push(values[k] / countsPerMv);
    }
  }
  found.sort((a, b) => a - b);
  return found.length ? found[found.length >> 1] : 0;
}

/** The lowest and the highest sample in [from, to) ms, in mV; [0, 0] if there are none. */
export function extentMv(blocks, from, to) {
  let low = Infinity,
    high = -Infinity;
  for (const { t0, dt, values, countsPerMv, envelope } of blocks) {
    const per = envelope ? dt / 2 : dt,
      last = Math.min(values.length, Math.ceil((to - t0) / per));
    for (let k = Math.max(0, Math.ceil((from - t0) / per)); k < last; k++) {
      if (values[k] === MISSING) continue;
      low = Math.min(low, values[k] / countsPerMv);
      high = Math.max(high, values[k] / countsPerMv);
    }
  }
  return low <= high ? [low, high] : [0, 0];
}

/**
 * Draw blocks between `from` and `to` (ms) into a rectangle of device pixels.
 * box: {x, y, width, height}; `level` is where `zero` mV lies below its top, `scale` the pixels per mV.
 */
export function plot(
  context,
  blocks,
  { x, y, width, height },
  { from, to, level, scale, zero = 0, colour, line = 1.5 },
) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = line;
  context.lineJoin = "round";
  const perMs = width / (to - from);
  for (const block of blocks) {
    if (block.t0 >= to || block.t0 + length(block) <= from) continue;
    const map = {
      left: x + (block.t0 - from) * perMs,
      step: block.dt * perMs,
      middle: y + level + zero * scale,
      perCount: scale / block.countsPerMv,
    };
    const first = Math.max(0, Math.floor((from - block.t0) / block.dt) - 1),
      last = Math.min(count(block) - 1, Math.ceil((to - block.t0) / block.dt) + 1);
    if (block.envelope || map.step < 0.6) columns(context, block, map, first, last, line);
    else polyline(context, block, map, first, last);
  }
  context.restore();
}

const count = (block) => (block.envelope ? block.values.length >> 1 : block.values.length);

/** Start and end of a block, in ms. */
export const length = (block) => count(block) * block.dt;

function polyline(context, { values }, { left, step, middle, perCount }, first, last) {
  let drawing = false;
  context.beginPath();
  for (let k = first; k <= last; k++) {
    if (values[k] === MISSING) {
      drawing = false;
      continue;
    }
    const px = left + k * step,
      py = middle - values[k] * perCount;
    if (drawing) context.lineTo(px, py);
    else context.moveTo(px, py);
    drawing = true;
  }
  context.stroke();
}

/** One bar per column of pixels, joined to the one before. */
function columns(
  context,
  { values, envelope },
  { left, step, middle, perCount },
  first,
  last,
  line,
) {
  let column = null,
    low = 0,
    high = 0,
    before = null;
  const put = () => {
    if (column === null) return;
    let top = middle - high * perCount,
      bottom = middle - low * perCount;
    if (before && before.column === column - 1) {
      top = Math.min(top, before.bottom);
      bottom = Math.max(bottom, before.top);
    }
    context.fillRect(column, top - line / 2, 1, bottom - top + line);
    before = { column, top: middle - high * perCount, bottom: middle - low * perCount };
  };
  for (let k = first; k <= last; k++) {
    const a = envelope ? values[2 * k] : values[k],
      b = envelope ? values[2 * k + 1] : a;
    if (a === MISSING || b === MISSING) continue;
    const at = Math.round(left + k * step);
    if (at !== column) {
      put();
      column = at;
      low = a;
      high = b;
    } else {
      low = Math.min(low, a);
      high = Math.max(high, b);
    }
  }
  put();
}

/** Draw millimetre paper: lines every 1 mm (if there is room) and 5 mm; `mm` in device pixels. */
export function drawPaper(context, width, height, mm, ratio, [fine, coarse]) {
  for (const [every, colour] of [
    [1, fine],
    [5, coarse],
  ]) {
    if (mm * every < 3) continue;
    context.fillStyle = colour;
    const line = Math.max(1, Math.round(ratio / 2));
    for (let k = 0; k * mm * every <= width + 1; k++)
      context.fillRect(Math.min(width - 1, Math.round(k * mm * every)), 0, line, height);
    for (let k = 0; k * mm * every <= height + 1; k++)
      context.fillRect(0, Math.min(height - 1, Math.round(k * mm * every)), width, line);
  }
}

/** Match a canvas to its pixels on the screen; true if that changed (and cleared) it. */
export function fitCanvas(canvas, width = canvas.clientWidth, height = canvas.clientHeight) {
  const ratio = window.devicePixelRatio || 1,
    w = Math.round(width * ratio),
    h = Math.round(height * ratio);
  if (canvas.width === w && canvas.height === h) return false;
  canvas.width = w;
  canvas.height = h;
  return true;
}
