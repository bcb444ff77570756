// MathJax typesets all formulas in one long task, which blocks the page in a chapter with hundreds of them. Here it does
// so in short tasks, with the formulas in the viewport first.
const TASK = 30; // milliseconds; a task of more than 50 counts as long
const FEWEST = 8; // formulas in a task: each task costs a new layout, however few they are

const nextTask = () => new Promise((go) => setTimeout(go));

const distance = (formula) => {
  if (formula.checkVisibility?.() === false) return Infinity; // in a closed <details>
  const { top, bottom } = formula.getBoundingClientRect();
  return Math.max(top - innerHeight, -bottom, 0);
};

window.MathJax.chtml = { adaptiveCSS: false }; // otherwise each task rewrites MathJax's style sheet
window.MathJax.startup = {
  async pageReady() {
    const places = [...document.querySelectorAll(".math")].map((formula) => [distance(formula), formula]);
    const waiting = places.sort(([one], [other]) => one - other).map(([, formula]) => formula);
    addEventListener("beforeprint", () => MathJax.typeset(waiting.splice(0)));
    let many = FEWEST;
    await nextTask(); // starting MathJax was a task of its own
    while (waiting.length) {
      const start = performance.now();
      await MathJax.typesetPromise(waiting.splice(0, many));
      many = Math.max(FEWEST, Math.round(Math.min(2, TASK / (performance.now() - start)) * many));
      await nextTask();
    }
  },
};
