// The person at the page, and the person's rights. With tokens the server knows both; on this machine alone the person gives a name, once.

import { getJson, send } from "./api.js";
import { h, openDialog } from "./dom.js";
import { keep, prefs } from "./prefs.js";

const RANKS = ["view", "acknowledge", "admin"];

export class Session {
  user = "";
  role = "admin";
  needsToken = false;

  /** True if the page may be shown; otherwise a person must sign in. */
  async load() {
    try {
      const { user, role, needs_token: needsToken } = await getJson("/api/session");
      Object.assign(this, { user, role, needsToken });
      return !needsToken || RANKS.includes(role);
    } catch (refused) {
      if (refused.status !== 401) return true; // the link says that the server is away
      this.role = "none";
      this.needsToken = true;
      return false;
    }
  }

  get name() {
    return this.user || prefs.name;
  }

  may(role) {
    return RANKS.indexOf(this.role) >= RANKS.indexOf(role);
  }

  async signIn(token) {
    await send("POST", "/api/session", { token });
    return this.load();
  }

  signOut() {
    return send("DELETE", "/api/session", {});
  }

  /** The name of the acting person, asked for if none has been given. "" if the person declines. */
  async named() {
    return this.name || this.askName();
  }

  askName() {
    return new Promise((resolve) => {
      const input = h("input", {
        type: "text",
        maxlength: 60,
        autocomplete: "name",
        autofocus: true,
        "aria-label": "Your name",
        value: prefs.name,
      });
      const take = (event) => {
        event.preventDefault();
        if (!input.value.trim()) return input.focus();
        keep("name", input.value.trim());
        dialog.close();
      };
      const form = h(
        "form",
        { class: "ask", onsubmit: take },
        h(
          "p",
          {},
          "What you acknowledge, silence or edit is recorded with your name and the time. This browser remembers it.",
        ),
        h("label", {}, "Your name ", input),
        h("div", { class: "buttons" }, h("button", { class: "primary" }, "That is me")),
      );
      const dialog = openDialog("Who are you?", form, { closed: () => resolve(prefs.name) });
      input.focus();
      input.select();
    });
  }
}

/** The sign-in form, shown instead of the page until a person has signed in. */
export function signInForm(session, done) {
  const problem = h("p", { class: "problem", role: "alert" });
  const token = h("input", {
    type: "password",
    autocomplete: "current-password",
    required: true,
    "aria-label": "Token",
  });
  const submit = async (event) => {
    event.preventDefault();
    problem.textContent = "";
    try {
      if (await session.signIn(token.value.trim())) return done();
      problem.textContent = "This token may not see the ward.";
    } catch (refused) {
      problem.textContent = refused.message;
    }
    token.select();
  };
  const form = h(
    "form",
    { class: "sign-in", onsubmit: submit },
    h("h1", {}, "Sign in"),
    h("p", {}, "This monitor wants a token. Whoever runs it has given you one."),
    h("input", { type: "text", autocomplete: "username", value: "ecgwatch", hidden: true }),
    h("label", {}, "Token ", token),
    h("div", { class: "buttons" }, h("button", { class: "primary" }, "Sign in")),
    problem,
  );
  queueMicrotask(() => token.focus());
  return form;
}
