// Presses a button while the person types or chooses, to update a preview. `data-presses` of a
// field contains the id of the button.

let pressTimer;
function pressSoon(id) {
  clearTimeout(pressTimer);
  pressTimer = setTimeout(() => {
    const button = document.getElementById(id);
    // A second press would be ignored, so it waits and sends the latest input.
    if ([...inFlight].some(({ submitter }) => submitter === button)) pressSoon(id);
    else button?.form.requestSubmit(button);
  }, 300);
}
addEventListener("input", ({ target }) => {
  if (target.dataset.presses) pressSoon(target.dataset.presses);
});
