// Replaces regions of the page, and restores the focus, unsaved input, and open details.

const serverOpen = new Map(); // by id of <details>: whether the server last rendered it as open
for (const details of all("details[id]")) serverOpen.set(details.id, details.open);

// Open details are open again after going back or reloading. Their ids are in the history entry.
// The URL contains the id of one open row, usually the row that was opened last.
for (const id of history.state?.open ?? []) {
  const details = document.getElementById(id);
  if (details) details.open = true;
}
addEventListener("toggle", ({ target }) => {
  if (!target.matches("main details[id]")) return;
  const url = new URL(location.href);
  const rows = all(".expandable[id] > details[open]").map(({ parentElement }) => parentElement.id);
  const isShown = rows.includes(url.searchParams.get("open"));
  if (target.open && rows.includes(target.parentElement.id)) {
    url.searchParams.set("open", target.parentElement.id);
  } else if (!isShown && rows.length) {
    url.searchParams.set("open", rows.at(-1));
  } else if (!isShown && target.parentElement.matches(".expandable[id]")) {
    url.searchParams.delete("open");
  }
  if (!target.open && url.hash === `#${target.parentElement.id}`) url.hash = "";
  history.replaceState({ open: all("main details[id][open]").map(({ id }) => id) }, "", url);
  currentPath = location.pathname + location.search;
}, true);

async function parsePage(response) {
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  // The parser treats the content of <noscript> as ordinary elements, so remove <noscript>.
  for (const element of all("noscript", page)) element.remove();
  return page;
}

// Finds the element that replaced an old element, by its id. Without an id, a form is found by its
// action, and a link by its URL and text. A control is found by its form, type, name, and value.
function findCounterpart(old) {
  if (!old || old.isConnected) return old;
  if (old.id) return document.getElementById(old.id);
  const findBy = (list, key) => list.find((element) => key(element) === key(old));
  if (old.matches("form")) {
    return findBy([...document.forms], (form) => form.getAttribute("action"));
  }
  if (old.matches("a")) {
    return findBy(all("[data-region] a"), (link) => link.getAttribute("href") + textOf(link));
  }
  if (old.matches("summary")) {
    return findCounterpart(old.parentElement)?.querySelector("summary");
  }
  const controls = old.form ? [...(findCounterpart(old.form)?.elements ?? [])] : all("button");
  const candidates = controls.filter(({ type, name }) => type === old.type && name === old.name);
  const identity = (control) => {
    const { copy, copyFrom } = control.dataset;
    return [control.value, copy, copyFrom, textOf(control)].join();
  };
  return findBy(candidates, identity)
    // The value of a switch changes with each click; its text doesn't.
    ?? (isCheckable(old) ? undefined : findBy(candidates, textOf));
}

const outermostRegions = (root) => all("[data-region][id]", root)
  .filter((region) => !region.parentElement.closest("[data-region]"));
// Pages with the same structure have the same regions, layout, and scripts. A page with a different
// structure needs a full page load.
const structure = (root) => [
  ...outermostRegions(root).map((region) => region.id),
  root.getElementById("main")?.className,
  ...[...root.scripts].map((element) => element.getAttribute("src")),
].join("|");

// The control that opened the focused form or confirmation.
let opener;

// Restores the values that a form was loaded with, for a field with unsaved input. From these
// values, the server detects conflicting changes by another user.
function keepLoadedValues(field, newField) {
  const loaded = ({ form, name }) => [...form?.elements ?? []]
    .filter((element) => element.name.startsWith(`loaded.${name}`));
  for (const old of loaded(field)) {
    const updated = loaded(newField).find(({ name }) => name === old.name);
    if (updated) updated.value = old.value;
  }
  if (field.form && "unsaved" in field.form.dataset) newField.form.dataset.unsaved = "";
}

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
  // Unsaved input is restored. The submitted form is an exception, because the response contains
  // its values. If the form was submitted again before this response arrived, its input is restored
  // too.
  const isResubmitted = [...inFlight].some(
    (other) => other !== request && other.form === request.form);
  const submittedForm = isResubmitted ? undefined : request.form;
  const unsaved = regions.flatMap((region) => all("input, textarea, select", region))
    .filter((field) => !(submittedForm && field.form === submittedForm) && isDirty(field))
    .map((field) => [field, currentValue(field)]);
  const { rowTag, rowIndex } = request;
  const wasOpen = new Map(all("details[id]").map((details) => [details.id, details.open]));

  regions.forEach((region, index) => region.replaceWith(newRegions[index]));
  document.title = page.title;
  if (!target) lastChange = page.body.dataset.lastChange;
  for (const [field, value] of unsaved) {
    const newField = findCounterpart(field);
    if (!newField) continue;
    if (currentValue(newField) !== value) {
      newField[isCheckable(newField) ? "checked" : "value"] = value;
    }
    keepLoadedValues(field, newField);
  }
  for (const other of inFlight) {
    for (const role of ["form", "link", "submitter"]) {
      other[role] = findCounterpart(other[role]) ?? other[role];
    }
    if (other !== request) markInFlight(other);
  }
  // Open details stay open. The server can open details that it rendered as closed before, and any
  // details in the row of the submitted form or the clicked link.
  const row = findCounterpart(initiator)?.closest("article, li, tr");
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

  // Returns the element that receives the focus if the focused element was removed. After a change,
  // the focus moves to a control in the new or next row. After "Cancel", the focus moves to the
  // control that opened the form.
  function findSuccessor() {
    const opened = new URLSearchParams(location.search).get("open");
    const siblings = all(rowTag ? `main ${rowTag}` : "none");
    const next = siblings[Math.min(rowIndex, siblings.length - 1)];
    const controls = [document.getElementById(opened), rowIndex < 0 ? undefined : next]
      .map((row) => row?.querySelector("summary, .message[href], button, a[href]"));
    const fromOpener = opener && findCounterpart(opener);
    return (request.method === "post" ? [...controls, fromOpener] : [fromOpener, ...controls])
      .find(Boolean) ?? document.getElementById("main");
  }

  // Moves the focus to an invalid field or to the form that the request opened, unless the user has
  // moved the focus. Otherwise, restores the focus.
  function restoreFocus() {
    const within = (selector) => newRegions.flatMap((region) => all(selector, region));
    const isIdle = !active || active === document.body || initiator?.contains(active)
      || active === request.submitter;
    const invalid = failed && within("[aria-invalid=true]")[0];
    const newFocus = isIdle && (invalid
      || within("[autofocus]").find(({ id, name }) => !autofocused.has(id || name)));
    const sameFocus = active !== document.body && findCounterpart(active);
    if (!newFocus) scrollTo(x, y);
    if (newFocus) {
      if (newFocus !== invalid) opener = request.submitter ?? request.link;
      newFocus.focus();
    }
    else if (sameFocus) {
      sameFocus.focus({ preventScroll: true });
      if (selection && selection[0] !== null && sameFocus !== active) {
        sameFocus.setSelectionRange(...selection);
      }
    } else if (active !== document.body || !findCounterpart(initiator)) {
      (within("[autofocus]")[0] ?? within("[data-focus]")[0] ?? findSuccessor())?.focus();
    }
  }
}
