// Sends the form without leaving the page: the server answers with the same page as ever, and its form is put in place.
const lost = document.getElementById("lost");

document.addEventListener("submit", async (event) => {
  const form = event.target;
  const button = form.querySelector("button");
  event.preventDefault();
  if (button.getAttribute("aria-disabled") === "true") return;
  // Not `disabled`: that would take the focus away from who pressed it.
  button.setAttribute("aria-disabled", "true");
  button.textContent = "Sending…";

  const section = document.getElementById("feedback");
  let next;
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    next = document.adoptNode(page.getElementById("feedback"));
  } catch {
    // No answer, or one that is no page of ours: what was typed stays as it is.
    section.querySelector(".notice")?.remove();
    form.before(lost.content.cloneNode(true));
    button.removeAttribute("aria-disabled");
    button.textContent = "Send";
  }
  if (next) section.replaceWith(next);
  document.getElementById("feedback").querySelector("[aria-invalid], .notice")?.focus();
});
