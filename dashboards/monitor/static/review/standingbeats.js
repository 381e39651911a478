// The beats of a period as they stand after people's edits.

import { percent } from "../alarms/words.js";

/** `found` are the model's beats, `edits` the patient's Edits: [{id, t, label, gone, edit, model, about}] within [from, to), in order of
 * time; `model` is missing if a person has inserted the beat. */
export function standingBeats(found, edits, from, to) {
  const beats = found.map((model) => {
    const edit = edits.of("beat", model.id),
      verdict = edit?.verdict;
    return {
      id: model.id,
      model,
      edit,
      t: verdict === "moved" ? edit.at : model.t,
      label: edit?.label || model.label,
      gone: verdict === "rejected",
      about: `model: ${model.label} ${percent(model.probability)}${edit ? ", edited" : ""}`,
    };
  });
  const inserted = new Map();
  for (const edit of edits.all)
    if (edit.target === "beat" && edit.said === "") inserted.set(edit.target_id, edit);
  for (const [id, edit] of inserted)
    beats.push({
      id,
      edit,
      t: edit.at,
      label: edit.label,
      gone: edit.verdict === "rejected",
      about: "inserted",
    });
  return beats.filter(({ t }) => t >= from && t < to).sort((a, b) => a.t - b.t);
}
