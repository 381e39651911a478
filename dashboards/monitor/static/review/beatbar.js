// What can be said of the chosen beat: a button per class, the model's or the last person's label pressed, and "no beat".

import { BEATS, percent, time } from "../alarms/words.js";
import { h } from "../core/dom.js";

/** `label` is called with the class that a person has pressed, or null for "no beat"; `more` are further buttons [text, press]. */
export function beatBar(beat, label, more = []) {
  const button = (text, press, pressed) =>
    h(
      "button",
      { onclick: press, "aria-pressed": pressed === undefined ? null : String(Boolean(pressed)) },
      text,
    );
  const said = beat.model
    ? `the model says ${beat.model.label} (${percent(beat.model.probability)})`
    : beat.id
      ? "inserted"
      : "no beat was found here";
  return [
    h("span", {}, `${time(beat.t)}: ${said}. It is`),
    ...Object.keys(BEATS).map((name) =>
      button(
        `${name} ${BEATS[name]}`,
        () => label(name),
        beat.id && !beat.gone && name === beat.label,
      ),
    ),
    ...(beat.id ? [button("no beat", () => label(null), beat.gone)] : []),
    ...more.map(([text, press]) => button(text, press)),
  ];
}
