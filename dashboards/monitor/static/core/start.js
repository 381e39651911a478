// Loads the page's modules. One that is lost on the way (a network that changes just then) leaves nothing to look at: say so and load again.

const AGAIN_MS = 1500;

import("/static/core/app.js").catch((problem) => {
  document.getElementById("view").textContent =
    `The page could not be loaded (${problem.message}). Trying again …`;
  setTimeout(() => location.reload(), AGAIN_MS);
});
