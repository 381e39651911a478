// The edits that relabel, reject, insert or move a beat. A beat is {id, t, label, model, edit}; its id is "" while it is only a place.

/** A time as edits carry it: whole microseconds, in ms. */
const exact = (t) => Math.round(t * 1000) / 1000;

/** It is `label`, or no beat if that is null; null if there is nothing to say. */
export function labelEdit({ id, t, model, edit }, label) {
  const at = exact(t);
  if (!model) {
    if (!id && label === null) return null;
    const said = label === null ? { verdict: "rejected" } : { verdict: "inserted", label };
    return { target: "beat", target_id: id || String(Math.round(at * 1e6)), at, said: "", ...said };
  }
  return { target: "beat", target_id: id, at, said: model.label, ...verdict(model, edit, label) };
}

function verdict(model, edit, label) {
  if (label === null) return { verdict: "rejected" };
  if (edit?.verdict === "moved") return { verdict: "moved", label };
  return label === model.label ? { verdict: "confirmed" } : { verdict: "relabelled", label };
}

/** It lies `ms` later. */
export const moveEdit = ({ id, t, label, model }, ms) => ({
  target: "beat",
  target_id: id,
  at: exact(t + ms),
  said: model?.label ?? "",
  verdict: model ? "moved" : "inserted",
  label,
});
