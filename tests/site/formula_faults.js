// The body of a function: what is wrong with the layout of the formulas on a page, as [TeX, what is wrong].
// Pixels that boxes may overlap: they are rounded, a slanted letter leans over its box, and a `\\!` draws parts together.
const SLACK = 3.5;
const TOKENS = "mi, mn, mo, mtext";
const INVISIBLE = /^[\s\u2061-\u2064\u200b\u200c]*$/; // blanks, and operators that are only heard
const faults = [];

const box = (element) => element.getBoundingClientRect();
const isShown = (element) => element.checkVisibility() && !element.closest("mphantom");
const overlap = (one, other) =>
  Math.min(
    Math.min(one.right, other.right) - Math.max(one.left, other.left),
    Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top),
  );
// A wide formula scrolls in a frame, which knows how wide it is. Firefox gives a formula in a line the height of the
// line, however high its parts are, so they count, too.
const placeOf = (formula) => {
  const boxes = [formula, ...formula.children].filter((part) => part === formula || isShown(part)).map(box);
  const [left, top] = ["left", "top"].map((side) => Math.min(...boxes.map((one) => one[side])));
  const [right, bottom] = ["right", "bottom"].map((side) => Math.max(...boxes.map((one) => one[side])));
  const frame = formula.closest(".gl-formula");
  const end = frame ? Math.max(right, left + frame.scrollWidth) : right;
  return { left, right: end, top, bottom, width: right - left, height: bottom - top };
};
const texOf = (formula) => formula.dataset.tex ?? formula.textContent;
const say = (formula, fault) => faults.push([texOf(formula), fault]);

// Parts that stand beside or above each other, of the elements that lay out their children so.
const PARTS = "mrow, mstyle, mtd, mtr, mtable, mfrac, math";
const partsOf = (element) =>
  [...element.children].filter((part) => isShown(part) && !part.matches("mspace") && !INVISIBLE.test(part.textContent));

const formulas = [...document.querySelectorAll("article math")].filter(isShown);
for (const formula of formulas) {
  if (formula.querySelector("merror")) say(formula, "is an error");
  const around = placeOf(formula);
  if (!(around.width > 0 && around.height > 0)) say(formula, "has no size");
  for (const token of formula.querySelectorAll(TOKENS)) {
    if (!isShown(token) || INVISIBLE.test(token.textContent)) continue;
    const { width, height, left, right, top, bottom } = box(token);
    if (!(width > 0 && height > 0)) say(formula, `${token.textContent} has no size`);
    const out = Math.max(around.left - left, right - around.right, around.top - top, bottom - around.bottom);
    if (out > SLACK) say(formula, `${token.textContent} sticks out by ${out.toFixed(1)}`);
  }
  for (const element of [formula, ...formula.querySelectorAll(PARTS)]) {
    const parts = partsOf(element);
    parts.slice(1).forEach((part, index) => {
      const by = overlap(box(parts[index]), box(part));
      if (by > SLACK) say(formula, `${parts[index].textContent} and ${part.textContent} overlap by ${by.toFixed(1)}`);
    });
  }
}

// What stands around a formula: words, other formulas, the numbers of equations.
const neighbours = [];
const walker = document.createTreeWalker(document.querySelector("article"), NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const { currentNode: text } = walker;
  if (!text.data.trim() || text.parentElement.closest("math, svg, script, style") || !isShown(text.parentElement)) continue;
  if (text.parentElement.closest(".visually-hidden, .sr-only")) continue;
  const range = document.createRange();
  range.selectNodeContents(text);
  const size = parseFloat(getComputedStyle(text.parentElement).fontSize);
  for (const { left, right, top, bottom } of range.getClientRects()) {
    // Of the height of a line only that of its letters.
    const middle = (top + bottom) / 2;
    neighbours.push({ words: text.data.trim(), left, right, top: middle - size / 2, bottom: middle + size / 2 });
  }
}
const seen = formulas.map((formula) => {
  const { left, right, top, bottom } = box(formula);
  const frame = formula.closest(".gl-formula");
  if (!frame) return { formula, left, right, top, bottom };
  const { left: least, right: most } = box(frame); // a wide formula scrolls in its frame
  return { formula, left: Math.max(left, least), right: Math.min(right, most), top, bottom };
});
seen.forEach((one, index) => {
  for (const other of [...neighbours, ...seen.slice(index + 1)]) {
    const by = overlap(one, other);
    if (by > SLACK) say(one.formula, `overlaps “${(other.words ?? texOf(other.formula)).slice(0, 40)}” by ${by.toFixed(1)}`);
  }
});
return [formulas.length, faults];
