// The next beat of a class, hour by hour through the stored past.

const HOUR = 3_600_000,
  DAY = 24 * HOUR;
const PAST_MS = 2; // search starts this far past the middle, so that a beat does not find itself

/** The nearest beat with this label after (step 1) or before (step -1) `at`, null if there is none within a day. */
export async function nextBeat(tape, label, at, step) {
  const newest = tape.patient.time;
  const last = step > 0 ? Math.min(at + DAY, newest) : at - DAY;
  for (
    let hour = Math.floor(at / HOUR) * HOUR;
    step > 0 ? hour <= last : hour + HOUR > last;
    hour += step * HOUR
  ) {
    await tape.beats.want(hour, hour + HOUR, newest);
    const beats = tape.knownBeats(hour, hour + HOUR).filter((beat) => beat.label === label);
    const found =
      step > 0
        ? beats.find((beat) => beat.t > at + PAST_MS)
        : beats.findLast((beat) => beat.t < at - PAST_MS);
    if (found) return found;
  }
  return null;
}
