// The burden of atrial fibrillation: a bar per day, its share of the readable time; a day with few readable hours is pale.

import { span } from "../alarms/words.js";
import { colour } from "../core/theme.js";
import { grid } from "./plotframe.js";

const FEW_S = 4 * 3600;
const WEEKDAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** days: of the server's answer, null while it is not there. */
export function drawBurden(frame, days) {
  const { context, box } = frame.begin();
  const known = (days ?? []).filter(({ share }) => share !== null);
  if (!known.length) return frame.say(days ? "no rhythm is stored" : "loading");
  const af = known.reduce((sum, day) => sum + day.af_s, 0),
    readable = known.reduce((sum, day) => sum + day.readable_s, 0),
    longest = Math.max(...known.map((day) => day.longest_s));
  frame.say(
    `${percent(af / readable)} of ${span(readable)} in ${known.length} ${known.length === 1 ? "day" : "days"}` +
      (af ? ` · longest ${span(longest)}` : ""),
  );
  const most = [0.01, 0.05, 0.1, 0.25, 0.5, 1].find((top) =>
    known.every(({ share }) => share <= top),
  );
  const wide = box.width / days.length,
    y = (share) => box.y + box.height - (share / most) * box.height;
  const every = Math.ceil(days.length / Math.max(1, Math.floor(box.width / 52)));
  grid(context, box, {
    x: [],
    y: [0, most / 2, most].map((share) => [y(share), percent(share)]),
  });
  days.forEach(({ start, share, readable_s: seconds }, k) => {
    const left = box.x + k * wide;
    if (share !== null) {
      context.globalAlpha = seconds < FEW_S ? 0.45 : 1;
      context.fillStyle = colour("rhythm-AFIB");
      context.fillRect(left + 1, y(share), Math.max(2, wide - 2), box.y + box.height - y(share));
      context.globalAlpha = 1;
    }
    if ((days.length - 1 - k) % every) return;
    context.fillStyle = colour("quiet");
    context.textAlign = "center";
    context.fillText(WEEKDAY.format(start), left + wide / 2, box.y + box.height + 12);
  });
}

const percent = (share) =>
  share > 0 && share < 0.001 ? "< 0.1 %" : `${+(share * 100).toFixed(1)} %`;
