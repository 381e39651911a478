// A heart rate strap has RR intervals and no trace (ingest/messages/rr_channel.py): what stands in the trace's place.

import { colour } from "../core/theme.js";

const TEXT_PX = 14;

export const rrOnly = (patient) => patient.lead === "RR";

/** "intervals irregular": all that intervals say of the rhythm. */
export const intervals = (patient) => patient.rhythmReason.replace("RR only: ", "");

/** Say so once in the place of a sweep that has drawn nothing yet. */
export function sayNoTrace(sweep) {
  if (sweep.drawn === Infinity) return;
  sweep.drawn = Infinity;
  const { context, x, y, width, height, ratio } = sweep;
  context.clearRect(x, y, width, height);
  context.save();
  context.fillStyle = colour("faint");
  context.font = `${TEXT_PX * ratio}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText("RR only: no trace", x + width / 2, y + height / 2, width);
  context.restore();
}
