// A link to an equation, a theorem or a citation shows what it leads to while it has the mouse or the focus, or while a
// finger rests on it. Without this script, and for who just presses it, it is a link like any other.
{
  const KINDS = "div.math, .proof, .citation"; // book/extensions/page/previews.py writes the same ones
  const LEFT_OUT = ".headerlink, .gl-badge, .gl-definition, button";
  const DELAY = 250; // milliseconds that a pointer must rest
  const root = new URL(document.documentElement.dataset.content_root, location.href);
  const box = document.createElement("div");
  box.id = "gl-preview";
  box.setAttribute("role", "tooltip");
  box.hidden = true;
  let wanted; // the link whose preview is shown, or is about to be
  let timer;
  let rested = false; // whether it was a finger that asked for it, and is still to be lifted

  const linkAt = (node) => node.closest?.("a.reference.internal[href*='#']");

  // A page that was opened as a file may read no other one, but it may run a script that holds the same.
  const stored = {};
  const fromPage = (page) =>
    (stored[page] ??= new Promise((resolve) => {
      const script = document.createElement("script");
      script.src = new URL(`_static/previews/${page}.js`, root);
      script.onload = () => resolve(window.glPreviews?.[page] ?? {});
      script.onerror = () => resolve({});
      document.head.append(script);
    }));

  const contentOf = async (link) => {
    const id = decodeURIComponent(link.hash.slice(1));
    if (link.pathname === location.pathname) {
      const target = document.getElementById(id);
      return target?.matches(KINDS) ? target.cloneNode(true) : null;
    }
    const holder = document.createElement("template");
    const page = link.href.slice(root.href.length).replace(/\.html#.*$/, "");
    holder.innerHTML = link.href.startsWith(root.href) ? ((await fromPage(page))[id] ?? "") : "";
    return holder.content.firstElementChild;
  };

  const hide = () => {
    clearTimeout(timer);
    wanted?.removeAttribute("aria-describedby");
    wanted = undefined;
    rested = false;
    box.hidden = true;
  };

  const show = async (link, byTouch) => {
    const content = await contentOf(link);
    if (!content || wanted !== link) return;
    for (const part of content.querySelectorAll(LEFT_OUT)) part.remove();
    for (const part of [content, ...content.querySelectorAll("[id]")]) part.removeAttribute("id");
    for (const inner of content.querySelectorAll("a")) inner.replaceWith(...inner.childNodes);
    box.replaceChildren(content);
    const column = link.closest("article");
    column.append(box);
    box.hidden = false;
    rested = byTouch;
    link.setAttribute("aria-describedby", box.id);
    // Below the line of the link, or above it where there is no room below.
    const [line, frame] = [[...link.getClientRects()].at(-1), column.getBoundingClientRect()];
    const below = line.bottom + box.offsetHeight <= innerHeight || line.top < box.offsetHeight;
    box.style.top = `${(below ? line.bottom : line.top - box.offsetHeight) - frame.top}px`;
  };

  const want = (link, delay, byTouch = false) => {
    clearTimeout(timer);
    if (wanted === link && !box.hidden) return;
    hide();
    wanted = link;
    timer = setTimeout(show, delay, link, byTouch);
  };
  const leave = (delay) => {
    clearTimeout(timer);
    timer = setTimeout(hide, delay);
  };

  document.addEventListener("pointerover", ({ target, pointerType }) => {
    if (pointerType === "touch") return;
    const link = linkAt(target);
    if (link) want(link, DELAY);
    else if (box.contains(target)) clearTimeout(timer);
    else if (wanted && wanted !== document.activeElement) leave(DELAY);
  });
  document.addEventListener("pointerdown", ({ target, pointerType }) => {
    const link = pointerType === "touch" && linkAt(target);
    if (link) want(link, DELAY, true);
    else if (!box.contains(target)) hide();
  });
  // A finger that leaves before the preview is there was no rest: it pressed the link, or it scrolls.
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => box.hidden && hide());
  document.addEventListener("click", (event) => {
    const link = linkAt(event.target);
    if (link && link === wanted && rested) {
      event.preventDefault(); // the finger is lifted; the next tap follows the link
      rested = false;
    } else if (link) hide();
  });
  document.addEventListener("focusin", ({ target }) => {
    const link = linkAt(target);
    if (link?.matches(":focus-visible")) want(link, 0);
  });
  document.addEventListener("focusout", ({ target }) => target === wanted && hide());
  document.addEventListener("keydown", ({ key }) => key === "Escape" && hide());
}
