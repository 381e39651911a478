// The worklist's order as the person last saw it: from an alarm's page or review, one key goes on to the next alarm.

import { getJson } from "../core/api.js";
import { alarmHref, Filters, sorted } from "./worklistfilter.js";
import { completeAlarm } from "./words.js";

let seen = []; // of {id, patient}

export function rememberOrder(alarms) {
  seen = alarms.map(({ id, patient }) => ({ id, patient }));
}

export const reviewHref = ({ patient, id }) =>
  `/patient?id=${encodeURIComponent(patient)}&review=${encodeURIComponent(id)}`;

/** The alarm beside this one; undefined at the end. Whoever came by a link and not from the list gets the order of the list now. */
async function beside(id, step) {
  if (!seen.some((alarm) => alarm.id === id)) {
    const { alarms } = await getJson(`/api/alarms?hours=${Filters.hours}`);
    rememberOrder(sorted(alarms.map(completeAlarm)));
  }
  return seen[seen.findIndex((alarm) => alarm.id === id) + step];
}

/** Go to the next (1) or the previous (-1) alarm of the worklist, each at `href(alarm)`; context: {go, say} */
export async function goBeside(id, step, { go, say }, href = alarmHref) {
  try {
    const alarm = await beside(id, step);
    if (alarm) go(href(alarm));
    else say(`No ${step > 0 ? "further" : "earlier"} alarm in the list.`);
  } catch (refused) {
    say(refused.message);
  }
}
