// Speed and gain of the paper: buttons that show which ones hold.

import { h, setAttribute } from "../core/dom.js";
import { keep, onChange, prefs } from "../core/prefs.js";

const CHOICES = [
  ["paperSpeed", [25, 50], "mm/s"],
  ["paperGain", [5, 10, 20], "mm/mV"],
];

export class PaperScale {
  /** `changed` is called when another speed or gain holds. */
  constructor(changed) {
    this.buttons = CHOICES.flatMap(([name, values, unit]) =>
      values.map((value) => ({
        name,
        value,
        button: h(
          "button",
          { "aria-label": `${value} ${unit}`, onclick: () => keep(name, value) },
          String(value),
        ),
      })),
    );
    const group = ([name, , unit]) =>
      h(
        "span",
        { class: "group", role: "group", "aria-label": unit },
        ...this.buttons.filter((b) => b.name === name).map(({ button }) => button),
        h("span", { class: "unit" }, unit),
      );
    this.element = h("span", { class: "paper-scale" }, ...CHOICES.map(group));
    this.endings = CHOICES.map(([name]) =>
      onChange(name, () => {
        this.#show();
        changed();
      }),
    );
    this.#show();
  }

  end() {
    for (const end of this.endings) end();
  }

  /** Choose the next speed or gain. */
  next(name) {
    const [, values] = CHOICES.find(([known]) => known === name);
    keep(name, values[(values.indexOf(prefs[name]) + 1) % values.length]);
  }

  #show() {
    for (const { name, value, button } of this.buttons)
      setAttribute(button, "aria-pressed", String(prefs[name] === value));
  }
}
