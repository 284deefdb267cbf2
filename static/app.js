// Pages work without this file. With it, a form or link updates the page in place: the script sends
// the request and replaces regions of the page with the matching regions of the response.
// Anything that it can't handle is left to the browser's normal navigation.
// Requires `<main id="main" data-region>` and, outside of it, `#announcer` on every page, and the
// Content-Security-Policy `connect-src 'self'`.
"use strict";
(() => {
  document.documentElement.classList.add("js");

  const script = document.currentScript.src;
  // Requests in flight: {form or link, submitter, method, url, body, target, replace}.
  const inFlight = new Set();
  // Requests for the whole page run one at a time, so the last one wins.
  let queue = Promise.resolve();
  let currentPath = location.pathname + location.search;
  let navigationStart = 0; // when a navigation began; it aborts our requests, which isn't an error
  let lastChange = document.body.dataset.lastChange; // the number of the latest change on this page
  const serverOpen = new Map(); // <details> id: whether the server last rendered it as open
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // ---- Announcements for screen readers: flash messages and new notices ----
  const textOf = (element) => element.textContent.trim().replace(/\s+/g, " ");
  const notices = () => all("[role=status], [role=alert]");
  function announce(...texts) {
    const announcer = document.getElementById("announcer");
    const text = [...new Set(texts)].filter(Boolean).join(" ");
    if (!announcer || !text) return;
    announcer.textContent = ""; // so the same text is announced again
    setTimeout(() => { announcer.textContent = text; }, 60);
  }

  // ---- Finding an element of the old page in the new one ----
  // By id; otherwise a form by its action, a link by its URL, a control by form, name, and value.
  function counterpart(old) {
    if (!old || old.isConnected) return old;
    if (old.id) return document.getElementById(old.id);
    const findBy = (list, key) => list.find((element) => key(element) === key(old));
    if (old.matches("form")) {
      return findBy([...document.forms], (form) => form.getAttribute("action"));
    }
    if (old.matches("a")) return findBy([...document.links], (link) => link.getAttribute("href"));
    if (old.matches("summary")) {
      return counterpart(old.parentElement)?.querySelector("summary");
    }
    const controls = old.form ? [...(counterpart(old.form)?.elements ?? [])] : all("button");
    const candidates = controls.filter(({ type, name }) => type === old.type && name === old.name);
    const identity = (control) => {
      const { copy, copyFrom } = control.dataset;
      return [control.value, copy, copyFrom, textOf(control)].join();
    };
    return findBy(candidates, identity)
      // The value of a switch changes with each click; its text doesn't.
      ?? (isCheckable(old) ? undefined : findBy(candidates, textOf));
  }

  // ---- Unsaved input ----
  const isCheckable = (field) => field.type === "checkbox" || field.type === "radio";
  const currentValue = (field) => (isCheckable(field) ? field.checked : field.value);
  function isDirty(field) {
    if (isCheckable(field)) return field.checked !== field.defaultChecked;
    if (field.matches("select")) {
      return !field.selectedOptions[0]?.defaultSelected && field.selectedIndex > 0;
    }
    return field.type !== "hidden" && field.type !== "file" && field.value !== field.defaultValue;
  }

  // ---- Replacing regions ----
  const outermostRegions = (root) => all("[data-region][id]", root)
    .filter((region) => !region.parentElement.closest("[data-region]"));
  // Pages with the same structure have the same regions, layout, and scripts. A page with another
  // structure is loaded by the browser.
  const structure = (root) => [
    ...outermostRegions(root).map((region) => region.id),
    root.getElementById("main")?.className,
    ...[...root.scripts].map((element) => element.getAttribute("src")),
  ].join("|");

  function replaceRegions(page, request, failed) {
    const target = page.getElementById(request.target) && document.getElementById(request.target);
    const regions = target
      ? [target, ...all("#messages").filter((messages) => !target.contains(messages))]
      : outermostRegions(document);
    const newRegions = regions.map((region) => page.getElementById(region.id) ?? region);
    const initiator = request.form ?? request.link;
    const active = document.activeElement;
    const [x, y] = [scrollX, scrollY];
    const selection = active?.matches("input, textarea")
      && [active.selectionStart, active.selectionEnd];
    const autofocused = new Set(all("[autofocus]").map((element) => element.id || element.name));
    const knownNotices = new Set(notices().map(textOf));
    // The server fills the fields of the submitted form, unless another request of it is in flight.
    const isSentAgain = [...inFlight].some(
      (other) => other !== request && other.form === request.form);
    const submittedForm = isSentAgain ? undefined : request.form;
    const unsaved = regions.flatMap((region) => all("input, textarea, select", region))
      .filter((field) => !(submittedForm && field.form === submittedForm) && isDirty(field))
      .map((field) => [field, currentValue(field)]);
    const wasOpen = new Map(all("details[id]").map((details) => [details.id, details.open]));

    regions.forEach((region, index) => region.replaceWith(newRegions[index]));
    document.title = page.title;
    if (!target) lastChange = page.body.dataset.lastChange;
    for (const [field, value] of unsaved) {
      const newField = counterpart(field);
      if (newField && currentValue(newField) !== value) {
        newField[isCheckable(newField) ? "checked" : "value"] = value;
      }
    }
    for (const other of inFlight) {
      for (const role of ["form", "link", "submitter"]) {
        other[role] = counterpart(other[role]) ?? other[role];
      }
      if (other !== request) setBusy(other, true);
    }
    // Open details stay open. The server can open details that it rendered as closed before, and
    // any details in the row that was clicked.
    const row = counterpart(initiator)?.closest("article, li, tr");
    for (const details of newRegions.flatMap((region) => all("details[id]", region))) {
      const { id, open } = details;
      if (wasOpen.has(id)) {
        const opensNow = open && (!serverOpen.get(id) || !!row?.contains(details));
        details.open = wasOpen.get(id) || opensNow;
      }
      serverOpen.set(id, open);
    }

    restoreFocus();
    announce(...notices()
      .filter((notice) => notice.closest("#messages") || !knownNotices.has(textOf(notice)))
      .map(textOf));
    document.dispatchEvent(new CustomEvent("miniback:updated"));

    // Moves the focus to the element that the request opened, unless the user has moved it.
    function restoreFocus() {
      const within = (selector) => newRegions.flatMap((region) => all(selector, region));
      const isIdle = !active || active === document.body || initiator?.contains(active)
        || active === request.submitter;
      const invalid = failed && within("[aria-invalid=true]")[0];
      const newFocus = isIdle && (invalid
        || within("[autofocus]").find(({ id, name }) => !autofocused.has(id || name)));
      const sameFocus = active !== document.body && counterpart(active);
      if (!newFocus) scrollTo(x, y);
      if (newFocus) newFocus.focus();
      else if (sameFocus) {
        sameFocus.focus({ preventScroll: true });
        if (selection && selection[0] !== null && sameFocus !== active) {
          sameFocus.setSelectionRange(...selection);
        }
      } else if (active !== document.body || !counterpart(initiator)) {
        (within("[autofocus]")[0] ?? within("[data-focus]")[0])?.focus();
      }
    }
  }

  // ---- Sending requests ----
  function setBusy(request, isBusy) {
    const control = request.submitter ?? request.link;
    for (const name of ["aria-busy", "aria-disabled"]) {
      if (isBusy) control?.setAttribute(name, "true");
      else control?.removeAttribute(name);
    }
  }

  // Lets the browser send the request. The form contains the submitter's name and value too.
  function sendNatively({ method, url, body }) {
    if (method === "get") return location.assign(url);
    const form = Object.assign(document.createElement("form"),
      { method: "post", action: url.href, hidden: true });
    form.append(...[...body].map(([name, value]) =>
      Object.assign(document.createElement("input"), { type: "hidden", name, value })));
    document.body.append(form);
    HTMLFormElement.prototype.submit.call(form); // a field may be named "submit"
  }

  async function send(request) {
    let fallback = () => sendNatively(request);
    try {
      const response = await fetch(request.url, {
        method: request.method.toUpperCase(), body: request.body, credentials: "same-origin",
        signal: AbortSignal.timeout(30000), // a request without a response must not block the queue
      });
      const url = new URL(response.url);
      const isPage = response.redirected || request.method === "get"; // other URLs accept only POST
      const isHtml = response.headers.get("Content-Type")?.startsWith("text/html")
        && url.origin === location.origin;
      const page = isHtml && new DOMParser().parseFromString(await response.text(), "text/html");
      if (isPage) fallback = () => location.assign(url);
      const isLogin = url.pathname.endsWith("/login");
      if (!isHtml || isLogin || structure(page) !== structure(document)) return fallback();
      removeNoscript(page);
      if (isPage) { // a link adds a history entry; a form only changes the current one
        const path = url.pathname + url.search;
        const isStep = request.method === "get" && !request.replace && path !== currentPath;
        url.hash = request.url.hash;
        history[isStep ? "pushState" : "replaceState"](null, "", url);
        currentPath = path;
      }
      replaceRegions(page, request, !response.ok);
    } catch {
      if (Date.now() - navigationStart > 3000) fallback();
    } finally {
      inFlight.delete(request);
      setBusy(request, false);
    }
  }
  // The parser treats the content of <noscript> as ordinary elements.
  function removeNoscript(page) {
    for (const element of all("noscript", page)) element.remove();
  }
  function start(request) {
    inFlight.add(request);
    setBusy(request, true);
    if (request.target) send(request); // a single region (a test can take 5 s) doesn't block others
    else queue = queue.then(() => send(request));
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
    start({
      form, submitter, method, url, body: method === "get" ? undefined : fields,
      replace: "replace" in form.dataset,
      target: submitter?.dataset.targetRegion ?? form.dataset.targetRegion,
    });
  });

  addEventListener("click", (event) => {
    const copyButton = event.target.closest("button[data-copy], button[data-copy-from]");
    if (copyButton) return copy(copyButton);
    const link = event.target.closest("a[data-enhance]");
    if (!link || event.defaultPrevented || event.button) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    if ([...inFlight].some((request) => request.link === link)) return;
    start({
      link, method: "get", url: new URL(link.href), target: link.dataset.targetRegion,
      replace: "replace" in link.dataset,
    });
  });

  addEventListener("change", ({ target }) => {
    if (target.matches("[data-autosave], select[data-autosubmit]")) target.form.requestSubmit();
  });

  // ---- Copying ----
  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    const text = button.dataset.copyFrom ? fetchSecret(button.dataset.copyFrom)
      : Promise.resolve(source.value ?? source.textContent);
    const isDone = await writeToClipboard(text).then(() => true, () => false);
    if (!isDone) source?.select?.();
    announce(isDone ? "Copied" : "Couldn’t copy. Select the text and copy it.");
    const isLabel = (node) => node.nodeType === Node.TEXT_NODE && node.data.trim();
    const label = [...button.childNodes].filter(isLabel).pop();
    if (!label) return;
    button.dataset.label ??= label.data;
    label.data = isDone ? "Copied" : "Not copied";
    setTimeout(() => { label.data = button.dataset.label; }, 2000);
  }
  async function fetchSecret(url) { // a secret isn't in the page before it is requested
    const response = await fetch(url, { credentials: "same-origin" });
    const isText = response.headers.get("Content-Type")?.startsWith("text/plain");
    if (!response.ok || !isText) throw new Error("the response isn't plain text");
    return response.text();
  }
  async function writeToClipboard(text) {
    try { // Safari requires a promise that is created during the click
      const blob = text.then((content) => new Blob([content], { type: "text/plain" }));
      return await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
    } catch { /* plain HTTP has no clipboard API: use a text area */ }
    const focused = document.activeElement;
    const area = Object.assign(document.createElement("textarea"),
      { value: await text, readOnly: true, className: "visually-hidden" });
    document.body.append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    focused?.focus({ preventScroll: true });
    if (!isDone) throw new Error("the browser didn't copy the text");
  }

  // ---- Relative times, with the same steps as on the server ----
  function relative(seconds) {
    if (seconds < 60) return "just now";
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    return seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : "yesterday";
  }
  setInterval(() => {
    for (const time of all("time[datetime][data-relative]")) {
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      if (seconds >= 0 && seconds < 172800) time.textContent = relative(seconds);
    }
  }, 30000);

  setInterval(() => { // countdowns to times in the near future
    for (const time of all("time[data-until]")) {
      const seconds = Math.ceil((Date.parse(time.dateTime) - Date.now()) / 1000);
      if (seconds < 100) time.textContent = seconds > 0 ? `in ${seconds} s` : "now";
    }
  }, 1000);

  // ---- Times in the browser's time zone; the server renders UTC ----
  const formatter = (options) =>
    new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", ...options });
  const day = { day: "numeric", month: "short" };
  const second = { second: "2-digit" };
  const timeOnly = formatter(), timeWithSeconds = formatter(second), dayAndTime = formatter(day);
  const exact = formatter({ ...day, ...second, year: "numeric", timeZoneName: "short" });
  function localizeTimes() {
    for (const time of all("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (time.title) time.title = exact.format(at);
      if (!("clock" in time.dataset)) continue;
      const isToday = at.toDateString() === new Date().toDateString();
      const format = time.dataset.clock ? timeWithSeconds : isToday ? timeOnly : dayAndTime;
      time.textContent = format.format(at);
    }
  }
  document.addEventListener("miniback:updated", localizeTimes);

  // ---- Flash messages disappear, unless they contain a button, are hovered, or have the focus ----
  function dismissMessages() {
    const box = document.getElementById("messages");
    const shown = [...(box?.children ?? [])].filter((message) => !message.querySelector("button"));
    if (shown.length) setTimeout(function dismiss() {
      if (box.matches(":hover, :focus-within")) return setTimeout(dismiss, 2000);
      for (const message of shown) message.remove();
    }, 8000);
  }
  document.addEventListener("miniback:updated", dismissMessages);

  // ---- Live updates: regions with `data-live` follow changes while the page is visible ----
  // Unchanged nodes aren't replaced, so focus, selection, open details, input, and scroll positions
  // stay as they are.
  const isClientState = (element, name) =>
    name === "aria-busy" || name === "aria-disabled" || name === "data-label"
    || (name === "open" && element.matches("details"))
    || (name === "value" && (element.name === "key" || element.name === "submission_key"));
  const isSameNode = (old, now) => old.nodeType === now.nodeType && old.nodeName === now.nodeName
    && (old.id ?? "") === (now.id ?? "");
  function morph(old, now) {
    if (old.id === "messages" || old.isEqualNode(now)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) { old.data = now.data; return; }
    for (const { name } of [...old.attributes]) {
      if (!now.hasAttribute(name) && !isClientState(old, name)) old.removeAttribute(name);
    }
    for (const { name, value } of now.attributes) {
      const isChanged = old.getAttribute(name) !== value;
      if (isChanged && !isClientState(old, name)) old.setAttribute(name, value);
    }
    morphChildren(old, now);
  }
  function morphChildren(old, now) {
    const withId = [...old.children].filter((child) => child.id);
    const oldById = new Map(withId.map((child) => [child.id, child]));
    const newIds = new Set([...now.children].map((child) => child.id).filter(Boolean));
    for (const [id, child] of oldById) if (!newIds.has(id)) child.remove();
    let at = old.firstChild;
    const skipKept = () => { // elements that the server shows only once
      while (at?.dataset && "liveKeep" in at.dataset) at = at.nextSibling;
    };
    const removeCurrent = () => {
      const next = at.nextSibling;
      at.remove();
      at = next;
    };
    for (const child of [...now.childNodes]) {
      skipKept();
      const match = oldById.get(child.id) ?? (at && isSameNode(at, child) ? at : undefined);
      // Remove the nodes before the match, because moving the match would lose the focus in it.
      while (match && at && at !== match && !newIds.has(at.id)) removeCurrent();
      if (match && isSameNode(match, child)) {
        if (match === at) at = at.nextSibling;
        else old.insertBefore(match, at);
        morph(match, child);
      } else old.insertBefore(child, at);
    }
    for (skipKept(); at; skipKept()) removeCurrent();
  }

  let source, subscribed = "", isFetching = false, fetchAgain = false;
  function subscribe() {
    const names = new Set(all("[data-live]").flatMap((region) => region.dataset.live.split(" ")));
    const query = document.hidden ? "" : [...names].map((name) => `&of=${name}`).join("");
    if (query === subscribed) return;
    source?.close();
    subscribed = query;
    if (!query) return;
    const opened = source = new EventSource(new URL(`../live?since=${lastChange}${query}`, script));
    source.addEventListener("changed", refresh);
    source.addEventListener("ended", () => { // reconnects when the user returns to the page
      opened.close();
      refresh();
    });
    source.addEventListener("error", () => { // the browser retries after a lost connection only
      if (opened.readyState !== EventSource.CLOSED) return;
      setTimeout(() => { if (source === opened) reconnect(); }, 30000);
    });
  }
  function reconnect() {
    subscribed = "";
    subscribe();
  }

  async function refresh() {
    if (isFetching) { fetchAgain = true; return; }
    isFetching = true;
    const began = Date.now(), path = location.pathname + location.search;
    let pause = 250;
    try {
      const response = await fetch(path,
        { headers: { "Miniback-Refresh": "live" }, signal: AbortSignal.timeout(30000) });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      if (response.redirected) { // signed out: leave the page, unless that would lose typed text
        if (!all("input, textarea, select").some(isDirty)) location.assign(response.url);
      } else if (response.status >= 500) throw new Error("the server is unavailable");
      else if (path === location.pathname + location.search && response.ok
        && structure(page) === structure(document)) applyRefresh(page);
    } catch {
      fetchAgain = true;
      pause = 5000;
    }
    setTimeout(() => {
      isFetching = false;
      if (!fetchAgain) return;
      fetchAgain = false;
      if (!document.hidden) refresh();
    }, Math.max(pause, 3 * (Date.now() - began))); // fetch slow pages less often
  }
  function applyRefresh(page) {
    removeNoscript(page);
    // Lets a page's own script change the new page first.
    document.dispatchEvent(new CustomEvent("miniback:refreshed", { detail: page }));
    const knownNotices = new Set(notices().map(textOf));
    for (const region of all("[data-live]")) {
      const newRegion = page.getElementById(region.id);
      if (newRegion) morph(region, document.importNode(newRegion, true));
    }
    lastChange = page.body.dataset.lastChange;
    for (const request of inFlight) setBusy(request, true);
    announce(...notices().map(textOf).filter((text) => !knownNotices.has(text)));
    document.dispatchEvent(new CustomEvent("miniback:updated"));
  }
  document.addEventListener("miniback:updated", subscribe);
  document.addEventListener("visibilitychange", subscribe);
  addEventListener("focus", () => { if (source?.readyState === EventSource.CLOSED) reconnect(); });
  addEventListener("pagehide", () => source?.close());

  // ---- Back and forward ----
  addEventListener("popstate", () => {
    if (location.pathname + location.search === currentPath) return; // only the fragment changed
    start({ method: "get", url: new URL(location.href), replace: true });
  });
  // A page from the back/forward cache may be out of date.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  addEventListener("beforeunload", () => { navigationStart = Date.now(); });

  for (const details of all("details[id]")) serverOpen.set(details.id, details.open);
  localizeTimes();
  dismissMessages();
  subscribe();
  announce(...notices().filter((notice) => notice.closest("#messages")).map(textOf));
})();
