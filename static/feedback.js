// Keyboard shortcuts, bulk selection, live updates, and browser notifications for the feedback
// list. The page works without this file. Most shortcuts click a control of the page, so the
// shortcut and the control have the same effect. Users can disable the shortcuts in the dialog that
// `?` and "Shortcuts" open. The browser stores this setting.
"use strict";
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  const STORAGE_KEY = "miniback.shortcuts";
  let isDisabled = false;
  try {
    isDisabled = localStorage.getItem(STORAGE_KEY) === "off";
  } catch { /* without storage, shortcuts are enabled */ }

  // ---- The current item: the focused item, otherwise the last item used with a shortcut ----
  let last = { id: "", index: 0 }, usesKeyboard = false;
  const items = () => all("article.item");
  const currentItem = () => document.activeElement?.closest("article.item") ?? byId(last.id);
  function remember() {
    const item = document.activeElement?.closest("article.item");
    if (item) last = { id: item.id, index: items().indexOf(item) };
  }
  function focusItem(item) {
    if (!item) return;
    const control = item.querySelector(".message[href], .toggle, .segmented button");
    control.focus({ preventScroll: true });
    item.scrollIntoView({ block: "nearest" });
    remember();
  }
  function moveFocus(by) {
    const neighbor = byId(by > 0 ? "next" : "previous"); // on the page of one item
    if (neighbor) return neighbor.click();
    const list = items(), at = list.indexOf(currentItem());
    const start = last.id ? Math.min(last.index, list.length - 1) : 0;
    focusItem(at < 0 ? list[start] : list[at + by]);
  }

  // ---- Keyboard shortcuts ----
  function setStatus(number) {
    const hasSelection = checkboxes().some((checkbox) => checkbox.checked);
    const buttons = hasSelection ? all("#selection [name=status]")
      : [...(currentItem()?.querySelectorAll(".segmented button") ?? [])];
    const button = buttons[number - 1];
    if (button && button.ariaPressed !== "true") button.click();
  }
  const shortcuts = {
    j: () => moveFocus(1), k: () => moveFocus(-1),
    1: () => setStatus(1), 2: () => setStatus(2), 3: () => setStatus(3),
    x: () => currentItem()?.querySelector(".item-select input")?.click(),
    u: () => byId("undo")?.click(),
    "/": () => { byId("q")?.focus(); byId("q")?.select(); },
    "?": () => showShortcuts(),
  };
  const INPUTS = "input:not([type=checkbox]), textarea, select, [contenteditable], dialog, "
    + "[popover]";
  addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (isDisabled || event.defaultPrevented || event.isComposing) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (!Object.hasOwn(shortcuts, key) || target.closest?.(INPUTS)) return;
    event.preventDefault();
    remember();
    usesKeyboard = true;
    shortcuts[key]();
  });
  addEventListener("pointerdown", () => { usesKeyboard = false; });

  function showShortcuts() {
    if (!byId("shortcuts")) return;
    byId("shortcuts-on").checked = !isDisabled;
    byId("shortcuts").showModal();
  }
  addEventListener("click", ({ target }) => {
    if (target.closest("[data-shortcuts]")) showShortcuts();
    target.closest("[data-dismiss]")?.closest(".notice").remove();
  });

  // ---- Bulk selection ----
  const checkboxes = () => all(".item-select input");
  function updateSelection() {
    const list = checkboxes(), selectAll = byId("select-all");
    const count = list.filter((checkbox) => checkbox.checked).length;
    if (!selectAll) return;
    selectAll.checked = count > 0 && count === list.length;
    selectAll.indeterminate = count > 0 && count < list.length;
    byId("selection-count").value = count ? `${count} selected` : "";
  }
  addEventListener("change", ({ target }) => {
    if (target.id === "select-all") {
      for (const checkbox of checkboxes()) checkbox.checked = target.checked;
    }
    if (target.id === "shortcuts-on") {
      isDisabled = !target.checked;
      try {
        localStorage.setItem(STORAGE_KEY, isDisabled ? "off" : "on");
      } catch { /* without storage, the setting lasts until the page is closed */ }
    }
    if (target.matches("#select-all, .item-select input")) updateSelection();
  });

  // ---- Live updates: new items appear in the list, or as a link "3 new" if the user is busy ----
  // Ids sort by creation time.
  const newestId = () => items().reduce((id, item) => (item.id > id ? item.id : id), "");
  let knownId = newestId(), isLive = false;
  const isBusy = () => scrollY > 120 || byId("q")?.defaultValue
    || checkboxes().some((checkbox) => checkbox.checked) || document.querySelector("article.open");
  document.addEventListener("miniback:refreshed", ({ detail: page }) => {
    isLive = true;
    document.title = page.title;
    if (byId("sort")?.value) return; // oldest first: new items are at the end of the list
    const list = page.getElementById("list");
    const pageItems = [...page.querySelectorAll("article.item")];
    const newItems = pageItems.filter((item) => item.id > knownId);
    if (!list || !knownId || !newItems.length || !isBusy()) return;
    const oldestId = pageItems.at(-1).id;
    for (const item of newItems) item.remove();
    // The new items have displaced older items from the new page. Keep the older items in the list.
    for (const item of items()) if (item.id < oldestId) list.append(item.cloneNode(true));
    const link = Object.assign(page.createElement("a"), {
      className: "new-items", href: location.href, textContent: `${newItems.length} new — show`,
    });
    link.dataset.enhance = link.dataset.replace = "";
    const pill = Object.assign(page.createElement("p"), { id: "new-items", className: "center" });
    pill.setAttribute("role", "status");
    pill.append(link);
    list.before(pill);
  });
  // Shows a browser notification about new items. `static/app/notifications.js` has the switch.
  let notifiedId = knownId;
  function notifyAbout(pageItems) {
    const newItems = pageItems.filter(({ id }) => id > notifiedId && id > knownId);
    if (!newItems.length) return;
    [{ id: notifiedId }] = newItems;
    const title = newItems.length > 1 ? `${newItems.length} new feedback items` : "New feedback";
    const body = newItems[0].querySelector(".message bdi").textContent;
    try {
      if (localStorage.getItem("miniback.notifications") !== "on") return;
      const notification = new Notification(title, { body, tag: "miniback-feedback" });
      notification.onclick = () => { window.focus(); notification.close(); };
    } catch { /* no storage, or a browser in which only service workers can show notifications */ }
  }
  // A hidden tab has no live updates. Every 60 s, this function updates only the number in the
  // tab's title, and shows a notification about new items.
  setInterval(async () => {
    if (!document.hidden || !byId("list")) return;
    const refreshed = { headers: { "Miniback-Refresh": "hidden" } };
    const response = await fetch(location.href, refreshed).catch(() => undefined);
    if (!response?.ok || response.redirected) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    document.title = page.title;
    notifyAbout([...page.querySelectorAll("article.item")]);
  }, 60000);
  let scrollToTop = false;
  addEventListener("click", ({ target }) => {
    if (target.closest("#new-items a")) scrollToTop = true;
  });
  function highlightNewItems() {
    const newItems = isLive ? items().filter((item) => item.id > knownId) : [];
    for (const item of newItems) item.classList.add("just-added");
    if (newItems.length) byId("announcer").textContent = `${newItems.length} new`;
    if (scrollToTop) scrollTo(0, 0);
    if (!isLive || newItems.length) knownId = newestId();
    isLive = scrollToTop = false;
  }

  document.addEventListener("miniback:updated", () => {
    updateSelection();
    highlightNewItems();
    // If the keyboard is in use and the current item has left the list, focus the item that is now
    // at its position.
    const hasNoFocus = document.activeElement === document.body;
    if (usesKeyboard && last.id && !byId(last.id) && hasNoFocus) {
      const list = items();
      focusItem(list[Math.min(last.index, list.length - 1)]);
    }
  });
  updateSelection();
})();
