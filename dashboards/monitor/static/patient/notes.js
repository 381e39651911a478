// A note or an event of a moment, written by a person: it goes into the journal, and comes back into the list and onto the trace.

import { dayTime } from "../alarms/words.js";
import { patientPath, send } from "../core/api.js";
import { h, openDialog, setText } from "../core/dom.js";

const KINDS = [
  ["note", "Note"],
  ["event", "Event"],
  ["symptom", "Symptom"],
];
const OFTEN = [
  "Medication given",
  "Electrodes changed",
  "Patient moved",
  "Physiotherapy",
  "Procedure began",
  "Procedure ended",
  "Chest pain",
  "Dizziness",
  "Palpitations",
];

/** Ask for a note of the moment `at` (ms) and send it in the person's name; `say` tells what became of it. */
export async function writeNote(patient, at, { session, say }) {
  if (!session.may("acknowledge")) return say("Your token may look, but not write.");
  const by = await session.named();
  if (!by) return say("Nothing was written: a note needs a name.");
  const kind = h(
    "select",
    { "aria-label": "Kind" },
    ...KINDS.map(([value, text]) => h("option", { value }, text)),
  );
  const text = h("input", {
    type: "text",
    maxlength: 500,
    autocomplete: "off",
    autofocus: true,
    list: "often-noted",
    "aria-label": "Text",
  });
  const problem = h("p", { class: "problem", role: "alert" });
  const write = async (event) => {
    event.preventDefault();
    if (!text.value.trim()) return text.focus();
    try {
      const entry = { at: Math.round(at), kind: kind.value, text: text.value.trim(), by };
      await send("POST", patientPath(patient.id, "journal"), entry);
      dialog.close();
      say(`${kind.selectedOptions[0].textContent} written: ${entry.text}`);
    } catch (refused) {
      setText(problem, refused.message);
    }
  };
  const form = h(
    "form",
    { class: "ask", onsubmit: write },
    h("p", {}, `At ${dayTime(at, patient.time)}, by ${by}`),
    h("label", {}, "Kind ", kind),
    h("label", {}, "Text ", text),
    h("datalist", { id: "often-noted" }, ...OFTEN.map((value) => h("option", { value }))),
    problem,
    h("div", { class: "buttons" }, h("button", { class: "primary" }, "Write")),
  );
  const dialog = openDialog("Note or event", form);
}
