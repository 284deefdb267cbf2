// Shows the values of an hour in the caption of its chart, while the pointer is on the hour or
// after a tap. The table below the charts contains the same values.
addEventListener("pointerover", ({ target }) => {
  const hour = target.closest(".chart g");
  for (const caption of all("[data-caption]")) {
    caption.dataset.caption ||= caption.textContent;
    const isShown = hour?.closest(".chart").contains(caption);
    caption.textContent = isShown ? textOf(hour.querySelector("title")) : caption.dataset.caption;
  }
});
