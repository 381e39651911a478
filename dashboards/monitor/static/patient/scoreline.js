// Live scores against the reference annotations of a replayed record, in one line.

const share = (value) => (value === null || value === undefined ? "--" : (value * 100).toFixed(1));

const beats = (name, { se, ppv, n }) => `${name} Se ${share(se)} +P ${share(ppv)} (${n})`;

/** The score in a word, for the chip that opens. */
export const scoreChip = ({ qrs }) => `Reference: QRS ${share(qrs.se)} / ${share(qrs.ppv)}`;

export function scoreLine({
  qrs,
  v,
  s,
  rhythm,
  episodes,
  episodes_alarmed: alarmed,
  worst_delay_s: delay,
}) {
  const parts = [beats("QRS", qrs), beats("V", v), beats("S", s), `rhythm ${share(rhythm)} %`];
  if (episodes) parts.push(`alarms ${alarmed} of ${episodes}`);
  if (delay !== null && delay !== undefined) parts.push(`slowest ${delay.toFixed(1)} s`);
  return `Against reference:   ${parts.join("   ")}`;
}
