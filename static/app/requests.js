// Sends the requests of forms and links with `data-enhance`, and handles the browser's Back and
// Forward buttons.

// Requests for the whole page run one at a time, so the page shows the response to the last
// request.
let queue = Promise.resolve();
let currentPath = location.pathname + location.search;
let isLeaving = false; // whether this script leaves the page; if so, the user isn't asked
let navigationStart = 0; // time of the last `beforeunload`; leaving the page aborts requests

// Shows or hides the bar at the top of the page.
const setLoading = (isLoading) =>
  document.documentElement.classList.toggle("loading", isLoading);

function setBusy(request, isBusy) {
  const control = request.submitter ?? request.link;
  for (const name of ["aria-busy", "aria-disabled"]) {
    if (isBusy) control?.setAttribute(name, "true");
    else control?.removeAttribute(name);
  }
  setLoading(inFlight.size > 0);
}

// Shows that a request is in flight. A status or a switch changes at once; `request.rollBack`
// restores it.
function markInFlight(request) {
  setBusy(request, true);
  const { submitter } = request;
  const name = ["aria-pressed", "aria-checked"].find((state) => submitter?.hasAttribute(state));
  if (!name) return;
  const isSwitch = name === "aria-checked";
  request.isOn ??= submitter.getAttribute(name) !== "true";
  const states = (isSwitch ? [submitter] : all(`[${name}]`, submitter.parentElement))
    .map((control) => [control, control.getAttribute(name)]);
  for (const [control] of states) {
    control.setAttribute(name, isSwitch ? request.isOn : control === submitter);
  }
  request.rollBack ??= () => {
    for (const [control, state] of states) control.setAttribute(name, state);
  };
}

// Shows the progress of a slow request, such as a test, in its button, and removes the old result.
// The progress of a button in a menu is shown in the button beside the menu. Returns a function
// that restores the button.
function showProgress({ submitter }) {
  const menu = submitter?.closest("[popover]");
  menu?.hidePopover();
  const button = menu ? submitter.form.querySelector("[data-progress]") : submitter;
  const text = button?.dataset.progress;
  if (!text) return () => {};
  const scope = button.closest("article, .panel, main");
  for (const result of all("[data-result]", scope)) result.remove();
  const label = button.textContent, began = Date.now();
  announce(text);
  button.textContent = text;
  const timer = setInterval(() => {
    button.textContent = `${text} ${Math.round((Date.now() - began) / 1000)} s`;
  }, 1000);
  return () => {
    clearInterval(timer);
    button.textContent = label;
  };
}

// Shows that a request failed, with a button to send it again. The rest of the page stays
// unchanged.
function showFailure(request, text) {
  request.rollBack?.();
  document.getElementById("failure")?.remove();
  const element = (name, properties) => Object.assign(document.createElement(name), properties);
  const notice = element("div", { id: "failure", className: "notice bad has-action" });
  const again = element("button",
    { type: "button", className: "link-button", textContent: "Send again" });
  again.addEventListener("click", () => {
    notice.remove();
    const form = request.form && findCounterpart(request.form);
    if (!form) return startRequest({ ...request });
    form.requestSubmit(findCounterpart(request.submitter) ?? undefined);
  });
  notice.setAttribute("role", "alert");
  notice.append(element("p", { textContent: text }), again);
  document.getElementById("messages")?.append(notice);
  announce(text);
}

// Sends the request with the browser's normal navigation. The body already contains the submitter's
// name and value.
function sendNatively({ method, url, body }) {
  isLeaving = true;
  if (method === "get") return location.assign(url);
  const form = Object.assign(document.createElement("form"),
    { method: "post", action: url.href, hidden: true });
  form.append(...[...body].map(([name, value]) =>
    Object.assign(document.createElement("input"), { type: "hidden", name, value })));
  document.body.append(form);
  HTMLFormElement.prototype.submit.call(form); // a field may be named "submit"
}

// Updates the URL. A request that leads to another page adds a history entry, and so does a GET of
// another URL.
function addToHistory(request, url) {
  const path = url.pathname + url.search;
  request.leadsAway = url.pathname !== currentPath.split("?")[0];
  const isNew = request.leadsAway || (request.method === "get" && path !== currentPath);
  // The link that closes an item has a fragment only for browsers without scripts.
  if (request.link?.ariaExpanded !== "true") url.hash = request.url.hash;
  if (request.isBack) history.replaceState(history.state, "", url);
  else if (isNew && !request.replace) {
    history.replaceState({ ...history.state, y: scrollY }, "");
    history.pushState(null, "", url);
  } else history.replaceState(null, "", url);
  currentPath = path;
}

async function sendRequest(request) {
  const endProgress = showProgress(request);
  const slow = setTimeout(() => {
    if (!request.submitter?.dataset.progress) announce("Loading…");
  }, 1000);
  let fallback = () => sendNatively(request);
  try {
    const response = await fetch(request.url, {
      method: request.method.toUpperCase(), body: request.body, credentials: "same-origin",
      signal: AbortSignal.timeout(30000), // a request without a response must not block the queue
    });
    const url = new URL(response.url);
    // Whether the browser can load the URL again: the URL of a form may accept only POST.
    const isPage = response.redirected || request.method === "get";
    const isHtml = response.headers.get("Content-Type")?.startsWith("text/html")
      && url.origin === location.origin;
    const page = isHtml && await parsePage(response);
    if (isPage) fallback = () => { isLeaving = !request.link; location.assign(url); };
    const isLogin = url.pathname.endsWith("/login");
    const isForeign = !isHtml || structure(page) !== structure(document);
    if (request.isPreview && (isLogin || isForeign)) return; // the next press shows the problem
    // The form may have been processed, so it isn't sent again automatically.
    if (response.status >= 500 && isForeign && !isPage) {
      return showFailure(request, "The server couldn’t process this. Your text is still here.");
    }
    if (!isHtml || isLogin || structure(page) !== structure(document)) return fallback();
    if (isPage) addToHistory(request, url);
    replaceRegions(page, request, !response.ok);
  } catch {
    // Ignore the error if the browser has just begun to leave the page, because leaving it
    // aborts requests.
    if (!request.isPreview && Date.now() - navigationStart > 3000) {
      if (request.method === "post" || hasUnsavedInput()) {
        showFailure(request, "No connection to the server. Your text is still here.");
      } else fallback();
    }
  } finally {
    endProgress();
    clearTimeout(slow);
    inFlight.delete(request);
    setBusy(request, false);
  }
}

function startRequest(request) {
  // The position of the row, to focus the next row after a deletion. A live update can remove the
  // row before the response arrives.
  const initiator = request.form ?? request.link;
  request.rowTag = initiator?.closest("article, tr, li")?.localName;
  request.rowIndex = request.rowTag
    ? all(`main ${request.rowTag}`).findIndex((row) => row.contains(initiator)) : -1;
  inFlight.add(request);
  markInFlight(request);
  if (request.target) sendRequest(request); // a request for one region doesn't block others
  else queue = queue.then(() => sendRequest(request));
}

addEventListener("submit", (event) => {
  const form = event.target, submitter = event.submitter;
  if (event.defaultPrevented || !form.matches("form[data-enhance]")) return;
  event.preventDefault();
  // Every automatic save is sent; a second click on the same button is ignored.
  const isAutosave = !submitter && form.querySelector("[data-autosave]");
  const isDuplicate = [...inFlight].some(
    (request) => request.form === form && request.submitter === submitter);
  if (!isAutosave && isDuplicate) return;
  const attribute = (name) => submitter?.getAttribute(`form${name}`) ?? form.getAttribute(name);
  const method = attribute("method")?.toLowerCase() ?? "get";
  const url = new URL(attribute("action") ?? "", location.href);
  const fields = new URLSearchParams(new FormData(form));
  if (submitter?.name) fields.append(submitter.name, submitter.value);
  if (method === "get") url.search = fields;
  startRequest({
    form, submitter, method, url, body: method === "get" ? undefined : fields,
    replace: "replace" in form.dataset,
    target: submitter?.dataset.targetRegion ?? form.dataset.targetRegion,
    isPreview: submitter?.matches(".no-js"), // only the script presses a button that it hides
  });
});

addEventListener("click", (event) => {
  const link = event.target.closest("a[data-enhance]");
  if (!link || event.defaultPrevented || event.button) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  // If the link leaves the page, the browser asks before unsaved input is lost.
  if (link.pathname !== location.pathname && hasUnsavedInput()) return;
  event.preventDefault();
  if ([...inFlight].some((request) => request.link === link)) return;
  startRequest({
    link, method: "get", url: new URL(link.href), target: link.dataset.targetRegion,
    replace: "replace" in link.dataset,
  });
});

addEventListener("change", ({ target }) => {
  if (target.matches("[data-autosave], [data-autosubmit]")) target.form.requestSubmit();
  if (target.matches("[data-shows]")) { // "Show characters"
    for (const id of target.dataset.shows.split(" ")) {
      document.getElementById(id).type = target.checked ? "text" : "password";
    }
  }
});

addEventListener("popstate", () => {
  if (location.pathname + location.search === currentPath) return; // only the fragment changed
  startRequest({ method: "get", url: new URL(location.href), isBack: true });
});
// A page from the back/forward cache may be outdated.
addEventListener("pageshow", (event) => {
  isLeaving = false;
  setLoading(false);
  if (event.persisted && !hasUnsavedInput()) location.reload();
});
addEventListener("beforeunload", (event) => {
  navigationStart = Date.now();
  if (!isLeaving && hasUnsavedInput()) {
    setTimeout(() => (navigationStart = 0)); // runs after the browser has asked the user
    return event.preventDefault();
  }
  setLoading(true);
  setTimeout(() => setLoading(inFlight.size > 0), 5000); // a download doesn't leave the page
});
