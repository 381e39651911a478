// Makes the page installable. It caches nothing: an old page of a monitor would lie. Without a connection it says so.

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
