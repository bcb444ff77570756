// Live figures: the values of the sliders select the frame of the SVG to show; a button animates the first slider.
// On a page of the book the other frames wait in a script: a page that was opened as a file may read no other file.
const load = (address) =>
  new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve(globalThis.glFrames[/(\w+)\.js$/.exec(address)[1]]);
    document.head.append(script);
  });

for (const figure of document.querySelectorAll(".gl-live")) {
  const sliders = [...figure.querySelectorAll("input")];
  const [first] = sliders;
  const button = figure.querySelector("button");
  const alt = figure.querySelector(".gl-alt");
  const picture = figure.querySelector("svg");
  const parts = figure.querySelectorAll("[data-frame]");
  const words = figure.querySelectorAll(".gl-words li");
  const { frames } = figure.dataset;
  let complete = !frames;
  let playing;

  const show = () => {
    const number = sliders.reduce((sum, { max, value }) => sum * (Number(max) + 1) + Number(value), 0);
    if (complete) {
      for (const part of parts) {
        const shown = part.dataset.frame.split(" ").includes(String(number));
        part.setAttribute("display", shown ? "inline" : "none");
      }
    }
    for (const slider of sliders) {
      const label = slider.dataset.labels.split("\n")[slider.value];
      slider.nextElementSibling.textContent = label;
      slider.setAttribute("aria-valuetext", `${slider.labels[0].textContent} = ${label}`);
    }
    const { textContent } = words[number];
    picture.setAttribute("aria-label", textContent);
    if (!playing) alt.textContent = textContent; // a live region: announced when paused, not for each frame of an animation
  };

  const pause = () => {
    clearInterval(playing);
    playing = undefined;
    button.textContent = "Play";
    show();
  };

  const step = () => {
    first.stepUp();
    show();
    if (first.value === first.max) pause();
  };

  button.addEventListener("click", () => {
    if (playing) return pause();
    playing = setInterval(step, button.value);
    button.textContent = "Pause";
    if (first.value === first.max) first.value = first.min;
    return show();
  });
  for (const slider of sliders) slider.addEventListener("input", pause);

  if (frames) {
    const near = new IntersectionObserver(
      async ([{ isIntersecting }]) => {
        if (!isIntersecting) return;
        near.disconnect();
        const [definitions, ...contents] = await load(frames);
        const waiting = [...parts].filter((part) => part.getAttribute("display") === "none");
        picture.firstElementChild.insertAdjacentHTML("beforeend", definitions);
        for (const [number, content] of contents.entries()) waiting[number].innerHTML = content;
        complete = true;
        delete figure.dataset.frames;
        show();
      },
      { rootMargin: "100%" },
    );
    near.observe(figure);
  }
}
