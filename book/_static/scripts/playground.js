"use strict";
// The playground's page: controls, pictures and words around playground-engine.js. Nothing is trained while the pictures
// are off the screen. The address holds the state, so that it can be linked to.
{
  const { FAMILIES, Learner, stream, normals, sample, start, against, turnTo, folded, principal, isSilent, dot } = GradeEngine;
  const KINDS = [...FAMILIES, "grae"];
  const SLICE = 8; // milliseconds of training in one frame, so that the page stays alive
  const SPEED = 300; // steps a second while it plays
  const ANGLES = Array.from({ length: 31 }, (_, i) => 3 * i - 45);
  const GAP_EVERY = 25; // steps between two points of the curve of the gap
  const NEAR = 6; // degrees within which axes count as the same
  const FLAT = 0.03; // nats below which a turn costs next to nothing
  const STUCK = 0.5; // nats above the best run so far at which a run has ended in a poor minimum
  const NAMES = { full: "Full", diagonal: "Diagonal", isotropic: "Isotropic", grae: "GRAE≈" };
  const DASHES = { full: "", diagonal: "8 3 2 3", isotropic: "2 3", grae: "10 4" };
  const COLOURS = { full: "full", diagonal: "diagonal", isotropic: "isotropic", grae: "learned" };

  const root = document.getElementById("gl-playground");
  const find = (selector) => root.querySelector(selector);
  const findAll = (selector) => [...root.querySelectorAll(selector)];
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  // --- the state: values of the controls, which the address holds

  const controls = new Map(findAll("input[data-key]").map((input) => [input.dataset.key, input]));
  const choices = (input) => input.dataset.values?.split(" ").map(Number);
  const valueOf = (input) => choices(input)?.[input.value] ?? Number(input.value);
  const labelOf = (input) => input.dataset.labels?.split("|")[input.value] ?? `${valueOf(input)}${input.dataset.unit ?? ""}`;
  const state = () => Object.fromEntries([...controls].map(([key, input]) => [key, valueOf(input)]));

  function show(input) {
    input.nextElementSibling.textContent = labelOf(input);
    input.setAttribute("aria-valuetext", labelOf(input));
  }

  function put(input, value) {
    input.value = choices(input)?.indexOf(value) ?? value;
    show(input);
  }

  const allows = (input, value) =>
    choices(input)?.includes(value) ?? (Number.isInteger(value) && value >= Number(input.min) && value <= Number(input.max));

  // Sets the controls to a text such as "beta=4&noise=0.5", the others to their defaults; returns what it could not use.
  function read(text) {
    const asked = new URLSearchParams(text);
    const refused = [];
    for (const [key, input] of controls) {
      const value = asked.has(key) && asked.get(key) !== "" ? Number(asked.get(key)) : null;
      const usable = value !== null && allows(input, value);
      if (asked.has(key) && !usable) refused.push(`${input.labels[0].textContent} = ${asked.get(key).slice(0, 20)}`);
      put(input, usable ? value : Number(input.dataset.default));
    }
    return refused;
  }

  let writing;
  function write() {
    clearTimeout(writing);
    writing = setTimeout(() => {
      const changed = [...controls].filter(([, input]) => valueOf(input) !== Number(input.dataset.default));
      const text = new URLSearchParams(changed.map(([key, input]) => [key, valueOf(input)])).toString();
      history.replaceState(null, "", `#${text || "defaults="}`);
    }, 300);
  }

  // --- a run: the four models on one data set, from one start, with one noise

  let run;
  let ended = []; // where the runs of this session with these settings ended: one object of angles by family a run
  let least = {}; // the least losses of them, by which a poor minimum is known

  function fresh() {
    const settings = state();
    const data = sample(settings);
    const from = start(settings.start);
    const noise = stream("noise", settings.start);
    const learners = KINDS.map((kind) => new Learner(kind, from, settings));
    run = { settings, data, learners, noise, gaps: [], broken: false, looked: null };
  }

  function step() {
    const { learners, data, noise, settings } = run;
    if (learners[0].count % GAP_EVERY === 0) run.gaps.push(learners[3].judged(data.x).loss - learners[1].judged(data.x).loss);
    const eps = normals(2 * settings.examples, noise);
    if (!learners.every((learner) => Number.isFinite(learner.step(data.x, eps)))) run.broken = true;
  }

  const isOver = () => run.broken || run.learners[0].done;

  // What the pictures show of a run, worked out when they are drawn.
  function look(withCurves) {
    const { learners, data } = run;
    const before = run.looked;
    run.looked = learners.map((learner, i) => {
      const place = against(learner.A, data.W);
      const turns = ANGLES.map((angle) => turnTo(place, angle));
      const curve = withCurves || !before ? learner.turnedLosses(data.x, turns) : before[i].curve;
      return { family: learner.family, learner, ...learner.judged(data.x), ...place, curve, silent: isSilent(learner.A) };
    });
  }

  // --- pictures: SVG of 200 units

  const number = (value) => (Number.isFinite(value) ? value.toFixed(1) : "0");
  const path = (points, attributes = "") => `<path d="M${points.map((point) => point.map(number).join(" ")).join("L")}" ${attributes}/>`;
  const colour = (family) => `var(--gl-${COLOURS[family]})`;
  const draw = (svg, parts) => (svg.innerHTML = parts.join(""));

  // The coordinates of a vector of pixels in the plane of W's columns.
  const inPlane = (vector) => run.data.axes.map((axis) => dot(axis, vector));
  const column = (A, i) => A.filter((_, k) => k % 2 === i);
  const circle = Array.from({ length: 61 }, (_, i) => [Math.cos(i * Math.PI / 30), Math.sin(i * Math.PI / 30)]);

  function arrow([x, y], [u, v], attributes) {
    const size = Math.hypot(u, v) || 1;
    const barb = Math.min(9, size / 3);
    const [a, b] = [barb * u / size, barb * v / size];
    const tip = [x + u, y + v];
    const barbs = [[tip[0] - a - b / 2, tip[1] - b + a / 2], tip, [tip[0] - a + b / 2, tip[1] - b - a / 2]];
    return path([[x, y], tip], attributes) + (size > 6 ? path(barbs, attributes) : "");
  }

  // The columns of A in the plane of W: on the ellipse lie those of all twins of W.
  function drawColumns(svg, { family, learner }) {
    const { long, short } = run.settings;
    const scale = 88 / (1.15 * Math.max(long, short));
    const at = ([u, v]) => [100 + scale * u, 100 - scale * v];
    const both = (A, attributes) => [0, 1].map((i) => {
      const [u, v] = inPlane(column(A, i));
      return path([at([-u, -v]), at([u, v])], attributes);
    });
    const arrows = [0, 1].map((i) => {
      const [u, v] = inPlane(column(learner.A, i));
      return arrow([100, 100], [scale * u, -scale * v], `stroke="${colour(family)}" stroke-width="3.5"`);
    });
    draw(svg, [
      path(circle.map(([c, s]) => at([long * c, short * s])), 'stroke="var(--gl-faint)" stroke-width="2"'),
      ...both(run.data.W, 'stroke="var(--gl-ink)" stroke-width="2.5" stroke-dasharray="7 6"'),
      ...both(learner.A, `stroke="${colour(family)}" stroke-width="1.5"`),
      ...arrows,
    ]);
  }

  // The ellipse of q, and that of the q which this decoder would like best if Σ were free, at one standard deviation.
  function drawEllipses(svg, { family, S, free }, reach) {
    const ellipse = (matrix, attributes) => {
      const { lengths: [long, short], angle } = principal(matrix);
      const [c, s] = [Math.cos(angle * Math.PI / 180), Math.sin(angle * Math.PI / 180)];
      const scale = 85 / reach;
      return path(circle.map(([u, v]) => [100 + scale * (long * u * c - short * v * s), 100 - scale * (long * u * s + short * v * c)]), attributes);
    };
    draw(svg, [
      path([[5, 100], [195, 100]], 'stroke="var(--gl-faint)" stroke-width="1.5"'),
      path([[100, 5], [100, 195]], 'stroke="var(--gl-faint)" stroke-width="1.5"'),
      ellipse(S, `stroke="${colour(family)}" stroke-width="3" fill="${colour(family)}" fill-opacity="0.2"`),
      ellipse(free.S, 'stroke="var(--gl-ink)" stroke-width="2" stroke-dasharray="6 5"'),
    ]);
  }

  // The loss of the model turned to each angle, a dot where the model is, and a tick where each run has ended.
  function drawAngles(svg, { family, angle, curve, loss }, height) {
    const least = Math.min(...curve);
    const at = (degrees, value) => [100 + degrees * 95 / 45, 105 - 95 * Math.min(1, (value - least) / height)];
    const ticks = ended.map((places) => {
      const [across] = at(places[family], least);
      return path([[across, 118], [across, 138]], `stroke="${colour(family)}" stroke-width="2.5"`);
    });
    const [x, y] = at(angle, loss);
    draw(svg, [
      path([[100, 5], [100, 140]], 'stroke="var(--gl-ink)" stroke-width="2" stroke-dasharray="7 6"'),
      path([[5, 111.5], [195, 111.5]], 'stroke="var(--gl-faint)" stroke-width="1.5"'),
      path(ANGLES.map((degrees, i) => at(degrees, curve[i])), `stroke="${colour(family)}" stroke-width="3"`),
      ...ticks,
      `<circle cx="${number(x)}" cy="${number(y)}" r="7" fill="${colour(family)}" stroke="var(--gl-paper)" stroke-width="2"/>`,
    ]);
  }

  // Losses against steps. The scale is linear near 0 and logarithmic far from it.
  function drawLosses(svg, lines, unit = 1) {
    const { steps } = run.learners[0];
    const squeeze = (loss) => Math.sign(loss) * Math.log10(1 + Math.abs(loss) / unit);
    const shown = lines.flatMap(({ losses }) => losses).filter(Number.isFinite).map(squeeze);
    const [low, high] = [Math.min(0, ...shown) - 0.15, Math.max(1, ...shown)];
    const x = (at) => 50 + at * 525 / steps;
    const y = (value) => 165 - 155 * (value - low) / (high - low);
    const ticks = [-100, -10, -1, -0.1, 0, 0.1, 1, 10, 100, 1000, 10000].filter((tick) => Math.abs(tick) !== unit && (tick === 0 || Math.abs(tick) > unit))
      .filter((tick) => squeeze(tick) >= low && squeeze(tick) <= high);
    draw(svg, [
      ...ticks.map((tick) => path([[50, y(squeeze(tick))], [575, y(squeeze(tick))]], 'stroke="var(--gl-faint)" stroke-width="1"')
        + `<text x="44" y="${number(y(squeeze(tick)) + 5)}" text-anchor="end">${tick}</text>`),
      ...[0, 500, 1000, 1500].map((at) => `<text x="${x(at)}" y="186" text-anchor="middle">${at}</text>`),
      ...lines.map(({ family, losses, every, dashes }) => {
        const points = losses.map((loss, i) => [x(i * every), y(squeeze(loss))]);
        return points.length > 1 ? path(points, `stroke="${colour(family)}" stroke-width="2" stroke-dasharray="${dashes ?? DASHES[family]}"`) : "";
      }),
    ]);
  }

  // About 150 points of the losses of a run.
  function thinned(learner) {
    const every = Math.max(1, Math.ceil(learner.losses.length / 150));
    return { family: learner.family, every, losses: learner.losses.filter((_, i) => i % every === 0) };
  }

  // g(h(x)) of some examples in the plane of W, with the two columns of the decoder's Jacobian there.
  function drawJacobian(svg, { family, learner }) {
    const { x } = run.data;
    const seenAt = Array.from({ length: 14 }, (_, i) => learner.jacobian(x, i));
    const points = seenAt.map(({ g }) => inPlane(g));
    const arrows = seenAt.map(({ columns }) => columns.map(inPlane));
    const scale = 62 / Math.max(...points.flat().map(Math.abs), 1e-9);
    const length = 34 / Math.max(...arrows.flat().map(([u, v]) => Math.hypot(u, v)), 1e-9);
    draw(svg, points.flatMap(([u, v], i) => {
      const from = [100 + scale * u, 100 - scale * v];
      const attributes = `stroke="${colour(family)}" stroke-width="2"`;
      return [
        ...arrows[i].map(([a, b]) => arrow(from, [length * a, -length * b], attributes)),
        `<circle cx="${number(from[0])}" cy="${number(from[1])}" r="3" fill="var(--gl-ink)"/>`,
      ];
    }));
  }

  const picture = (name, family) => find(`svg[data-picture="${name}"][data-family="${family}"]`);

  function render() {
    const [families, grae] = [run.looked.slice(0, 3), run.looked[3]];
    const reach = Math.max(...families.flatMap(({ S, free }) => [S, free.S].map((matrix) => principal(matrix).lengths[0])));
    const height = Math.max(0.05, ...families.map(({ curve }) => Math.max(...curve) - Math.min(...curve)));
    for (const each of families) {
      drawColumns(picture("columns", each.family), each);
      drawEllipses(picture("ellipses", each.family), each, reach);
      drawAngles(picture("angles", each.family), each, height);
    }
    drawLosses(find('svg[data-picture="losses"]'), run.learners.slice(0, 3).map(thinned));
    for (const each of [run.looked[1], grae]) drawJacobian(picture("jacobian", each.family), each);
    drawLosses(find('svg[data-picture="gap"]'), [{ family: "grae", losses: run.gaps, every: GAP_EVERY }], 0.01);
    table();
  }

  // --- numbers and words

  const degrees = (angle) => `${Math.abs(angle).toFixed(1)}°`;
  const nats = (value) => value.toFixed(3).replace(/^-(0\.0+)$/, "$1");
  const price = ({ curve }) => Math.max(...curve) - Math.min(...curve);

  // The width of the smallest arc, of a circle of 90 degrees, that holds all angles.
  function spread(angles) {
    const sorted = angles.map((angle) => angle + 45).sort((a, b) => a - b);
    const gaps = sorted.map((angle, i) => (i + 1 < sorted.length ? sorted[i + 1] : sorted[0] + 90) - angle);
    return 90 - Math.max(...gaps);
  }

  function table() {
    for (const each of run.looked) {
      const cells = find(`tr[data-family="${each.family}"]`).cells;
      const angles = ended.map((places) => places[each.family]);
      cells[1].textContent = nats(each.loss);
      cells[2].textContent = degrees(each.angle);
      cells[3].textContent = nats(price(each));
      cells[4].textContent = angles.length > 1 ? `${angles.length}, within ${spread(angles).toFixed(1)}°` : String(angles.length);
    }
    find("[data-step]").textContent = `${run.learners[0].count} of ${run.learners[0].steps}`;
  }

  // The full and the diagonal family can reach the same loss; the others are compared with themselves.
  const rivals = (family) => (family === "diagonal" ? "full" : family);

  // A sentence on where a family has ended; says plainly where its axes are not those of W.
  function verdict(each) {
    const name = NAMES[each.family];
    const off = degrees(each.angle);
    const toGo = each.loss - Math.min(...each.curve);
    const above = each.loss - least[rivals(each.family)];
    if (above > STUCK) {
      return `${name}: stuck in a poor minimum, ${nats(above)} nats above the best one known. Its axes are not to be trusted. Try another start.`;
    }
    if (each.family === "full" || each.family === "isotropic") {
      const silence = each.silent ? "one direction has gone silent, " : "";
      return `${name}: ${silence}its axes stopped ${off} from those of W. Turned by any angle it has the same loss, so they are an accident of the start.`;
    }
    if (each.silent) {
      return `${name}: one direction has gone silent, and its q is the prior. What is left is ${off} from an axis of W.`;
    }
    if (price(each) < FLAT) {
      return `${name}: its axes are not to be trusted. They are ${off} from those of W, and any other angle costs less than ${FLAT} nats.`;
    }
    if (toGo > FLAT) {
      const lowest = ANGLES[each.curve.indexOf(Math.min(...each.curve))];
      return `${name}: has not finished turning. Its axes are ${off} from those of W, and at ${lowest}° the loss would be ${nats(toGo)} nats lower.`;
    }
    return Math.abs(each.angle) <= NEAR ? `${name}: its axes are near those of W, ${off} off.`
      : `${name}: its axes are not those of W, but ${off} off, although a turn away from them costs up to ${nats(price(each))} nats.`;
  }

  function words() {
    if (run.broken) return ["The training diverged: a loss stopped being a number. Go back to the defaults."];
    const [full, diagonal, isotropic, grae] = run.looked;
    const said = [full, diagonal, isotropic].map(verdict);
    if (run.settings.turn) said.push(`The W to compare with is turned by ${run.settings.turn}°. Its data are the same, pixel by pixel, as those of the straight W.`);
    if (ended.length > 1) {
      const [all, few] = ["full", "diagonal"].map((family) => spread(ended.map((places) => places[family])).toFixed(1));
      said.push(`In ${ended.length} runs from other starts the diagonal family ended within ${few}° of one system of axes, the full one within ${all}°.`);
    }
    const gap = grae.loss - diagonal.loss;
    said.push(`GRAE≈ ends ${nats(Math.abs(gap))} nats ${gap < 0 ? "below" : "above"} the diagonal β-VAE by the β-VAE's own loss. Their axes are ${degrees(folded(grae.angle - diagonal.angle))} apart.`);
    return said;
  }

  const said = find("[data-words]");
  const say = (sentences) => said.replaceChildren(...sentences.map((sentence) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = sentence;
    return paragraph;
  }));

  // --- time: training goes on in the frames of the browser while the pictures can be seen

  let mode = "paused"; // paused, playing, or hurrying to the end of `queue` further runs
  let queue = 0;
  let seen = false;
  let frame = null;
  let [last, owed, drawn] = [0, 0, 0];
  const playButton = find('button[data-do="play"]');

  function setMode(next) {
    mode = next;
    root.dataset.mode = mode;
    playButton.textContent = mode === "playing" ? "Pause" : "Play";
    root.setAttribute("aria-busy", String(mode === "hurrying"));
    if (mode === "paused") cancelAnimationFrame(frame ?? 0);
    if (mode === "paused") frame = null;
    else wake();
  }

  function wake() {
    if (!seen || mode === "paused" || frame !== null) return;
    [last, owed] = [performance.now(), 0];
    frame = requestAnimationFrame(tick);
  }

  function tick(now) {
    frame = null;
    if (!seen || mode === "paused") return;
    owed = Math.min(owed + SPEED * Math.max(0, now - last) / 1000, SPEED / 10); // after a pause of the tab nothing is made up for
    last = now;
    const until = performance.now() + SLICE;
    while (!isOver() && (mode === "hurrying" || owed >= 1) && performance.now() < until) {
      step();
      owed -= 1;
    }
    if (isOver()) return finish();
    if (mode === "playing") {
      const withCurves = now - drawn > 200;
      look(withCurves);
      if (withCurves) drawn = now;
      render();
    }
    frame = requestAnimationFrame(tick);
  }

  function finish() {
    if (!run.broken) {
      look(true);
      ended.push(Object.fromEntries(run.looked.map(({ family, angle }) => [family, angle])));
      for (const { family, loss } of run.looked) least[rivals(family)] = Math.min(least[rivals(family)] ?? Infinity, loss);
    }
    if (!run.broken && queue > 0) {
      queue--;
      nextStart();
      count();
      setMode("hurrying");
      return;
    }
    queue = 0;
    setMode("paused");
    if (!run.broken) render();
    say(words());
    playButton.textContent = "Play again";
  }

  // While runs hurry by only the tally moves.
  function count() {
    find("[data-step]").textContent = `${ended.length} runs done, ${queue + 1} to go`;
  }

  function nextStart() {
    const input = controls.get("start");
    put(input, (valueOf(input) + 1) % (Number(input.max) + 1));
    write();
    fresh();
  }

  function pause() {
    queue = 0;
    const moved = mode !== "paused";
    setMode("paused");
    if (moved && !run.broken) {
      look(true);
      render();
      say([`Paused after ${run.learners[0].count} steps.`, ...FAMILIES.map((family, i) =>
        `${NAMES[family]}: loss ${nats(run.looked[i].loss)}, axes ${degrees(run.looked[i].angle)} from those of W.`)]);
    }
  }

  // A changed setting or a preset: a new run, shown from its beginning or at its end.
  function changed(to) {
    pause();
    ended = [];
    least = {};
    fresh();
    look(true);
    render();
    said.replaceChildren();
    setMode(to);
  }

  // The run that is there before anything was pressed is not announced.
  const listen = () => said.setAttribute("aria-live", "polite");
  root.addEventListener("click", listen);
  root.addEventListener("input", listen);

  const play = () => setMode(calm.matches ? "hurrying" : "playing");
  const actions = {
    play() {
      if (mode !== "paused") return pause();
      if (isOver()) fresh();
      return play();
    },
    step() {
      pause();
      if (isOver()) fresh();
      step();
      if (isOver()) return finish();
      look(true);
      return render();
    },
    again() {
      pause();
      nextStart();
      play();
    },
    ten() {
      pause();
      nextStart();
      queue = 9;
      setMode("hurrying");
    },
    defaults() {
      read("");
      write();
      changed("hurrying");
    },
  };
  for (const button of findAll("button[data-do]")) button.addEventListener("click", () => actions[button.dataset.do]());
  for (const button of findAll("button[data-state]")) {
    button.addEventListener("click", () => {
      read(button.dataset.state);
      write();
      changed("paused");
      play();
      find("[data-run]").scrollIntoView({ behavior: calm.matches ? "auto" : "smooth" });
      playButton.focus({ preventScroll: true });
    });
  }
  for (const input of controls.values()) {
    input.addEventListener("input", () => {
      show(input);
      write();
      if (input.dataset.key === "start") {
        pause();
        fresh();
        return setMode("hurrying");
      }
      return changed("hurrying");
    });
  }

  function readAddress() {
    if (!location.hash.includes("=")) return false;
    const refused = read(location.hash.slice(1));
    find("[data-refused]").textContent = refused.length === 0 ? ""
      : `The address asks for ${refused.join(" and ")}, which this page does not offer; the default stands in its place.`;
    return true;
  }
  addEventListener("hashchange", () => readAddress() && changed("hurrying"));

  if (!readAddress()) read("");
  fresh();
  new IntersectionObserver((entries) => {
    seen = entries.some((entry) => entry.isIntersecting);
    if (seen) wake();
  }).observe(find("[data-run]"));
  setMode("hurrying");
}
