// Small helpers; text only ever goes in as text, never as HTML.

/** h("a", {class: "x"}, child, "text"); an attribute of undefined, null or false is left out, a function listens to the event "on..." names. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Change the page only if the value differs. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setClass(element, name, on) {
  if (element.classList.contains(name) !== on) element.classList.toggle(name, on);
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export function setHidden(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

export function setData(element, name, value) {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}

const SHAPES = {
  gear: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6zm-.9-4.4h1.8l.4 1.9 1.2.5 1.6-1.1 1.3 1.3-1.1 1.6.5 1.2 1.9.4v1.8l-1.9.4-.5 1.2 1.1 1.6-1.3 1.3-1.6-1.1-1.2.5-.4 1.9H7.1l-.4-1.9-1.2-.5-1.6 1.1-1.3-1.3 1.1-1.6-.5-1.2-1.9-.4V7.6l1.9-.4.5-1.2-1.1-1.6 1.3-1.3 1.6 1.1 1.2-.5z",
  person: "M8 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6zm-6 6c0-3 2.7-4.8 6-4.8s6 1.8 6 4.8z",
  list: "M1.5 3h2v2h-2zm4 .2h9v1.6h-9zM1.5 7h2v2h-2zm4 .2h9v1.6h-9zM1.5 11h2v2h-2zm4 .2h9v1.6h-9z",
  funnel: "M1.5 2h13v1.6L9.8 8.6V14L6.2 12V8.6L1.5 3.6z",
  pin: "M5 1.5h6v1.6L9.8 4v3.4l2.2 2v1.4H8.8V15H7.2v-4.2H4V9.4l2.2-2V4L5 3.1z",
  bell: "M8 2a4 4 0 0 0-4 4v3l-1.5 2.5h11L12 9V6a4 4 0 0 0-4-4zM6.5 13a1.5 1.5 0 0 0 3 0z",
  "bell-off":
    "M8 2a4 4 0 0 0-4 4v3l-1.5 2.5h11L12 9V6a4 4 0 0 0-4-4zM6.5 13a1.5 1.5 0 0 0 3 0z M2.2 1.2 1.2 2.2l12.6 12.6 1-1z",
};

/** A small drawing in the colour of the surrounding text; the words beside it have the same meaning. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  for (const [key, value] of [
    ["viewBox", "0 0 16 16"],
    ["class", "icon"],
    ["aria-hidden", "true"],
  ])
    svg.setAttribute(key, value);
  path.setAttribute("d", SHAPES[name]);
  path.setAttribute("fill", "currentColor");
  path.setAttribute("fill-rule", "evenodd");
  svg.append(path);
  return svg;
}

/** A dialog that Escape closes; focus returns to the element that had it. `content` may hold an element with the attribute autofocus. */
export function openDialog(title, content, { className = "", closed } = {}) {
  const close = h(
    "button",
    { type: "button", class: "plain", "aria-label": "Close", onclick: () => dialog.close() },
    "×",
  );
  const dialog = h(
    "dialog",
    { class: className, "aria-label": title },
    h("div", { class: "bar" }, h("h2", {}, title), close),
    content,
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed?.(dialog.returnValue);
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export const dialogOpen = () => document.querySelector("dialog[open]") !== null;
