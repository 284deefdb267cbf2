// Sends a form only if the server responds. Without this check, a lost connection would replace the
// page with an error page, and the typed text would be lost.

const form = document.querySelector("main form[method=post]");
let isChecking = false;

async function isServerReachable() {
  try {
    const response = await fetch(location.href,
      { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(10000) });
    return response.status < 500; // a reverse proxy responds with 502 if Miniback isn't running
  } catch {
    return false;
  }
}

function showFailure() {
  document.getElementById("connection-failure")?.remove();
  const notice = document.createElement("div"), text = document.createElement("p");
  notice.id = "connection-failure";
  notice.className = "notice bad";
  notice.setAttribute("role", "alert");
  text.textContent = form.dataset.failed ?? "No connection to the server. Your text is still here.";
  notice.append(text);
  form.prepend(notice);
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (isChecking) return;
  isChecking = true;
  event.submitter?.setAttribute("aria-busy", "true");
  if (await isServerReachable()) HTMLFormElement.prototype.submit.call(form);
  else showFailure();
  event.submitter?.removeAttribute("aria-busy");
  isChecking = false;
});
