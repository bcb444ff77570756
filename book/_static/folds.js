// Folds: a link that leads into a closed one opens it, and print opens all. Each opens without a script.
const openFoldsAround = (part) => {
  for (let inner = part; inner; inner = inner.parentElement) {
    if (inner.matches("details")) inner.open = true;
    if (inner.matches(".toggle-hidden")) inner.querySelector(".toggle-button").click();
  }
};

const openTarget = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target?.parentElement.closest("details:not([open]), .toggle-hidden")) return;
  openFoldsAround(target);
  target.scrollIntoView();
};

addEventListener("hashchange", openTarget);
document.addEventListener("click", ({ target }) => {
  const { hash } = target.closest?.("a[href*='#']") ?? {};
  if (hash && hash === location.hash) openTarget(); // the same link once more, after the fold was closed
});
addEventListener("load", openTarget); // when other scripts have folded what they fold

let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("article details:not([open])")];
  for (const fold of opened) fold.open = true;
});
addEventListener("afterprint", () => {
  for (const fold of opened) fold.open = false;
});
