// People's edits of the model's answers: sent, and shown as done only when they come back from the store or over the live link.

import { getJson, patientPath, period, send } from "../core/api.js";
import { setText } from "../core/dom.js";
import { wallClock } from "../core/model.js";

const DAY = 24 * 3600 * 1000;
const BACK_MS = 5000,
  LOOK_MS = 250;

export class Edits {
  constructor(patient, session) {
    Object.assign(this, { patient, session, stored: [] });
  }

  async load() {
    const now = wallClock();
    this.stored = (
      await getJson(patientPath(this.patient.id, "edits", period(now - 365 * DAY, now + DAY)))
    ).edits;
  }

  /** All known edits, oldest first. */
  get all() {
    const found = new Map();
    for (const edit of [...this.stored, ...this.patient.edits]) found.set(edit.id, edit);
    return [...found.values()].sort((a, b) => a.t - b.t);
  }

  /** The newest edit of a target, which is the one that counts. */
  of(target, id) {
    return this.all.findLast((edit) => edit.target === target && edit.target_id === id);
  }

  /** Send an edit; its progress and its end are shown in the element `feedback`. */
  async record(edit, feedback) {
    const show = (text, phase) => {
      setText(feedback, text);
      feedback.dataset.phase = phase;
    };
    const problem = await this.#say(edit, (text) => show(text, "sent"));
    show(
      problem || `Recorded: ${verdictWords({ label: "", ...edit })}.`,
      problem ? "failed" : "done",
    );
  }

  /** Send an edit in the person's name; resolves to "" when it has come back, else to the problem. `told` is called with the progress. */
  async #say(edit, told) {
    if (!this.session.may("acknowledge")) return "Your token may look, but not edit.";
    const by = await this.session.named();
    if (!by) return "Nothing was sent: an edit needs a name.";
    told("Sending …");
    try {
      const { id } = await send("POST", patientPath(this.patient.id, "edits"), { ...edit, by });
      told("Sent");
      for (const until = performance.now() + BACK_MS; performance.now() < until; ) {
        if (this.all.some((known) => known.id === id)) return "";
        await new Promise((resolve) => {
          setTimeout(resolve, LOOK_MS);
        });
      }
      await this.load().catch(() => {});
      return this.all.some((known) => known.id === id)
        ? ""
        : "Sent, but it has not come back in 5 s: see whether the broker and the processor run.";
    } catch (refused) {
      return refused.message;
    }
  }
}

const VERDICTS = {
  confirmed: "confirmed",
  rejected: "rejected",
  relabelled: "relabelled as",
  moved: "moved, as",
  inserted: "inserted as",
};

/** "relabelled as S" */
export const verdictWords = (edit) =>
  `${VERDICTS[edit.verdict]}${edit.label ? ` ${edit.label}` : ""}`;
