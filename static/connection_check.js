// Sends a form only if the server responds. Without this check, a lost connection would replace the
// page with an error page, and the typed text would be lost. A public form is sent no earlier than
// 2 s after it was loaded, because the server rejects younger form tokens.

const form = document.querySelector("main form[method=post]");
const tokenIsValid = form?.elements.stamp && new Promise((resolve) => setTimeout(resolve, 2100));
let isChecking = false;

function setBusy(isBusy) {
  isChecking = isBusy;
  form.querySelector("button").setAttribute("aria-busy", isBusy);
}

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
  setBusy(true);
  if (await isServerReachable()) {
    await tokenIsValid;
    return HTMLFormElement.prototype.submit.call(form);
  }
  showFailure();
  setBusy(false);
});
addEventListener("pageshow", () => form && setBusy(false)); // after Back, the form can be sent again
