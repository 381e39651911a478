// One alarm that can be switched on and off, as a row of the limits; saved at once, shown with who changed it.

import { h, setText } from "../core/dom.js";
import { dayTime } from "../alarms/words.js";
import { readUntil } from "./limitsbook.js";

export class LimitSwitch {
  /** context: {patient, limits, actions} */
  constructor(alarm, may, context) {
    this.context = context;
    this.box = h("input", { type: "checkbox", disabled: !may || alarm.always });
    this.problem = h("span", { class: "feedback", role: "status" });
    this.changed = h("td", { class: "changed" });
    this.reset = h("button", {
      type: "button",
      title: "Back to what the profile says",
      disabled: !may,
      onclick: () => this.#set(null),
    });
    this.element = h(
      "tr",
      { "data-kind": alarm.kind },
      h("th", { scope: "row" }, `Alarm: ${alarm.name}`),
      h("td", {}, h("label", { class: "switch" }, this.box, " on"), this.problem),
      h("td", {}, this.reset),
      h("td", { class: "possible" }, alarm.always ? "always on" : ""),
      this.changed,
    );
    this.box.setAttribute("aria-label", `${alarm.name}: alarm on`);
    this.box.addEventListener("change", () => this.#set(this.box.checked));
    this.update(alarm);
  }

  /** Show the alarm as it is now. */
  update(alarm) {
    this.alarm = alarm;
    this.box.checked = alarm.on;
    this.element.classList.toggle("off", !alarm.on);
    this.reset.hidden = alarm.on === alarm.default && !alarm.changed;
    this.reset.textContent = alarm.default ? "Back to on" : "Back to off";
    const { changed, by } = alarm;
    setText(this.changed, changed ? `${dayTime(changed, Date.now())} by ${by || "?"}` : "");
  }

  /** Send the switch (null: as the profile says); it counts as set once it is read back. */
  async #set(on) {
    const { patient, limits, actions } = this.context,
      { kind } = this.alarm,
      key = `switch ${kind}`;
    let seen = false;
    this.#tell("Saving …", "sent");
    const body = { action: "limits", switches: { [kind]: on } };
    if (!(await actions.send(patient, key, body, () => seen))) {
      this.#fail(`Not saved. ${actions.state(key)?.text ?? ""}`);
      return;
    }
    const found = (answer) => answer.alarms.find((alarm) => alarm.kind === kind);
    const held = (alarm) =>
      on === null ? !alarm.changed : alarm.on === on && alarm.changed !== null;
    const now = await readUntil(limits, patient.id, (answer) => held(found(answer)));
    if (!now) {
      this.#fail("Sent, but it has not come back in 5 s.");
      return;
    }
    seen = true;
    actions.check();
    this.update(found(now));
    this.#tell("Saved", "done");
  }

  #fail(text) {
    this.update(this.alarm);
    this.#tell(text, "failed");
  }

  #tell(text, phase) {
    setText(this.problem, text);
    this.problem.dataset.phase = phase;
  }
}
