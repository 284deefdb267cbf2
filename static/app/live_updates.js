// Live updates: regions with `data-live` are refreshed after changes while the page is visible.
// Unchanged nodes aren't replaced, so focus, selection, open details, input, and scroll positions
// are preserved.

// Whether an attribute is set by the browser or these scripts, not by the server.
const isClientState = (element, name) =>
  name === "aria-busy" || name === "aria-disabled" || name === "data-label"
  || (name === "open" && element.matches("details"))
  || (name === "value" && (element.name === "key" || element.name === "submission_key"));
const isSameNode = (old, updated) => old.nodeType === updated.nodeType
  && old.nodeName === updated.nodeName && (old.id ?? "") === (updated.id ?? "");
// Updates the old node to match the new node, except for client state and flash messages.
function morph(old, updated) {
  if (old.id === "messages" || old.isEqualNode(updated)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) { old.data = updated.data; return; }
  for (const { name } of [...old.attributes]) {
    if (!updated.hasAttribute(name) && !isClientState(old, name)) old.removeAttribute(name);
  }
  for (const { name, value } of updated.attributes) {
    const isChanged = old.getAttribute(name) !== value;
    if (isChanged && !isClientState(old, name)) old.setAttribute(name, value);
  }
  morphChildren(old, updated);
}
function morphChildren(old, updated) {
  const withId = [...old.children].filter((child) => child.id);
  const oldById = new Map(withId.map((child) => [child.id, child]));
  const newIds = new Set([...updated.children].map((child) => child.id).filter(Boolean));
  for (const [id, child] of oldById) if (!newIds.has(id)) child.remove();
  let cursor = old.firstChild;
  const skipPreserved = () => { // `data-live-keep`: results that the server renders only once
    while (cursor?.dataset && "liveKeep" in cursor.dataset) cursor = cursor.nextSibling;
  };
  const removeCurrent = () => {
    const next = cursor.nextSibling;
    cursor.remove();
    cursor = next;
  };
  for (const child of [...updated.childNodes]) {
    skipPreserved();
    const isHere = cursor && isSameNode(cursor, child);
    const match = oldById.get(child.id) ?? (isHere ? cursor : undefined);
    // Remove the nodes before the match instead of moving the match, because a moved element loses
    // focus.
    while (match && cursor && cursor !== match && !newIds.has(cursor.id)) removeCurrent();
    if (match && isSameNode(match, child)) {
      if (match === cursor) cursor = cursor.nextSibling;
      else old.insertBefore(match, cursor);
      morph(match, child);
    } else old.insertBefore(child, cursor);
  }
  for (skipPreserved(); cursor; skipPreserved()) removeCurrent();
}

let source, currentQuery = "", isFetching = false, fetchAgain = false;
function subscribe() {
  const names = new Set(all("[data-live]").flatMap((region) => region.dataset.live.split(" ")));
  const query = document.hidden ? "" : [...names].map((name) => `&of=${name}`).join("");
  if (query === currentQuery) return;
  source?.close();
  currentQuery = query;
  if (!query) return;
  const opened = source = new EventSource(new URL(`../live?since=${lastChange}${query}`, script));
  source.addEventListener("changed", refresh);
  source.addEventListener("ended", () => { // the `focus` listener below reconnects
    opened.close();
    refresh();
  });
  source.addEventListener("error", () => { // the browser itself retries only lost connections
    if (opened.readyState !== EventSource.CLOSED) return;
    setTimeout(() => { if (source === opened) reconnect(); }, 30000);
  });
}
function reconnect() {
  currentQuery = "";
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
    const page = await parsePage(response);
    if (response.redirected) { // signed out: leave the page, unless typed text would be lost
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
  // This event lets a page's own script change the new page before the refresh is applied.
  document.dispatchEvent(new CustomEvent("miniback:refreshed", { detail: page }));
  const knownNotices = new Set(notices().map(textOf));
  for (const region of all("[data-live]")) {
    const newRegion = page.getElementById(region.id);
    if (newRegion) morph(region, document.importNode(newRegion, true));
  }
  lastChange = page.body.dataset.lastChange;
  for (const request of inFlight) markInFlight(request);
  announce(...notices().map(textOf).filter((text) => !knownNotices.has(text)));
  document.dispatchEvent(new CustomEvent("miniback:updated"));
}
document.addEventListener("miniback:updated", subscribe);
document.addEventListener("visibilitychange", subscribe);
addEventListener("focus", () => { if (source?.readyState === EventSource.CLOSED) reconnect(); });
addEventListener("pagehide", () => source?.close());

subscribe();
