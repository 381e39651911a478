// The words of the page for rhythms, alarms and times.

import { prefs } from "../core/prefs.js";

// Names of rhythms and alarms come from the server, once: dashboards/words.py.
let words = { rhythms: {}, alarms: {} };

export function learnWords(said) {
  words = said;
}

const MARKS = { high: "***", medium: "**", low: "*" };
const RANK = { high: 0, medium: 1, low: 2 };
const SHOWN_AFTER_END_S = 5; // an alarm that ends at once must still be readable

export const BEATS = {
  N: "normal",
  S: "supraventricular",
  V: "ventricular",
  F: "fusion",
  Q: "unclassified",
};
export const alarmKinds = () => Object.keys(words.alarms);

export const rhythmLabels = () => Object.keys(words.rhythms);

export const rhythmWord = (label) => words.rhythms[label]?.short ?? label;

export const rhythmInFull = (label) => words.rhythms[label]?.full ?? label;

export const alarmName = (kind) => words.alarms[kind]?.name ?? kind.replaceAll("_", " ");

export const mark = (alarm) => MARKS[alarm.priority];

export const alarmText = (alarm) => alarm.text || alarmName(alarm.kind);

/** The remedy of a technical alarm. */
export const remedy = (alarm) => {
  const todo = words.alarms[alarm.kind]?.remedy;
  return alarm.text || (todo ? `${alarmName(alarm.kind)}: ${todo}` : alarmName(alarm.kind));
};

/** Fields that every alarm has, even from a server that is a version behind. */
export const completeAlarm = (alarm) => ({
  acknowledged: null,
  acknowledged_by: "",
  silenced_until: null,
  level: 0,
  late_s: 0,
  standing: alarm.announced && !alarm.over,
  ...alarm,
});

/** "holds", "acknowledged", "silenced", "latched" (over, not acknowledged), "just over" or "over". */
export function alarmState(alarm, now, silencedS = 0) {
  if (!alarm.over)
    return alarm.acknowledged !== null ? "acknowledged" : silencedS > 0 ? "silenced" : "holds";
  if (alarm.latching && alarm.acknowledged === null) return "latched";
  return now - alarm.at < SHOWN_AFTER_END_S ? "just over" : "over";
}

const STATES = ["holds", "latched", "acknowledged", "silenced", "just over"];
const CALM = ["acknowledged", "silenced"];

/** Announced alarms to show, most urgent first, unattended ones before the others; technical ones apart. Of alarms of a kind that are over only the
 * newest is shown. */
export function standing(patient, now) {
  const state = (a) => alarmState(a, now, patient.silencedS(a));
  const current = [...patient.alarms.values()].filter((a) => a.announced && state(a) !== "over");
  const outdone = (a) =>
    current.some((b) => b.kind === a.kind && b !== a && (!b.over || b.onset > a.onset));
  const shown = current.filter((a) => !a.over || !outdone(a));
  const order = (a) => [
    CALM.includes(state(a)) ? 1 : 0,
    RANK[a.priority],
    STATES.indexOf(state(a)),
    -a.onset,
  ];
  shown.sort(
    (a, b) =>
      order(a)
        .map((x, i) => x - order(b)[i])
        .find((x) => x !== 0) ?? 0,
  );
  return {
    arrhythmia: shown.filter((a) => !a.technical),
    technical: shown.filter((a) => a.technical),
  };
}

/** "*** ASYSTOLE 6 s", and its state: over since, acknowledged by, silenced for, re-alarmed. */
export function alarmLine(alarm, state, silencedS = 0) {
  const text = `${mark(alarm)} ${alarmText(alarm)}`;
  const again = alarm.level > 0 ? ` · re-alarmed ×${alarm.level}` : "";
  if (state === "holds") return text + again;
  if (state === "acknowledged") return `${text} · ack ${alarm.acknowledged_by}`.trim();
  if (state === "silenced") return `${text} · silenced ${countdown(silencedS)}`;
  return (alarm.end === null ? `${text} · over` : `${text} · over ${time(alarm.end)}`) + again;
}

const two = (n) => String(n).padStart(2, "0");

/** "14:03" or "2:03 pm" by the setting, with ":05" of seconds if they are asked for. */
function clock(ms, seconds) {
  const at = new Date(ms),
    tail = `:${two(at.getMinutes())}${seconds ? `:${two(at.getSeconds())}` : ""}`;
  if (prefs.clock === 24) return two(at.getHours()) + tail;
  return `${at.getHours() % 12 || 12}${tail} ${at.getHours() < 12 ? "am" : "pm"}`;
}

/** "2026-12-01", which reads the same in every language. */
function date(ms) {
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

export const time = (ms) => clock(ms, true);

export const shortTime = (ms) => clock(ms, false);

/** Time of day, with the date if it is not the day of `today`. */
export const dayTime = (ms, today) =>
  date(ms) === date(today) ? time(ms) : `${date(ms)} ${time(ms)}`;

/** The same without seconds. */
export const shortDayTime = (ms, today) =>
  date(ms) === date(today) ? shortTime(ms) : `${date(ms)} ${shortTime(ms)}`;

export function age(seconds) {
  if (seconds < 90) return `${Math.floor(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** A duration in words. */
export function span(seconds) {
  if (seconds < 60) return `${+seconds.toFixed(1)} s`;
  return seconds < 3600 ? `${+(seconds / 60).toFixed(1)} min` : `${+(seconds / 3600).toFixed(1)} h`;
}

export const countdown = (seconds) =>
  `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

export const percent = (share) =>
  share === null || share === undefined ? "--" : `${(share * 100).toFixed(1)} %`;

const REFUSED = {
  signal: "That signal is not watched: check the device.",
  action: "What was asked for was not done: do it again.",
  event: "That is missing from the history: tell technical support.",
};

/** What the ward is told of input that was refused: the count of the last hour, of whom, and what to do about the newest. */
export function refusedText({ count, patients, others, what }) {
  const known = others ? [...patients, `${others} more`] : patients;
  const whose = known.length ? ` of ${known.join(", ")}` : "";
  const messages = count === 1 ? "1 message" : `${count} messages`;
  return `${messages}${whose} could not be used in the last hour. ${REFUSED[what]}`;
}
