// A new device's token, as text and as a code that a phone's camera opens as the page to join by.

import { send } from "../core/api.js";
import { h } from "../core/dom.js";

const QUIET = 4; // light modules around a code, as its standard requires

export async function joinCode(device, token, joinUrl) {
  const shown = h("code", { class: "token" }, token);
  const about = `This is the token of ${device}, shown only now:`;
  if (!joinUrl) return h("div", {}, h("p", {}, about), shown);
  const url = `${new URL(joinUrl, location.href).href}#${token}`;
  const { rows } = await send("POST", "/api/code", { text: url });
  const secure = url.startsWith("https:")
    ? ""
    : "A phone can use its Bluetooth only over https: see docs/devices.md. On this machine itself http will do.";
  return h(
    "div",
    {},
    h("p", {}, about),
    shown,
    h(
      "p",
      {},
      "Or open the join page with a phone: ",
      h("a", { href: url, target: "_blank", rel: "noopener" }, "join page"),
      ".",
    ),
    code(rows),
    h("p", {}, secure),
  );
}

function code(rows) {
  const svg = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const size = rows.length + 2 * QUIET;
  const dark = rows.flatMap((row, y) =>
    [...row].flatMap((module, x) => (module === "1" ? [`M${x + QUIET} ${y + QUIET}h1v1h-1z`] : [])),
  );
  const drawing = svg("svg", {
    viewBox: `0 0 ${size} ${size}`,
    class: "code",
    role: "img",
    "aria-label": "Code of the join page",
  });
  drawing.append(
    svg("rect", { width: size, height: size, fill: "#fff" }),
    svg("path", { d: dark.join(""), fill: "#000" }),
  );
  return drawing;
}
