// Makes the page installable and shows what is pushed. It caches nothing: an old page of a monitor would lie. Without a connection it says so.

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  if (event.request.mode !== "navigate") return;
  const offline =
    '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>ecgwatch</title><h1>No connection</h1><p>The monitor does not answer. This page shows nothing until it does: look at the patient.</p><p><a href="">Try again</a></p></html>';
  event.respondWith(
    fetch(event.request).catch(
      () => new Response(offline, { status: 503, headers: { "Content-Type": "text/html" } }),
    ),
  );
});

/** An alarm that was pushed; whatever comes is shown, for a browser ends a subscription that shows nothing. */
self.addEventListener("push", (event) => {
  let told = {};
  try {
    told = event.data.json();
  } catch {
    /* not one of ours */
  }
  const { title = "ecgwatch", body = "", url = "", tag = "", urgent = false } = told;
  event.waitUntil(
    self.registration.showNotification(title, {
      body,
      tag,
      renotify: tag !== "",
      requireInteraction: urgent,
      icon: "/static/core/icon-192.png",
      data: { url },
    }),
  );
});

/** Open the alarm's page, in a window that is there or in a new one. The link may name another address of this server: only its path counts. */
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { pathname, search } = new URL(event.notification.data.url || "/", self.location.origin);
  event.waitUntil(
    (async () => {
      const [there] = await self.clients.matchAll({ type: "window" });
      if (!there) return self.clients.openWindow(pathname + search);
      await there.focus();
      return there.navigate(pathname + search);
    })(),
  );
});
