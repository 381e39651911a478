// What is printed from a patient's page: the strip of a review, or what the trace shows.

import { alarmText, dayTime, rhythmInFull } from "../alarms/words.js";
import { printStrip } from "../trace/printstrip.js";

const MOST_MS = 60_000;

/** context: {session, say} */
export function printReview(patient, { alarm, blocks, standing: beats, period }, context) {
  if (!blocks.length) return context.say("No strip of this alarm is stored yet.");
  printStrip({
    patient,
    title: alarmText(alarm),
    facts: [`Onset ${dayTime(alarm.onset, 0)}`],
    blocks,
    beats: beats.filter(({ gone }) => !gone),
    ...period,
    marks: [{ t: alarm.onset, name: "onset" }],
    by: context.session.name,
  });
}

/** Pauses a live trace. */
export async function printShown(patient, chart, tape, context) {
  const live = chart.live;
  if (live && !chart.pause()) return context.say("Nothing to print yet.");
  const { from, to } = chart.shown;
  if (to - from > MOST_MS) return context.say("Zoom in first: a print holds a minute.");
  await Promise.allSettled([
    tape.samples.want(from, to, patient.time),
    tape.beats.want(from, to, patient.time),
  ]);
  const now = live
    ? [`HR ${patient.heartRate(true).text}/min`, rhythmInFull(patient.rhythmLabel)]
    : [];
  printStrip({
    patient,
    title: "ECG strip",
    facts: [[patient.lead, ...now].filter(Boolean).join(" · ")],
    blocks: tape.known(from, to),
    beats: tape.knownBeats(from, to),
    from,
    to,
    by: context.session.name,
  });
}
