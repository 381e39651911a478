// The ways from one alarm to another on a patient's page, and the alarm on which a key acts.

import { alarmState, standing } from "../alarms/words.js";
import { goBeside, reviewHref } from "../alarms/worklistorder.js";
import { now } from "../core/model.js";

export class AlarmSteps {
  /** `middle` gives the time in the middle of the trace; context: {actions, say, go} */
  constructor(patient, chart, overlays, context, middle) {
    Object.assign(this, { patient, chart, overlays, context, middle });
    this.marked = null; // onset of the alarm that the trace shows
  }

  /** Go to the patient's next (1) or previous (-1) alarm: in the review if one is open, else in the trace. */
  next(step) {
    const { overlays } = this,
      alarms = [...this.patient.alarms.values()].sort((a, b) => a.onset - b.onset);
    const at = overlays.reviewed?.onset ?? this.marked ?? this.middle();
    const next =
      step > 0
        ? alarms.find((alarm) => alarm.onset > at + 1)
        : alarms.findLast((alarm) => alarm.onset < at - 1);
    if (!next) return this.context.say(step > 0 ? "No later alarm." : "No earlier alarm.");
    if (overlays.reviewed) return overlays.review(next);
    this.chart.third(next.onset);
    this.marked = next.onset; // from here the next one is looked for, until another period is shown
  }

  /** Review the next (1) or the previous (-1) alarm of the ward's list, of whatever patient. */
  listed(step) {
    const { reviewed } = this.overlays;
    if (reviewed) goBeside(reviewed.id, step, this.context, reviewHref);
    else this.context.say("Open an alarm first: j and k go on along the list of alarms.");
  }

  reviewNewest() {
    const newest = [...this.patient.alarms.values()].sort((a, b) => b.onset - a.onset)[0];
    if (newest) this.overlays.review(newest);
    else this.context.say("No alarm to review.");
  }

  /** Acknowledge or silence the alarm under review, or the most urgent one that needs attention. */
  act(action) {
    const { arrhythmia, technical } = standing(this.patient, now()),
      { actions, say } = this.context,
      { reviewed } = this.overlays;
    const open = [...arrhythmia, ...technical].filter((a) =>
      ["holds", "latched"].includes(alarmState(a, now(), this.patient.silencedS(a))),
    );
    const alarm = reviewed
      ? this.patient.alarms.get(reviewed.id)
      : open.find((a) => action === "acknowledge" || (a.priority !== "high" && !a.over));
    if (!alarm)
      return say(
        action === "acknowledge"
          ? "No alarm to acknowledge."
          : "No alarm that can be silenced: high ones never are.",
      );
    actions[action](this.patient, alarm);
  }
}
