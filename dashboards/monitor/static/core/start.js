// Loads the page's modules. If one fails to load (the network changes at that moment), the page stays empty: say so and load again.

const AGAIN_MS = 1500;

import("/static/core/app.js").catch((problem) => {
  document.getElementById("view").textContent =
    `The page could not be loaded (${problem.message}). Trying again …`;
  setTimeout(() => location.reload(), AGAIN_MS);
});
