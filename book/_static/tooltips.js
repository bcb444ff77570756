// Escape dismisses a tooltip (WCAG 1.4.13); it can show again once hover or focus returns to its word.
document.addEventListener("keydown", ({ key }) => {
  const open = ".gl-term:is(:hover, :focus-visible), .gl-term:has(+ .gl-definition:hover)";
  if (key === "Escape") document.querySelectorAll(open).forEach((word) => word.classList.add("gl-closed"));
});
for (const back of ["mouseover", "focusin"]) {
  document.addEventListener(back, ({ target }) => target.closest(".gl-term")?.classList.remove("gl-closed"));
}
