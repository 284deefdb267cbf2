// Marks the current section in the table of contents of a long page.

const entries = all(".toc a[href^='#']")
  .map((link) => ({ link, target: document.getElementById(link.hash.slice(1)) }))
  .filter(({ target }) => target);
function markCurrentSection() {
  const isAtEnd = scrollY > 0 && innerHeight + scrollY >= document.body.scrollHeight - 2;
  const passed = entries.filter(({ target }) => target.getBoundingClientRect().top < 96);
  const { link } = (isAtEnd ? entries : passed).at(-1) ?? entries[0];
  if (link.ariaCurrent) return;
  for (const entry of entries) { // there can be two lists, for narrow and for wide screens
    if (entry.link.hash === link.hash) entry.link.setAttribute("aria-current", "true");
    else entry.link.removeAttribute("aria-current");
  }
  // Only the table of contents scrolls, not the page.
  const toc = link.closest(".toc"), offset = link.getBoundingClientRect().top;
  toc.scrollTop += offset - toc.getBoundingClientRect().top - toc.clientHeight / 2;
}
if (entries.length) {
  addEventListener("scroll", () => requestAnimationFrame(markCurrentSection), { passive: true });
  markCurrentSection();
}
