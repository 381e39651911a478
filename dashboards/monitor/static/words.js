// What the page says, in words: rhythms, alarms, times.

const RHYTHMS = {
  N: "Sinus", AFIB: "Atrial fib", SVTA: "SVT", VT: "V-tach", VFL: "V-flutter", VF: "V-fib", ASYS: "Asystole",
  B: "Bigeminy", T: "Trigeminy", P: "Paced", O: "Other", "~": "Unreadable",
};

const RHYTHMS_IN_FULL = {
  N: "Sinus rhythm", AFIB: "Atrial fibrillation", SVTA: "Supraventricular tachycardia", VT: "Ventricular tachycardia", VFL: "Ventricular flutter",
  VF: "Ventricular fibrillation", P: "Paced rhythm", O: "Other rhythm",
};

const ALARMS = {
  asystole: "Asystole", ventricular_fibrillation: "Ventricular fibrillation", ventricular_tachycardia: "Ventricular tachycardia",
  extreme_tachycardia: "Extreme tachycardia", extreme_bradycardia: "Extreme bradycardia", nonsustained_vt: "Non-sustained VT",
  ventricular_rhythm: "Ventricular rhythm", ventricular_bradycardia: "Ventricular bradycardia", svt: "SVT",
  atrial_fibrillation: "Atrial fibrillation", pause: "Pause", missed_beat: "Missed beat", hr_high: "HR high", hr_low: "HR low",
  pvc_couplet: "PVC couplet", bigeminy: "Bigeminy", trigeminy: "Trigeminy", r_on_t: "R on T", pvc_per_minute: "PVC per minute",
  lead_off: "Lead off", no_signal: "No signal", artefact: "Artefact", gap: "Gap",
};

const REMEDIES = {
  lead_off: "check electrode", no_signal: "check device and its connection", artefact: "check electrodes and movement", gap: "samples were lost on the way",
};

const MARKS = { high: "***", medium: "**", low: "*" };
const RANK = { high: 0, medium: 1, low: 2 };
const SHOWN_AFTER_END_S = 5; // what ends at once must still be readable

export const rhythmWord = (label) => RHYTHMS[label] ?? label;

export const rhythmInFull = (label) => RHYTHMS_IN_FULL[label] ?? rhythmWord(label);

export const mark = (alarm) => MARKS[alarm.priority];

export const alarmText = (alarm) => alarm.text || ALARMS[alarm.kind] || alarm.kind;

/** A technical alarm says what to do about it. */
export const remedy = (alarm) => alarm.text || `${ALARMS[alarm.kind]}: ${REMEDIES[alarm.kind]}`;

/** "holds", "latched" (over, not acknowledged), "just over" or "over". */
export function alarmState(alarm, now) {
  if (!alarm.over) return "holds";
  if (alarm.latching) return "latched";
  return now - alarm.at < SHOWN_AFTER_END_S ? "just over" : "over";
}

const STATES = ["holds", "latched", "just over"];

/** Announced alarms that a tile shows, worst first; technical ones apart. Of a kind that is over, only the newest, and none while it holds. */
export function standing(alarms, now) {
  const current = [...alarms].filter((a) => a.announced && alarmState(a, now) !== "over");
  const outdone = (a) => current.some((b) => b.kind === a.kind && b !== a && (!b.over || b.onset > a.onset));
  const shown = current.filter((a) => !a.over || !outdone(a));
  const order = (a) => [RANK[a.priority], STATES.indexOf(alarmState(a, now)), -a.onset];
  shown.sort((a, b) => order(a).map((x, i) => x - order(b)[i]).find((x) => x !== 0) ?? 0);
  return { arrhythmia: shown.filter((a) => !a.technical), technical: shown.filter((a) => a.technical) };
}

const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export const time = (ms) => TIME.format(ms);

/** Time of day, with the date where it is not the day of `today`. */
export const dayTime = (ms, today) => (DAY.format(ms) === DAY.format(today) ? time(ms) : `${DAY.format(ms)} ${time(ms)}`);

export function age(seconds) {
  if (seconds < 90) return `${Math.floor(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}
