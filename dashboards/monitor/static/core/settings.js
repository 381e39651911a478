// The settings dialog: theme, the ward's tiles, clock, tones, the size of paper on this screen, and the signed-in person. This browser keeps them.

import { h, openDialog, setText } from "./dom.js";
import { keep, prefs, pxPerMm } from "./prefs.js";
import { pushChoice } from "./push.js";

const LEAST_PX_PER_MM = 1.5,
  MOST_PX_PER_MM = 14;
const LEAST_VOLUME = 10; // percent: whoever wants silence turns the tones off, and sees that they are
const NARROW_PX = 600; // a phone has no 100 mm

function choice(label, name, options) {
  const buttons = options.map(([value, text]) =>
    h(
      "label",
      {},
      h("input", {
        type: "radio",
        name,
        value: String(value),
        checked: prefs[name] === value,
        onchange: () => keep(name, value),
      }),
      ` ${text}`,
    ),
  );
  return h("fieldset", {}, h("legend", {}, label), ...buttons);
}

export function openSettings({ session, signOut, rename, tryTone, record }) {
  const who = session.user
    ? [
        h("p", {}, `Signed in as ${session.user}; may ${session.role}.`),
        h("button", { onclick: signOut }, "Sign out"),
      ]
    : [
        h(
          "p",
          {},
          session.name
            ? `What you do is recorded as ${session.name}.`
            : "You have not given a name yet.",
        ),
        h("button", { onclick: rename }, session.name ? "Change the name" : "Give a name"),
      ];
  return openDialog(
    "Settings",
    h(
      "div",
      { class: "settings" },
      choice("Light or dark", "theme", [
        ["auto", "As the system"],
        ["light", "Light"],
        ["dark", "Dark"],
      ]),
      choice("Trace on the ward", "tileSeconds", [
        [6, "6 s"],
        [8, "8 s"],
        [10, "10 s"],
      ]),
      choice("Gain on the ward", "tileGain", [
        [0, "Follows the signal"],
        [5, "5 mm/mV"],
        [10, "10 mm/mV"],
        [20, "20 mm/mV"],
      ]),
      choice("Tiles on a page of the ward", "tiles", [
        [0, "All, up to 64"],
        [4, "4"],
        [9, "9"],
        [16, "16"],
        [32, "32"],
      ]),
      choice("Clock", "clock", [
        [24, "24 h"],
        [12, "12 h"],
      ]),
      volume(tryTone),
      choice("ECG paper", "fill", [
        [false, "To size: a millimetre is a millimetre"],
        [true, "Fill the width"],
      ]),
      calibration(),
      record ? null : pushChoice(session),
      h("fieldset", {}, h("legend", {}, "You"), ...who),
    ),
    { className: "settings-dialog" },
  );
}

/** The loudness of the tones, heard as it is changed if they are on. */
function volume(tryTone) {
  const told = h("output", {}, `${prefs.volume} %`);
  const slider = h("input", {
    type: "range",
    min: LEAST_VOLUME,
    max: 100,
    step: 10,
    value: prefs.volume,
    "aria-label": "Volume of the tones, %",
    oninput: () => {
      keep("volume", Number(slider.value));
      setText(told, `${prefs.volume} %`);
    },
    onchange: tryTone,
  });
  return h("fieldset", {}, h("legend", {}, "Volume of the tones"), slider, " ", told);
}

/** A bar that the person adjusts to its stated length with a ruler. */
function calibration() {
  const barMm = innerWidth < NARROW_PX ? 50 : 100;
  const told = h("output", {}),
    bar = h("div", {
      class: "ruler",
      tabindex: 0,
      role: "slider",
      "aria-label": `Length of the bar: make it ${barMm} mm`,
      "aria-valuemin": LEAST_PX_PER_MM * barMm,
      "aria-valuemax": MOST_PX_PER_MM * barMm,
    });
  const show = () => {
    const px = pxPerMm() * barMm;
    bar.style.width = `${px}px`;
    bar.setAttribute("aria-valuenow", px.toFixed(1));
    setText(
      told,
      prefs.screenMm
        ? `${px.toFixed(1)} px for ${barMm} mm`
        : `${px.toFixed(1)} px, the browser's guess: not calibrated`,
    );
  };
  const set = (px) => {
    keep(
      "screenMm",
      Math.max(LEAST_PX_PER_MM, Math.min(MOST_PX_PER_MM, px / barMm)) *
        (window.devicePixelRatio || 1),
    );
    show();
  };
  bar.addEventListener("pointerdown", (event) => {
    bar.setPointerCapture(event.pointerId);
    const grab = event.clientX - bar.getBoundingClientRect().right;
    const move = (moved) => set(moved.clientX - bar.getBoundingClientRect().left - grab);
    bar.addEventListener("pointermove", move);
    bar.addEventListener("pointerup", () => bar.removeEventListener("pointermove", move), {
      once: true,
    });
  });
  bar.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowUp: 10, ArrowDown: -10 }[event.key];
    if (!step) return;
    set(pxPerMm() * barMm + step * (event.shiftKey ? 0.1 : 1));
    event.preventDefault();
  });
  show();
  return h(
    "fieldset",
    { class: "calibration" },
    h("legend", {}, "Size of this screen"),
    h(
      "p",
      {},
      `Hold a ruler to the screen and drag the end of the bar until it is ${barMm} mm long. Arrows move it by a pixel, with Shift by a tenth.`,
    ),
    bar,
    h(
      "div",
      { class: "buttons" },
      told,
      h(
        "button",
        {
          type: "button",
          onclick: () => {
            keep("screenMm", null);
            show();
          },
        },
        "Forget",
      ),
    ),
  );
}
