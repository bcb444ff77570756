// MathJax would set all formulas in one go, and a chapter with hundreds of them would not answer meanwhile. Here it sets
// some at a time, those on the screen first, and lets the page live in between.
const STEP = 30; // milliseconds; below 50 nobody feels a page wait
const FEWEST = 8; // formulas in a step: each step costs a new layout, however few they are

const pause = () => new Promise((go) => setTimeout(go));

const distance = (formula) => {
  if (formula.checkVisibility?.() === false) return Infinity; // folded away
  const { top, bottom } = formula.getBoundingClientRect();
  return Math.max(top - innerHeight, -bottom, 0);
};

window.MathJax.chtml = { adaptiveCSS: false }; // otherwise each step rewrites MathJax's style sheet
window.MathJax.startup = {
  async pageReady() {
    const places = [...document.querySelectorAll(".math")].map((formula) => [distance(formula), formula]);
    const waiting = places.sort(([one], [other]) => one - other).map(([, formula]) => formula);
    addEventListener("beforeprint", () => MathJax.typeset(waiting.splice(0)));
    let many = FEWEST;
    await pause(); // MathJax has been busy with its own start
    while (waiting.length) {
      const start = performance.now();
      await MathJax.typesetPromise(waiting.splice(0, many));
      many = Math.max(FEWEST, Math.round(Math.min(2, STEP / (performance.now() - start)) * many));
      await pause();
    }
  },
};
