// Live figures on the page: the slider's number is the number of the frame to show.
for (const figure of document.querySelectorAll(".gl-live")) {
  const slider = figure.querySelector("input");
  const value = figure.querySelector("output");
  const alt = figure.querySelector(".gl-alt");
  const picture = figure.querySelector("svg");
  const parts = figure.querySelectorAll("[data-frame]");
  const words = figure.querySelectorAll(".gl-words li");
  slider.addEventListener("input", () => {
    for (const part of parts) {
      const shown = part.dataset.frame.split(" ").includes(slider.value);
      part.setAttribute("display", shown ? "inline" : "none");
    }
    const { dataset, textContent } = words[slider.value];
    value.textContent = dataset.label;
    alt.textContent = textContent;
    picture.setAttribute("aria-label", textContent);
    slider.setAttribute("aria-valuetext", `${figure.querySelector("label").textContent} = ${dataset.label}`);
  });
}
