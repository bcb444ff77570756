"use strict";
// What the reader has solved. It is kept in this browser alone, one entry of localStorage for each exercise, and shown
// beside the links in lists of exercises and of chapters.
globalThis.GradeProgress = (() => {
  const SCHEMA = 1;
  const MAX_IMPORT = 1e6; // characters
  const data = JSON.parse(document.getElementById("gl-exercises").textContent);
  const prefix = `${data.book}/v${SCHEMA}/`;
  const WORDS = {
    solved: "✓ solved",
    changed: "↻ solved; the exercise has changed since",
    seen: "◐ solution seen",
    tried: "… tried",
    open: "○ not tried",
  };

  const chips = []; // functions that show the state anew
  const announce = () => chips.forEach((show) => show());

  // --- the store: localStorage, or the memory of this page where a browser refuses it

  let lasts = true; // whether the browser keeps what is stored
  const memory = new Map();
  const inMemory = {
    keys: () => [...memory.keys()],
    get: (key) => memory.get(key) ?? null,
    set: (key, value) => void memory.set(key, value),
    remove: (key) => void memory.delete(key),
  };

  // Any use of localStorage may throw: it is full, or was switched off since.
  const inBrowser = (storage) => {
    const attempt = (action, otherwise) => {
      try {
        return action();
      } catch {
        lasts = false;
        return otherwise;
      }
    };
    return {
      keys: () => attempt(() => Array.from({ length: storage.length }, (_, i) => storage.key(i)), []).concat(inMemory.keys()),
      get: (key) => memory.get(key) ?? attempt(() => storage.getItem(key), null),
      set(key, value) {
        memory.set(key, value);
        attempt(() => {
          storage.setItem(key, value);
          if (storage.getItem(key) === value) memory.delete(key);
        });
      },
      remove(key) {
        memory.delete(key);
        attempt(() => storage.removeItem(key));
      },
    };
  };

  const store = (() => {
    try {
      const storage = globalThis.localStorage;
      storage.setItem(`${prefix}_probe`, "1");
      storage.removeItem(`${prefix}_probe`);
      return inBrowser(storage);
    } catch {
      lasts = false;
      return inMemory;
    }
  })();

  // --- a record: what is kept of one exercise

  const parsed = (text) => {
    try {
      return JSON.parse(text);
    } catch {
      return null;
    }
  };
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  const isNewer = (value) => isObject(value) && value.schema > SCHEMA;
  const string = (value, most) => (typeof value === "string" ? value.slice(0, most) : "");

  // The known fields alone, each of its type; null for anything else.
  const record = (value) => isObject(value) && !isNewer(value)
    ? {
      schema: SCHEMA,
      text: string(value.text, 1000),
      revision: string(value.revision, 64),
      solved: value.solved === true,
      tried: value.tried === true,
      seen: value.seen === true,
    }
    : null;

  const NONE = record({});
  const read = (id) => record(parsed(store.get(prefix + id))) ?? NONE;

  // Read again first: another tab may have written. What a newer edition of the book has stored stays as it is.
  const update = (id, change) => {
    if (isNewer(parsed(store.get(prefix + id)))) return;
    store.set(prefix + id, JSON.stringify({ ...read(id), ...change(read(id)) }));
    announce();
  };

  const rank = ({ solved, tried, text }) => (solved ? 3 : tried ? 2 : text ? 1 : 0);
  const better = (mine, other) => ({
    ...(rank(other) > rank(mine) ? other : mine),
    seen: mine.seen || other.seen,
    tried: mine.tried || other.tried,
  });

  // What was submitted. An exercise once solved stays solved, with the answer that solved it.
  const submitted = (id, text, state) => update(id, (old) => {
    const revision = revisions.get(id);
    if (state === "correct") return { text, revision, solved: true, tried: true };
    if (old.solved && old.revision === revision) return {};
    return { text, revision, solved: false, tried: old.tried || state === "incorrect" || state === "undecided" };
  });
  const sawSolution = (id) => update(id, (old) => ({ seen: old.seen || !old.solved }));

  const status = (id) => {
    const { solved, seen, tried, revision } = read(id);
    if (solved) return revision === revisions.get(id) ? "solved" : "changed";
    return seen ? "seen" : tried ? "tried" : "open";
  };

  // --- the exercises of this page

  const pages = Object.entries(data.pages);
  const answers = pages.flatMap(([page, ids]) => Object.entries(ids).map(([id, [anchor, revision]]) => ({ page, id, anchor, revision })));
  const revisions = new Map(answers.map(({ id, revision }) => [id, revision]));
  const marked = answers.filter(({ revision }) => revision);

  // --- moving it

  const isId = (text) => /^[a-z0-9][a-z0-9-]{0,99}$/.test(text);
  const exported = () => {
    const ids = store.keys().filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
    const stored = [...new Set(ids.filter(isId))].sort().map((id) => [id, record(parsed(store.get(prefix + id)))]);
    const exercises = Object.fromEntries(stored.filter(([, kept]) => kept));
    return JSON.stringify({ book: data.book, schema: SCHEMA, exported: new Date().toISOString(), exercises }, null, 1);
  };

  // Merges; the answer is a sentence. Ids that this edition does not know are kept: another one may.
  const imported = (text) => {
    const given = text.length <= MAX_IMPORT ? parsed(text) : null;
    if (!isObject(given) || !isObject(given.exercises)) return "This is not the progress of a reader: nothing was changed.";
    if (given.book !== data.book) return "This is the progress in another book: nothing was changed.";
    if (given.schema > SCHEMA) return "This was exported by a newer edition of the book: nothing was changed.";
    const found = Object.entries(given.exercises).filter(([id, value]) => isId(id) && record(value));
    for (const [id, value] of found) update(id, (mine) => better(mine, record(value)));
    return `${found.length} exercise${found.length === 1 ? " was" : "s were"} merged with what was here.`;
  };

  const reset = (ids) => {
    for (const id of ids) {
      if (!isNewer(parsed(store.get(prefix + id)))) store.remove(prefix + id);
    }
    announce();
  };

  // --- elements, made with textContent alone

  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const button = (words, action, attributes = {}) => {
    const made = element("button", { type: "button", ...attributes }, words);
    made.addEventListener("click", action);
    return made;
  };

  // --- lists: the state of an exercise beside its link, the number of solved ones beside the link to a chapter

  const addChip = (link, words) => {
    const chip = element("span", { class: "gl-progress" });
    link.after(" ", chip);
    fill(chip, words);
  };
  const fill = (chip, words) => {
    chips.push(() => {
      chip.textContent = words();
    });
  };
  const names = Object.keys(WORDS);
  const worst = (states) => names[Math.max(...states.map((state) => names.indexOf(state)))];
  const target = (link) => link.href.split("#")[0];

  const decorate = () => {
    for (const link of document.querySelectorAll(".gl-exercises li a")) {
      const here = marked.filter(({ anchor }) => link.hash === `#${anchor}`);
      const room = link.parentElement.querySelector(".gl-progress");
      if (room && here.length) fill(room, () => WORDS[worst(here.map(({ id }) => status(id)))]);
    }
    const chapters = new Map(pages.map(([page, ids]) => [new URL(page, location.href).href.split("#")[0], Object.keys(ids)]));
    for (const link of document.querySelectorAll("article :is(td, h2.rubric) a")) {
      const ids = chapters.get(target(link))?.filter((id) => revisions.get(id));
      if (ids?.length) {
        addChip(link, () => {
          const solved = ids.filter((id) => status(id) === "solved").length;
          return ids.some((id) => status(id) !== "open") ? `${solved} of ${ids.length} solved` : "";
        });
      }
    }
  };

  // --- tools: export, import, reset

  const FILE = "This page was opened as a file. Browsers differ in what they keep for files: some share it among all files of this computer, others keep it for this one page. Export it from each page that should not lose it.";
  const SITE = "It is kept in this browser alone, and nothing is sent anywhere. A browser may delete it; Safari does after a week without a visit. An exported file lasts.";
  const LOST = "This browser lets the page store nothing: your progress lasts until the page is closed. Export it to keep it.";

  const tools = () => {
    const said = element("output", { class: "gl-said" });
    const limits = element("p");
    const last = element("p");
    const text = element("textarea", { id: "gl-export", rows: "4", readonly: "", spellcheck: "false" });
    const given = element("textarea", { id: "gl-import", rows: "4", autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
    const file = element("input", { id: "gl-import-file", type: "file", accept: ".json,application/json" });
    const merge = (words) => {
      said.textContent = imported(words);
    };
    const save = () => {
      const address = URL.createObjectURL(new Blob([exported()], { type: "application/json" }));
      element("a", { href: address, download: `${data.book}-progress.json` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
      store.set(`${prefix}_exported`, new Date().toISOString());
      announce();
    };
    file.addEventListener("change", async () => {
      if (file.files[0]) merge(await file.files[0].text());
      file.value = "";
    });
    text.addEventListener("focus", () => text.select());
    chips.push(() => {
      limits.textContent = lasts ? location.protocol === "file:" ? FILE : SITE : LOST;
      const when = new Date(store.get(`${prefix}_exported`) ?? NaN);
      last.textContent = `Last exported: ${Number.isNaN(when.getTime()) ? "never" : when.toISOString().slice(0, 10)}.`;
      text.value = exported();
    });
    const forget = pages.map(([page, ids]) => {
      const words = pages.length > 1 ? `Delete that of ${chapterName(page)}` : "Delete the progress of this chapter";
      return button(words, () => {
        if (!confirm(`${words}? The answers stored for it are deleted, too.`)) return;
        reset(Object.keys(ids));
        said.textContent = "It was deleted.";
      });
    });
    const made = element("details", { class: "gl-tools" },
      element("summary", {}, "Keep, move or delete your progress"), limits, last,
      button("Export to a file", save),
      element("label", { for: text.id }, "The same as text, to copy"), text,
      element("label", { for: given.id }, "Text to import"), given, button("Import this text", () => merge(given.value)),
      element("label", { for: file.id }, "File to import"), file,
      element("div", { class: "gl-forget" }, ...forget), said);
    return made;
  };

  const chapterName = (page) => {
    const heading = [...document.querySelectorAll("h2.rubric a")].find((link) => target(link) === new URL(page, location.href).href);
    return heading ? `“${heading.textContent}”` : page;
  };

  for (const [old, id] of Object.entries(data.aliases)) {
    const before = record(parsed(store.get(prefix + old)));
    if (before && revisions.has(id)) {
      update(id, (now) => better(now, before));
      store.remove(prefix + old);
    }
  }

  decorate();
  const lists = document.querySelectorAll(".gl-exercises");
  if (lists.length) lists[lists.length - 1].after(tools());
  announce();
  addEventListener("storage", announce);

  return Object.freeze({
    data, read, submitted, sawSolution, status, element, button,
    words: (id) => WORDS[status(id)],
    onChange: (show) => void chips.push(show),
    isLasting: () => lasts,
    LOST,
  });
})();
