// A menu of the head closes when the reader turns to something else; it opens without a script.
const closeMenus = (but) => {
  for (const menu of document.querySelectorAll("details.dropdown[open]")) if (!menu.contains(but)) menu.open = false;
};
document.addEventListener("click", ({ target }) => closeMenus(target));
document.addEventListener("keydown", ({ key }) => key === "Escape" && closeMenus());
