// A person's actions on alarms: sent at once, and done only when the processor's answer arrives over the live link.

import { patientPath, send } from "../core/api.js";
import { alarmText } from "./words.js";

const ANSWER_S = 5;
const SHOWN_S = 6;
const SILENCE_S = 120;
const DOING = {
  acknowledge: "Acknowledging",
  silence: "Silencing",
  escalate: "Calling the next person",
  resume: "Resuming",
  limits: "Changing limits",
};
const DONE = {
  acknowledge: "Acknowledged",
  silence: "Silenced",
  escalate: "Called the next person",
  resume: "Resumed",
  limits: "Limits changed",
};

export class Actions extends EventTarget {
  #known = new Map(); // by key: the requested action and its outcome

  constructor(session) {
    super();
    this.session = session;
  }

  /** {phase: "sending" | "sent" | "done" | "failed", text}, or undefined: no action was requested, or it was settled long ago. */
  state(key) {
    return this.#known.get(key);
  }

  acknowledge(patient, alarm) {
    const settled = () => {
      const now = patient.alarms.get(alarm.id);
      return !now || now.acknowledged !== null;
    };
    return this.send(
      patient,
      alarm.id,
      { action: "acknowledge", alarm: alarm.id },
      settled,
      alarmText(alarm),
    );
  }

  /** Acknowledge every alarm of the patient that needs attention. */
  acknowledgeAll(patient) {
    const open = () =>
      [...patient.alarms.values()].some((alarm) => alarm.standing && alarm.acknowledged === null);
    return this.send(patient, `all ${patient.id}`, { action: "acknowledge" }, () => !open());
  }

  /** Raise the alarm again now, so that the next person is called. */
  escalate(patient, alarm) {
    const { level } = alarm;
    return this.send(
      patient,
      alarm.id,
      { action: "escalate", alarm: alarm.id },
      () => (patient.alarms.get(alarm.id)?.level ?? level) > level,
      alarmText(alarm),
    );
  }

  silence(patient, alarm) {
    const body = { action: "silence", kind: alarm.kind, seconds: SILENCE_S };
    return this.send(
      patient,
      alarm.id,
      body,
      () => patient.silencedS(patient.alarms.get(alarm.id) ?? alarm) > 0,
      alarmText(alarm),
    );
  }

  resume(patient, alarm) {
    return this.send(
      patient,
      alarm.id,
      { action: "resume", kind: alarm.kind },
      () => !patient.silencedS(patient.alarms.get(alarm.id) ?? alarm),
      alarmText(alarm),
    );
  }

  /** Request an action in the person's name; `settled` returns true once the received messages show that it is done, `about` names
   * the alarm. */
  async send(patient, key, body, settled, about = "") {
    if (!this.session.may(body.action === "limits" ? "admin" : "acknowledge")) {
      this.#set(key, {
        phase: "failed",
        text: "Your token may look, but not do this.",
        since: now(),
      });
      return false;
    }
    const by = await this.session.named();
    if (!by) return false;
    const entry = {
      phase: "sending",
      text: `${DOING[body.action]} …`,
      action: body.action,
      settled,
      since: now(),
      patient,
      about,
    };
    this.#set(key, entry);
    try {
      entry.id = (await send("POST", patientPath(patient.id, "actions"), { ...body, by })).id;
      if (entry.phase === "sending")
        this.#set(
          key,
          Object.assign(entry, {
            phase: "sent",
            text: `${DOING[body.action]}: sent`,
            since: now(),
          }),
        );
      this.check();
      return true;
    } catch (refused) {
      this.#set(
        key,
        Object.assign(entry, {
          phase: "failed",
          text: refused.message,
          since: now(),
          settled: null,
        }),
      );
      return false;
    }
  }

  /** Settle the actions whose answer has arrived, and fail those whose answer is overdue. */
  check() {
    for (const [key, entry] of this.#known) {
      const waited = now() - entry.since;
      const waiting = entry.phase === "sent" || (entry.phase === "failed" && entry.settled);
      if (waiting && entry.settled())
        this.#set(
          key,
          Object.assign(entry, { phase: "done", text: DONE[entry.action], since: now() }),
        );
      else if (entry.phase === "sent" && waited > ANSWER_S) {
        const text = `${DOING[entry.action]}: no answer from the processor in ${ANSWER_S} s. It is recorded, and counts when the processor is back.`;
        this.#set(key, Object.assign(entry, { phase: "failed", text, since: now() }));
      } else if (entry.phase === "done" && waited > SHOWN_S) this.#drop(key);
      else if (entry.phase === "failed" && !entry.settled && waited > 2 * SHOWN_S) this.#drop(key);
    }
  }

  #set(key, entry) {
    this.#known.set(key, entry);
    this.dispatchEvent(new CustomEvent("change", { detail: { key, ...entry } }));
  }

  #drop(key) {
    this.#known.delete(key);
    this.dispatchEvent(new CustomEvent("change", { detail: null }));
  }
}

const now = () => performance.now() / 1000;
