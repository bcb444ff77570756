"use strict";
// The fields for answers: what is typed is read and marked by marker.js, and kept by progress.js.
{
  const { data, element, button, ...progress } = GradeProgress;
  const EARLY = 1000; // milliseconds without a key, after which an error is said before the answer is submitted
  const SOON = 120;
  // What may still become a formula is no error before it is submitted.
  const UNFINISHED = new Set(["incomplete", "nothing", "more_opening"]);

  let loaded;
  const marker = () => (loaded ??= GradeMarker.load(GradeLanguage, data.exercises));
  const failed = () => ({ state: "unreadable", ok: false, code: "apology", message: GradeLanguage.sentences.apology, readAs: null });
  const attempt = (action) => {
    try {
      return action();
    } catch {
      return failed();
    }
  };

  // --- what every exercise has: the verdict, hint, solution and progress

  const solutionOf = (place) => {
    let next = place.closest(".exercise")?.nextElementSibling;
    while (next && !next.matches(".solution, .exercise")) next = next.nextElementSibling;
    return next?.matches(".solution") ? next : null;
  };
  const isShown = (solution) => !solution.matches(".toggle-hidden");

  const headOf = ({ state, score, maxScore: most, mistake }) => {
    const { symbol, word } = GradeLanguage.states[state];
    const points = most && (state === "correct" || state === "incorrect") ? ` · ${score} of ${most} point${most === 1 ? "" : "s"}` : "";
    return `${symbol} ${word}${mistake ? " · a known mistake" : ""}${points}`;
  };

  const build = (place) => {
    const id = place.dataset.exercise;
    const field = data.fields[id];
    const number = place.closest(".exercise")?.querySelector(".caption-number")?.textContent.trim().toLowerCase() ?? "";
    const verdict = element("div", { id: `verdict-${id}`, class: "gl-verdict", role: "status" });
    const after = element("div"); // outside of the live region: a button there would be read out with the verdict
    const hint = element("p", { id: `hint-${id}`, class: "gl-hint", hidden: "" }, field.hint);
    const form = element("form", { class: "gl-form", novalidate: "" });
    const solution = solutionOf(place);
    let last = null; // what was submitted last

    const clear = () => {
      verdict.replaceChildren();
      after.replaceChildren();
      delete form.dataset.state;
      input.mark(false);
    };

    const show = (result, again) => {
      form.dataset.state = result.state;
      const message = (again ? "This is the same answer as before. " : "") + result.message;
      verdict.replaceChildren(element("strong", {}, headOf(result)), element("p", {}, message));
      after.replaceChildren();
      if (result.suggestion) {
        after.append(button("", () => {
          input.set(result.suggestion);
          clear();
        }, { class: "gl-suggestion" }));
        after.firstChild.append("Write ", element("code", {}, result.suggestion));
      }
      input.mark(result.state === "unreadable");
      input.read(result.readAs);
    };

    const submit = () => {
      const result = attempt(() => input.result());
      const answer = result.readAs?.text ?? input.text().trim();
      show(result, answer !== "" && answer === last);
      last = answer;
      attempt(() => progress.submitted(id, input.text(), result.state));
    };

    const input = (field.options ? choice : text)({ id, field, number, describedBy: verdict.id, clear });
    const hintButton = button("Hint", () => {
      hint.hidden = !hint.hidden;
      hintButton.setAttribute("aria-expanded", String(!hint.hidden));
    }, { "aria-expanded": "false", "aria-controls": hint.id });
    const help = element("p", { class: "gl-help" }, hintButton);
    if (solution) {
      const toggle = () => solution.querySelector("summary, .toggle-button");
      help.append(button("Solution", () => {
        if (!isShown(solution)) toggle()?.click();
        attempt(() => progress.sawSolution(id));
        solution.scrollIntoView({ block: "nearest" });
        toggle()?.focus({ preventScroll: true });
      }));
      solution.addEventListener("click", () => setTimeout(() => {
        if (isShown(solution)) attempt(() => progress.sawSolution(id));
      }));
    }
    const chip = element(data.overview ? "a" : "span", { class: "gl-progress" });
    if (data.overview) chip.href = `${data.overview}#list-${place.closest(".exercise")?.id}`;
    const notice = element("span", { class: "gl-notice" });
    progress.onChange(() => {
      chip.textContent = progress.words(id);
      notice.textContent = progress.isLasting() ? "" : progress.LOST;
    });
    help.append(chip, notice);

    form.append(...input.parts, verdict, after, help, hint);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    place.append(form);

    const kept = progress.read(id);
    chip.textContent = progress.words(id);
    if (kept.text && input.set(kept.text, false)) whenIdle(submit); // marked anew: the exercise may have changed
  };

  const whenIdle = (action) => (globalThis.requestIdleCallback ?? setTimeout)(action);

  // --- a field for a formula

  const PLAIN = { autocapitalize: "none", autocorrect: "off", autocomplete: "off", spellcheck: "false" };

  const text = ({ id, field, number, describedBy, clear }) => {
    const box = element("input", { id: `answer-${id}`, type: "text", "aria-describedby": describedBy, enterkeyhint: "done", ...PLAIN });
    const heard = element("output", { for: box.id });
    const seen = element("span", { class: "gl-formula" });
    const label = element("label", { for: box.id }, field.label ? `Your answer: ${field.label}` : "Your answer");
    label.append(element("span", { class: "gl-alt" }, number ? ` to ${number}` : ""));
    const mark = (invalid) => (invalid ? box.setAttribute("aria-invalid", "true") : box.removeAttribute("aria-invalid"));
    let soon;
    let later;

    const stop = () => {
      clearTimeout(soon);
      clearTimeout(later);
    };
    const read = (readAs) => {
      stop();
      heard.replaceChildren();
      seen.replaceChildren(...(readAs ? ["Read as ", GradeMarker.element(readAs.mathml)] : []));
    };
    const preview = () => {
      const result = attempt(() => marker().preview(id, box.value));
      const isWrong = !result.ok && box.value.trim() !== "" && !UNFINISHED.has(result.code);
      read(result.readAs);
      later = setTimeout(() => {
        if (result.readAs) heard.append(element("span", { class: "gl-alt" }, `Read as ${result.readAs.words}`));
        else if (isWrong) heard.append(result.message);
        mark(isWrong);
      }, EARLY - SOON);
    };
    const changed = () => {
      stop();
      clear();
      read(null);
      soon = setTimeout(preview, SOON);
    };
    box.addEventListener("input", changed);
    box.addEventListener("focus", () => whenIdle(() => attempt(() => marker().prepare(id))), { once: true });

    const insert = (key) => {
      box.setRangeText(key, box.selectionStart, box.selectionEnd, "end");
      box.dispatchEvent(new Event("input", { bubbles: true }));
    };
    // The default of pointerdown would take the focus, and with it the caret and the keyboard of the screen.
    const keys = element("div", { class: "gl-keys", role: "group", "aria-label": "Keys" },
      ...["*", "**", "@", "(", ")", ...field.keys].map((key) => button(key, () => insert(key), { tabindex: "-1" })));
    keys.addEventListener("pointerdown", (event) => event.preventDefault());

    return {
      parts: [
        label,
        element("div", { class: "gl-line" }, box, element("button", { type: "submit" }, "Check")),
        keys,
        element("div", { class: "gl-read" }, heard, seen),
      ],
      text: () => box.value,
      result: () => marker().mark(id, box.value),
      set(value, focus = true) {
        box.value = value;
        if (focus) {
          box.focus();
          preview();
        }
        return true;
      },
      mark,
      read,
    };
  };

  // --- radio buttons for a choice and its reason; the page's text says what the letters mean, a screen reader hears it here

  const choice = ({ id, field, number, describedBy, clear }) => {
    const group = (words, kind, options) => {
      const legend = element("legend", {}, words, element("span", { class: "gl-alt" }, number ? ` in ${number}` : ""));
      return element("fieldset", { "aria-describedby": describedBy }, legend, ...options.map(([key, label, meaning]) =>
        element("label", {},
          element("input", { type: "radio", name: `${kind}-${id}`, value: key, autocomplete: "off" }),
          label, element("span", { class: "gl-alt" }, `: ${meaning}`))));
    };
    const groups = [group("Your choice", "choice", field.options), group("The reason", "reason", field.reasons)];
    const chosen = (fieldset) => [...fieldset.querySelectorAll("input")].findIndex((radio) => radio.checked);
    const keys = () => groups.map((fieldset) => fieldset.querySelector(":checked")?.value);
    const index = (number) => (number < 0 ? null : number);
    for (const fieldset of groups) fieldset.addEventListener("change", clear);

    return {
      parts: [element("div", { class: "gl-line" }, ...groups, element("button", { type: "submit" }, "Check"))],
      text: () => (keys().includes(undefined) ? "" : keys().join(" because ")),
      result: () => marker().markChoice(id, ...groups.map(chosen).map(index)),
      set(value) {
        const radios = value.split(" because ").map((key, i) => groups[i]?.querySelector(`[value="${CSS.escape(key)}"]`));
        if (radios.length !== 2 || radios.includes(null)) return false;
        for (const radio of radios) radio.checked = true;
        return true;
      },
      mark() {},
      read() {},
    };
  };

  for (const place of document.querySelectorAll(".gl-answer")) {
    if (Object.hasOwn(data.fields, place.dataset.exercise)) build(place);
  }
}
