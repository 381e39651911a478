// The list of patients and devices, for admins: admit, transfer, discharge; add, give, take and revoke devices.

import { getJson, send } from "../core/api.js";
import { h, openDialog } from "../core/dom.js";
import { dayTime } from "../alarms/words.js";
import { joinCode } from "./joincode.js";

const MOMENT_MS = 400; // time for a change of the registry to pass through Kafka and back

export class PeopleDialog {
  /** context: {session, say} */
  constructor(context) {
    this.context = context;
    this.problem = h("p", { class: "problem", role: "alert" });
    this.people = h("div", { class: "people-list" });
    this.devices = h("div", { class: "device-list" });
    this.join = h("div", { class: "join" });
    const body = h(
      "div",
      { class: "people" },
      this.problem,
      h("h3", {}, "Patients"),
      this.people,
      this.#admitForm(),
      h("h3", {}, "Devices"),
      this.devices,
      this.#deviceForm(),
      this.join,
    );
    this.dialog = openDialog("Patients and devices", body, { className: "people-dialog" });
    this.load();
  }

  async load() {
    try {
      const { people, devices, join_url: joinUrl } = await getJson("/api/people");
      this.joinUrl = joinUrl;
      const free = devices.filter((device) => !device.patient && !device.revoked);
      this.people.replaceChildren(
        ...people
          .sort((a, b) => a.bed.localeCompare(b.bed, undefined, { numeric: true }))
          .map((person) => this.#person(person, free)),
      );
      if (!people.length) this.people.replaceChildren("Nobody is admitted.");
      this.devices.replaceChildren(...devices.map((device) => this.#device(device)));
      if (!devices.length) this.devices.replaceChildren("There is no device.");
    } catch (refused) {
      this.problem.textContent = refused.message;
    }
  }

  #person({ id, name, bed, profile, device }, free) {
    const where = h("input", { "aria-label": `Bed of ${id}`, value: bed, maxlength: 40, size: 8 });
    const worn = h(
      "select",
      { "aria-label": `Device of ${id}` },
      h("option", { value: device }, device || "no device"),
      ...free.map((other) => h("option", { value: other.id }, other.id)),
    );
    worn.addEventListener("change", () =>
      this.take({ step: "assign", patient: id, device: worn.value }),
    );
    const move = () => this.take({ step: "transfer", patient: id, bed: where.value.trim() });
    const leave = () =>
      confirm(`Discharge ${name || id}? The stream ends, bed and device are free.`) &&
      this.take({ step: "discharge", patient: id });
    return h(
      "form",
      { class: "row", "data-patient": id, onsubmit: prevented(move) },
      h("span", { class: "who", title: id }, name || id, profile ? ` · ${profile}` : ""),
      h("label", {}, "Bed ", where),
      worn,
      h("button", {}, "Transfer"),
      h("button", { type: "button", onclick: leave }, "Discharge"),
    );
  }

  #device({ id, model, patient, revoked, heard, battery }) {
    const state = [
      model,
      revoked ? "token revoked" : patient ? `worn by ${patient}` : "worn by nobody",
      heard ? `heard ${dayTime(heard, Date.now())}` : "never heard",
      battery === null ? "" : `battery ${Math.round(battery * 100)} %`,
    ];
    const button = (text, step) =>
      h("button", { type: "button", onclick: () => this.take({ step, device: id }) }, text);
    return h(
      "div",
      { class: "row", "data-device": id },
      h("span", { class: "who" }, id),
      h("span", {}, state.filter(Boolean).join(", ")),
      patient ? button("Release", "release") : null,
      revoked ? null : button("Revoke", "revoke"),
    );
  }

  #admitForm() {
    const field = (name, label, more = {}) =>
      h("label", {}, `${label} `, h("input", { name, maxlength: 100, ...more }));
    return h(
      "form",
      { class: "admit", onsubmit: prevented((form) => this.#submit(form, "admit")) },
      field("patient", "Patient id", { required: true, size: 10 }),
      field("name", "Name", { size: 14 }),
      field("bed", "Bed", { size: 6 }),
      field("profile", "Profile", { size: 8, placeholder: "adult" }),
      field("device", "Device", { size: 10 }),
      field("notes", "Notes", { size: 16 }),
      h("button", { class: "primary" }, "Admit"),
    );
  }

  #deviceForm() {
    return h(
      "form",
      { class: "add-device", onsubmit: prevented((form) => this.#add(form)) },
      h(
        "label",
        {},
        "New device ",
        h("input", { name: "device", required: true, maxlength: 100, size: 14 }),
      ),
      h("label", {}, "Model ", h("input", { name: "model", maxlength: 100, size: 12 })),
      h("button", { class: "primary" }, "Add device"),
    );
  }

  async #submit(form, step) {
    const fields = Object.fromEntries(
      [...new FormData(form)].map(([name, text]) => [name, text.trim()]),
    );
    const done = await this.take({ step, ...fields });
    if (done) form.reset();
    return done;
  }

  async #add(form) {
    const device = new FormData(form).get("device").trim();
    const done = await this.#submit(form, "add device");
    if (!done) return;
    this.join.replaceChildren(await joinCode(device, done.token, this.joinUrl));
    this.join.scrollIntoView();
  }

  /** Send a step; returns the server's answer, or null after showing the problem in the dialog. */
  async take(step) {
    this.problem.textContent = "";
    const by = await this.context.session.named();
    if (!by) return null;
    try {
      const done = await send("POST", "/api/people", { ...step, by });
      await new Promise((resolve) => {
        setTimeout(resolve, MOMENT_MS);
      });
      await this.load();
      return done;
    } catch (refused) {
      this.problem.textContent = refused.message;
      return null;
    }
  }
}

const prevented = (take) => (event) => {
  event.preventDefault();
  take(event.currentTarget);
};
