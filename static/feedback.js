// The feedback list by keys, and several of it at once. The page works without this file.
// Keys press what is on the page, so they do what it does, and `app.js` puts the answer in place. They can be switched
// off in the dialog that `?` and the button "Keys" open; this browser remembers it.
"use strict";
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  const NAME = "miniback.keys";
  let off = false;
  try { off = localStorage.getItem(NAME) === "off"; } catch { /* kept from us: they are on */ }

  // ---- Where one stands: the item with the focus, else the last one that was gone to ----
  let last = { id: "", index: 0 }, byKey = false;
  const items = () => all("article.item");
  const here = () => document.activeElement?.closest("article.item") ?? byId(last.id);
  function remember() {
    const item = document.activeElement?.closest("article.item");
    if (item) last = { id: item.id, index: items().indexOf(item) };
  }
  function go(item) {
    if (!item) return;
    (item.querySelector(".message[href]") ?? item.querySelector(".segmented button")).focus({ preventScroll: true });
    item.scrollIntoView({ block: "nearest" });
    remember();
  }
  function step(by) {
    const list = items(), at = list.indexOf(here());
    go(at < 0 ? list[last.id ? Math.min(last.index, list.length - 1) : 0] : list[at + by]);
  }

  // ---- What each key does ----
  function mark(number) {
    const picked = picks().some((pick) => pick.checked);
    const button = (picked ? all("#selection [name=status]") : [...(here()?.querySelectorAll(".segmented button") ?? [])])[number - 1];
    if (button && button.ariaPressed !== "true") button.click();
  }
  const keys = {
    j: () => step(1), k: () => step(-1), 1: () => mark(1), 2: () => mark(2), 3: () => mark(3),
    x: () => here()?.querySelector(".item-select input")?.click(),
    u: () => byId("undo")?.click(),
    "/": () => { byId("q")?.focus(); byId("q")?.select(); },
    "?": () => showKeys(),
  };
  addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (off || event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, key)
      || target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable], dialog, [popover]")) return;
    event.preventDefault();
    remember();
    byKey = true;
    keys[key]();
  });
  addEventListener("pointerdown", () => { byKey = false; });

  // ---- The list of keys ----
  function showKeys() {
    if (!byId("shortcuts")) return;
    byId("shortcuts-on").checked = !off;
    byId("shortcuts").showModal();
  }
  addEventListener("click", ({ target }) => {
    if (target.closest("[data-shortcuts]")) showKeys();
    target.closest("[data-dismiss]")?.closest(".notice").remove();
  });

  // ---- Several at once ----
  const picks = () => all(".item-select input");
  function count() {
    const list = picks(), picked = list.filter((pick) => pick.checked).length, box = byId("select-all");
    if (!box) return;
    box.checked = picked > 0 && picked === list.length;
    box.indeterminate = picked > 0 && picked < list.length;
    byId("selection-count").value = picked ? `${picked} selected` : "";
  }
  addEventListener("change", ({ target }) => {
    if (target.id === "select-all") for (const pick of picks()) pick.checked = target.checked;
    if (target.id === "shortcuts-on") {
      off = !target.checked;
      try { localStorage.setItem(NAME, off ? "off" : "on"); } catch { /* for this page, then */ }
    }
    if (target.matches("#select-all, .item-select input")) count();
  });

  // ---- Live: what is new appears, or waits behind "3 new" for who has scrolled, searches, selects or reads ----
  // Ids sort in the order in which feedback came.
  const newest = () => items().reduce((id, item) => (item.id > id ? item.id : id), "");
  let known = newest(), live = false;
  const isBusy = () => scrollY > 120 || byId("q")?.defaultValue || picks().some((pick) => pick.checked) || document.querySelector("article.open");
  document.addEventListener("miniback:fresh", ({ detail: answer }) => {
    live = true;
    const list = answer.getElementById("list"), came = [...answer.querySelectorAll("article.item")], fresh = came.filter((item) => item.id > known);
    if (!list || !known || !fresh.length || !isBusy()) return;
    const end = came.at(-1).id;
    for (const item of fresh) item.remove();
    for (const item of items()) if (item.id < end) list.append(item.cloneNode(true)); // the page has room for them again
    const link = Object.assign(answer.createElement("a"), { className: "new-items", href: location.href, textContent: `${fresh.length} new — show` });
    link.dataset.enhance = link.dataset.replace = "";
    const news = Object.assign(answer.createElement("p"), { id: "new-items", className: "center" });
    news.setAttribute("role", "status");
    news.append(link);
    list.before(news);
  });
  let toTop = false;
  addEventListener("click", ({ target }) => { if (target.closest("#new-items a")) toTop = true; });
  function welcome() {
    const fresh = live ? items().filter((item) => item.id > known) : [];
    for (const item of fresh) item.classList.add("just-added");
    if (fresh.length) byId("announcer").textContent = `${fresh.length} new`;
    if (toTop) scrollTo(0, 0);
    if (!live || fresh.length) known = newest();
    live = toTop = false;
  }

  document.addEventListener("miniback:swapped", () => {
    count();
    welcome();
    // What was dealt with has left the list: on with what stands in its place.
    if (byKey && last.id && !byId(last.id) && document.activeElement === document.body) {
      const list = items();
      go(list[Math.min(last.index, list.length - 1)]);
    }
  });
  count();
})();
