// The alarm limits of one patient, in groups and edited in place, under the profile they start from.

import { h, openDialog } from "../core/dom.js";
import { LimitField } from "./limitfield.js";
import { LimitSwitch } from "./limitswitch.js";
import { profileChoice } from "./profilechoice.js";

const COLUMNS = ["Limit", "Value", "", "Possible", "Changed"];

export function openLimits({ patient, limits, actions }) {
  const body = h("div", { class: "limits-body" }, "Loading …");
  const dialog = openDialog(`Alarm limits of ${patient.id}`, body, { className: "limits" });
  fill(body, { patient, limits, actions });
  return dialog;
}

async function fill(body, context) {
  const { patient, limits, actions } = context;
  try {
    const answer = await limits.read(patient.id),
      may = actions.session.may("admin");
    const told = may
      ? "A value is saved when you leave its field or press Enter; Escape takes it back. Alarms that are off are not raised at all. Every change is recorded."
      : "Your token may look at the limits, but not change them.";
    const fields = new Map(); // by name, so that a field can look at those it must be above or below
    for (const limit of answer.fields)
      fields.set(limit.name, new LimitField(limit, may, { ...context, fields }));
    const switches = new Map(
      answer.alarms.map((alarm) => [alarm.kind, new LimitSwitch(alarm, may, context)]),
    );
    const again = (now) => {
      for (const limit of now.fields) fields.get(limit.name)?.update(limit);
      for (const alarm of now.alarms) switches.get(alarm.kind)?.update(alarm);
    };
    const groups = Map.groupBy(answer.fields, (limit) => limit.group);
    body.replaceChildren(
      h("p", { class: "none" }, told),
      profileChoice(answer, may, { ...context, again }),
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, ...COLUMNS.map((text) => h("th", { scope: "col" }, text)))),
        ...[...groups].map(([title, members]) =>
          h(
            "tbody",
            {},
            h(
              "tr",
              {},
              h("th", { scope: "rowgroup", colspan: COLUMNS.length, class: "limit-group" }, title),
            ),
            ...members.map(({ name }) => fields.get(name).element),
            ...answer.alarms
              .filter((alarm) => alarm.group === title)
              .map(({ kind }) => switches.get(kind).element),
          ),
        ),
      ),
    );
    body.querySelector("table input")?.focus();
  } catch (refused) {
    body.replaceChildren(h("p", { class: "problem", role: "alert" }, refused.message));
  }
}
