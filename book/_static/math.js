// Formulas on the clipboard are TeX, in the dollars that Markdown and LaTeX know. The page itself needs no script for them.
"use strict";

const tex = (formula) => {
  const dollars = formula.getAttribute("display") === "block" ? "$$" : "$";
  return dollars + formula.dataset.tex + dollars;
};

document.addEventListener("copy", (event) => {
  const selection = getSelection();
  const box = document.createElement("div");
  for (let i = 0; i < selection.rangeCount; i += 1) {
    const range = selection.getRangeAt(i).cloneRange();
    // Half a formula has no TeX: take the whole one.
    const edge = (node) => (node.nodeType === Node.ELEMENT_NODE ? node : node.parentElement)?.closest("math");
    const [first, last] = [edge(range.startContainer), edge(range.endContainer)];
    if (first) range.setStartBefore(first);
    if (last) range.setEndAfter(last);
    box.append(range.cloneContents());
  }
  if (!box.querySelector("math")) return;
  const html = box.innerHTML;
  for (const formula of box.querySelectorAll("math")) formula.replaceWith(tex(formula));
  box.style.cssText = "position:fixed;opacity:0;white-space:pre-wrap"; // innerText needs a layout to part the lines
  document.body.append(box);
  const text = box.innerText;
  box.remove();
  event.clipboardData.setData("text/plain", text);
  event.clipboardData.setData("text/html", html);
  event.preventDefault();
});

// What scrolls must be within reach of a keyboard, and what does not scroll must not be a stop on its way.
const watch = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
// A table that is laid out only when it comes into sight has its width from then on.
for (const box of document.querySelectorAll(".gl-formula, .pst-scrollable-table-container")) watch.observe(box);
