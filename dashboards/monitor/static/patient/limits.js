// The alarm limits of one patient, edited in place: checked at once, sent in the person's name, shown with the author and time of each change.

import { h, openDialog, setText } from "../core/dom.js";
import { dayTime } from "../alarms/words.js";

const LOOK_MS = 300,
  BACK_MS = 5000;

export function openLimits({ patient, limits, actions }) {
  const body = h("div", { class: "limits-body" }, "Loading …");
  const dialog = openDialog(`Alarm limits of ${patient.id}`, body, { className: "limits" });
  fill(body, { patient, limits, actions });
  return dialog;
}

async function fill(body, with_) {
  try {
    const fields = await with_.limits.read(with_.patient.id);
    const may = with_.actions.session.may("admin");
    const told = may
      ? "Enter sets a value. Every change is recorded."
      : "Your token may look at the limits, but not change them.";
    const rows = fields.map((field) => new Field(field, may, with_).element);
    body.replaceChildren(
      h("p", { class: "none" }, told),
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ...["Limit", "Value", "", "Possible", "Changed"].map((text) =>
              h("th", { scope: "col" }, text),
            ),
          ),
        ),
        h("tbody", {}, ...rows),
      ),
    );
    body.querySelector("input")?.focus();
  } catch (refused) {
    body.replaceChildren(h("p", { class: "problem", role: "alert" }, refused.message));
  }
}

class Field {
  constructor(field, may, { patient, limits, actions }) {
    Object.assign(this, { field, patient, limits, actions });
    this.input = h("input", {
      type: "text",
      inputmode: "decimal",
      size: 6,
      "aria-label": `${field.label}, ${field.unit}`,
      disabled: !may,
      value: String(field.value),
    });
    this.problem = h("div", { class: "feedback", role: "status" });
    this.reset = h(
      "button",
      {
        type: "button",
        title: "Back to the profile's value",
        disabled: !may,
        onclick: () => this.#set(null),
      },
      "Profile",
    );
    this.changed = h("td", { class: "changed" });
    this.element = h(
      "tr",
      { "data-name": field.name },
      h("th", { scope: "row" }, field.label),
      h("td", {}, this.input, h("span", { class: "unit" }, field.unit), this.problem),
      h("td", {}, this.reset),
      h("td", { class: "possible" }, `${field.low} to ${field.high}`),
      this.changed,
    );
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#submit();
      if (event.key === "Escape" && this.input.value !== String(this.field.value)) {
        event.preventDefault();
        this.#show();
      }
    });
    this.input.addEventListener("change", () => this.#submit());
    this.input.addEventListener("input", () => this.#check());
    this.#show();
  }

  #show() {
    const { value, default: profile, changed, by } = this.field;
    this.input.value = String(value);
    this.reset.hidden = value === profile;
    this.reset.textContent = `Back to ${profile}`;
    setText(this.changed, changed ? `${dayTime(changed, Date.now())} by ${by || "?"}` : "");
    this.#tell("", "");
  }

  /** The number that was typed, or null with the reason shown. */
  #check() {
    const { low, high, unit } = this.field,
      value = Number(this.input.value.trim().replace(",", "."));
    const wrong =
      !this.input.value.trim() || !Number.isFinite(value)
        ? "Not a number."
        : value < low || value > high
          ? `Must be ${low} to ${high} ${unit}.`
          : "";
    this.#tell(wrong, wrong ? "failed" : "");
    this.input.setAttribute("aria-invalid", String(Boolean(wrong)));
    return wrong ? null : value;
  }

  #submit() {
    const value = this.#check();
    if (value !== null && value !== this.field.value && value !== this.sent) this.#set(value);
  }

  /** Send the limits; they count as set once they are read back. */
  async #set(value) {
    const wanted = value ?? this.field.default,
      { name } = this.field;
    this.sent = value;
    let seen = false;
    this.#tell("Sending …", "sent");
    const sent = await this.actions.send(
      this.patient,
      `limits ${name}`,
      { action: "limits", limits: { [name]: value } },
      () => seen,
    );
    this.sent = undefined;
    if (!sent)
      return this.#tell(
        this.actions.state(`limits ${name}`)?.text ?? "Nothing was changed.",
        "failed",
      );
    this.#tell("Sent", "sent");
    for (const until = performance.now() + BACK_MS; performance.now() < until; ) {
      const fields = await this.limits.read(this.patient.id).catch(() => []);
      const now = fields.find((field) => field.name === name);
      if (now && now.value === wanted) {
        seen = true;
        this.actions.check();
        this.field = now;
        this.#show();
        return this.#tell("Changed", "done");
      }
      await new Promise((resolve) => {
        setTimeout(resolve, LOOK_MS);
      });
    }
    return this.#tell("Sent, but it has not come back in 5 s.", "failed");
  }

  #tell(text, phase) {
    setText(this.problem, text);
    this.problem.dataset.phase = phase;
  }
}
