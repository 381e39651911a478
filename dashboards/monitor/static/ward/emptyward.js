// Shown on a ward without patients: how to add one, with commands to copy.

import { h } from "../core/dom.js";

export function emptyWard(commands) {
  return h(
    "div",
    { class: "empty" },
    h("h1", {}, "No patient yet"),
    h("p", {}, "A patient appears here as soon as its samples arrive. To send some:"),
    ...commands.map(command),
  );
}

function command(text) {
  const button = h("button", {}, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // browsers allow this only on this machine or over https
      getSelection().selectAllChildren(button.previousSibling);
      button.textContent = "Selected";
    }
  });
  return h("div", { class: "command" }, h("code", {}, text), button);
}
