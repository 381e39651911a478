// One alarm limit as a row: checked while it is typed, saved when the field is left, shown with the author and time of its change.

import { h, setText } from "../core/dom.js";
import { dayTime } from "../alarms/words.js";
import { readUntil } from "./limitsbook.js";

const AS_PERCENT = new Set(["battery"]); // the processor's is a share of 1

export class LimitField {
  /** context: {patient, limits, actions, fields}, the last with all fields by name */
  constructor(limit, may, context) {
    this.context = context;
    this.factor = AS_PERCENT.has(limit.name) ? 100 : 1;
    this.unit = this.factor === 100 ? "%" : limit.unit;
    this.limit = limit;
    this.input = h("input", {
      type: "text",
      inputmode: "decimal",
      size: 6,
      "aria-label": [limit.label, this.unit].filter(Boolean).join(", "),
      disabled: !may,
    });
    this.problem = h("div", { class: "feedback", role: "status" });
    this.reset = h("button", {
      type: "button",
      title: "Back to the profile's value",
      disabled: !may,
      onclick: () => this.#set(null),
    });
    this.changed = h("td", { class: "changed" });
    this.element = h(
      "tr",
      { "data-name": limit.name },
      h("th", { scope: "row" }, limit.label),
      h("td", {}, this.input, h("span", { class: "unit" }, this.unit), this.problem),
      h("td", {}, this.reset),
      h("td", { class: "possible" }, `${this.#read(limit.low)} to ${this.#read(limit.high)}`),
      this.changed,
    );
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#submit();
      if (event.key === "Escape" && this.unsaved) {
        event.preventDefault();
        this.#show();
      }
    });
    this.input.addEventListener("change", () => this.#submit());
    this.input.addEventListener("input", () => this.#check());
    this.#show();
  }

  /** Show the limit as it is now; what somebody is typing stays. */
  update(limit) {
    const typing = this.unsaved;
    this.limit = limit;
    if (typing) this.#check();
    else this.#show();
  }

  /** Whether the field holds another text than the value that is in force. */
  get unsaved() {
    return this.input.value !== this.#read(this.limit.value);
  }

  /** A value of the processor as people read it. */
  #read(value) {
    return String(+(value * this.factor).toFixed(3));
  }

  #show() {
    const { value, default: profile, changed, by } = this.limit;
    this.input.value = this.#read(value);
    this.input.setAttribute("aria-invalid", "false");
    this.reset.hidden = value === profile;
    this.reset.textContent = `Back to ${this.#read(profile)}`;
    setText(this.changed, changed ? `${dayTime(changed, Date.now())} by ${by || "?"}` : "");
    this.#tell("", "");
  }

  /** The number that was typed, for the processor; null with the reason shown. */
  #check() {
    const text = this.input.value.trim().replace(",", "."),
      value = +(Number(text) / this.factor).toFixed(6);
    const wrong = !text || !Number.isFinite(value) ? "Not a number." : this.#unfit(value);
    if (wrong) this.#tell(`Not saved. ${wrong}`, "failed");
    else if (this.unsaved) this.#tell("Not saved yet", "unsaved");
    else this.#tell("", "");
    this.input.setAttribute("aria-invalid", String(Boolean(wrong)));
    return wrong ? null : value;
  }

  /** Why the value cannot be, in words; "" if it can. */
  #unfit(value) {
    const { low, high, above, below, name } = this.limit,
      unit = this.unit ? ` ${this.unit}` : "";
    if (value < low || value > high)
      return `Must be ${this.#read(low)} to ${this.#read(high)}${unit}.`;
    if (/_(beats|minute)$/.test(name) && !Number.isInteger(value)) return "Must be a whole number.";
    const other = (names, wrong) =>
      names.map((each) => this.context.fields.get(each).limit).find(wrong);
    const floor = other(above, (limit) => value <= limit.value);
    if (floor) return `Must be above “${floor.label}”, which is ${floor.value}.`;
    const ceiling = other(below, (limit) => value >= limit.value);
    return ceiling ? `Must be below “${ceiling.label}”, which is ${ceiling.value}.` : "";
  }

  #submit() {
    const value = this.#check();
    if (value !== null && value !== this.limit.value && value !== this.sent) this.#set(value);
  }

  /** Send the limit; it counts as set once it is read back. */
  async #set(value) {
    const { patient, limits, actions } = this.context,
      { name } = this.limit,
      wanted = value ?? this.limit.default,
      key = `limits ${name}`;
    this.sent = value;
    let seen = false;
    this.#tell("Saving …", "sent");
    const sent = await actions.send(
      patient,
      key,
      { action: "limits", limits: { [name]: value } },
      () => seen,
    );
    this.sent = undefined;
    if (!sent) {
      this.#tell(`Not saved. ${this.#refusal(actions.state(key)?.text)}`, "failed");
      return;
    }
    const found = (answer) => answer.fields.find((limit) => limit.name === name);
    const now = await readUntil(limits, patient.id, (answer) => found(answer)?.value === wanted);
    if (!now) {
      this.#tell("Sent, but it has not come back in 5 s.", "failed");
      return;
    }
    seen = true;
    actions.check();
    this.limit = found(now);
    this.#show();
    this.#tell("Saved", "done");
  }

  /** The server's refusal without names of fields: they are for programs. */
  #refusal(text = "") {
    return [...this.context.fields.keys()].some((name) => text.includes(name))
      ? "It does not fit the other limits any more: close this list and open it again."
      : text;
  }

  #tell(text, phase) {
    setText(this.problem, text);
    this.problem.dataset.phase = phase;
  }
}
