// Web Push: this browser is told of alarms though no page is open. Who is told of which alarms is said by the notifications file.

import { getJson, send } from "./api.js";
import { h, setText } from "./dom.js";

/** Why this browser cannot be told, in words; "" if it can. */
function hindrance() {
  if (!isSecureContext) return "Only a page opened by https:// or on this machine can be told.";
  if (!("serviceWorker" in navigator && "PushManager" in window)) {
    return "This browser has no push; on an iPhone, add the page to the home screen first.";
  }
  if (Notification.permission === "denied")
    return "This browser does not allow notifications of this page: allow them in its settings.";
  return "";
}

const registration = () => navigator.serviceWorker.ready;

async function subscription() {
  return (await registration()).pushManager.getSubscription();
}

/** Ask for permission, subscribe, and register under the person's name. */
async function subscribe(by) {
  if ((await Notification.requestPermission()) !== "granted")
    throw new Error("Notifications are not allowed.");
  const { key } = await getJson("/api/push");
  const made = await (await registration()).pushManager.subscribe({
    userVisibleOnly: true,
    applicationServerKey: key,
  });
  const { endpoint, keys } = made.toJSON();
  await send("POST", "/api/push", {
    by,
    subscription: { endpoint, keys: { p256dh: keys.p256dh, auth: keys.auth } },
  });
}

/** End the subscription, here and at the server. */
async function unsubscribe() {
  const held = await subscription();
  if (!held) return;
  await send("DELETE", `/api/push?endpoint=${encodeURIComponent(held.endpoint)}`);
  await held.unsubscribe();
}

/** The part of the settings that turns it on and off. */
export function pushChoice(session) {
  const told = h("span", { class: "feedback", role: "status" });
  const box = h("input", { type: "checkbox", disabled: true });
  const tell = (text, phase = "") => {
    setText(told, text);
    told.dataset.phase = phase;
  };
  const show = async () => {
    const why = hindrance();
    if (why) {
      tell(why);
      return;
    }
    box.checked = (await subscription()) !== null;
    box.disabled = false;
  };
  box.addEventListener("change", async () => {
    const wanted = box.checked;
    box.disabled = true;
    tell(wanted ? "Registering …" : "Ending …", "sent");
    try {
      const by = wanted ? await session.named() : "";
      if (wanted && !by) tell("");
      else if (wanted) {
        await subscribe(by);
        tell(`Registered as ${by}.`, "done");
      } else {
        await unsubscribe();
        tell("Ended.", "done");
      }
    } catch (refused) {
      tell(refused.message, "failed");
    }
    await show();
  });
  show();
  return h(
    "fieldset",
    {},
    h("legend", {}, "Alarms on this device"),
    h("label", {}, box, " Tell me also when no page is open"),
    told,
    h("p", { class: "none" }, "Who is told of which alarms is set in the notifications file."),
  );
}
