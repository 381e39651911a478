// The choice of a patient's alarm profile: the limits that hold unless somebody sets others.

import { send } from "../core/api.js";
import { h, setText } from "../core/dom.js";
import { readUntil } from "./limitsbook.js";

/** `again` shows the limits of a new answer of the server. */
export function profileChoice(
  { profile, file_profile: ofFile, profiles, admitted },
  may,
  { patient, limits, actions, again },
) {
  const told = h("span", { class: "feedback", role: "status" });
  const options = [["", `as the profiles file says (${ofFile})`], ...profiles.map((p) => [p, p])];
  const select = h(
    "select",
    { disabled: !may || !admitted },
    ...options.map(([value, text]) => h("option", { value, selected: value === profile }, text)),
  );
  const tell = (text, phase) => {
    setText(told, text);
    told.dataset.phase = phase;
  };
  const choose = async (wanted) => {
    const by = await actions.session.named();
    if (!by) {
      select.value = profile;
      return;
    }
    tell("Sending …", "sent");
    try {
      await send("POST", "/api/people", { step: "edit", patient: patient.id, profile: wanted, by });
    } catch (refused) {
      select.value = profile;
      tell(refused.message, "failed");
      return;
    }
    const now = await readUntil(limits, patient.id, (answer) => answer.profile === wanted);
    if (!now) {
      tell("Sent, but it has not come back in 5 s.", "failed");
      return;
    }
    profile = wanted;
    again(now);
    tell("Changed", "done");
  };
  select.addEventListener("change", () => choose(select.value));
  if (may && !admitted) tell("Admit the patient to choose another.", "");
  return h("p", { class: "profile" }, h("label", {}, "Profile ", select), " ", told);
}
