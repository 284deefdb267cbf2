// Every page works without this file; with it, a press changes what it is about and leaves the rest
// where it was. One mechanism: send the form (or follow the link) by fetch, take the whole page that
// the server answers with, and put its parts in the place of ours. Whatever that cannot do is left to
// the browser's own way, so that nothing is swallowed.
// Relies on: `<main id="main" data-part>` on every page, `#announcer` outside of it, `connect-src 'self'`.
"use strict";
(() => {
  document.documentElement.classList.add("js");

  const running = new Set(); // what is under way: {form or link, submitter, url, method, body, target}
  let turn = Promise.resolve(); // answers that replace the page come one after the other: the last is the newest
  let shown = location.pathname + location.search;
  let leaving = 0; // when a navigation began: it breaks off our requests, which is no failure
  const rendered = new Map(); // <details id>: open or not, as the server last said

  // ---- Announcements ----
  const words = (root) => [...root.querySelectorAll("#messages [role=status], #messages [role=alert]")]
    .map((element) => element.textContent.trim().replace(/\s+/g, " ")).filter(Boolean).join(" ");
  function announce(text) {
    const announcer = document.getElementById("announcer");
    if (!announcer || !text) return;
    announcer.textContent = ""; // the same words twice are said twice
    setTimeout(() => { announcer.textContent = text; }, 60);
  }

  // ---- The same thing in the new page ----
  // By id; else a form by its action, a control by its form, name and value (or words), a link by its address.
  function twin(old) {
    if (!old || old === document.body || old.isConnected) return old;
    if (old.id) return document.getElementById(old.id);
    const same = (list, ...keys) => keys.map((key) => list.find((one) => key(one) === key(old))).find(Boolean);
    if (old.matches("form")) return same([...document.forms], (form) => form.getAttribute("action"));
    if (old.matches("summary")) return twin(old.parentElement)?.querySelector("summary");
    if (old.matches("a")) return same([...document.links], (link) => link.getAttribute("href"));
    const form = old.form && twin(old.form);
    const list = form ? [...form.elements] : [...document.querySelectorAll("button, input, [tabindex]")];
    const kin = list.filter((one) => one.tagName === old.tagName && one.type === old.type && one.name === old.name);
    const key = (one) => one.dataset.copyFrom ?? one.dataset.copy ?? one.value;
    const plain = (one) => !one.matches("[type=radio], [type=checkbox]") && one.textContent;
    return same(kin, (one) => key(one) + plain(one), key, plain) ?? (form && kin.length === 1 ? kin[0] : null);
  }

  // What somebody typed or chose and has not sent yet.
  const state = (field) => field.type === "checkbox" || field.type === "radio" ? field.checked
    : field.matches("select") ? [...field.options].map((option) => option.selected).join() : field.value;
  const dirty = (field) => field.type === "checkbox" || field.type === "radio" ? field.checked !== field.defaultChecked
    : field.matches("select") ? [...field.options].some((option) => option.selected !== option.defaultSelected)
      && field.selectedIndex !== 0 | [...field.options].some((option) => option.defaultSelected)
    : !["hidden", "file", "submit", "button"].includes(field.type) && field.value !== field.defaultValue;
  function restore(field, was) {
    if (!field || state(field) === was.state) return;
    if (typeof was.state === "boolean") field.checked = was.state;
    else field.value = was.value;
  }

  // ---- Putting the answer in place ----
  const outermost = (root) => [...root.querySelectorAll("[data-part][id]")].filter((part) => !part.parentElement.closest("[data-part]"));
  // Pages are alike if the same parts, layout and scripts make them up; another kind of page is loaded as a page.
  const kind = (root) => [...outermost(root).map((part) => part.id), root.getElementById("main")?.className,
    ...[...root.scripts].map((script) => script.getAttribute("src"))].join("|");

  function swap(answer, job, failed) {
    const find = (id) => id && document.getElementById(id) && answer.getElementById(id) ? [document.getElementById(id)] : [];
    const aim = find(job.target);
    const parts = aim.length ? [...aim, ...find("messages").filter((one) => !aim[0].contains(one))] : outermost(document);
    const from = job.form ?? job.link;
    const active = document.activeElement;
    const caret = active?.matches("input, textarea") ? [active.selectionStart, active.selectionEnd] : null;
    const [x, y] = [scrollX, scrollY];
    const hadFocus = new Set([...document.querySelectorAll("[autofocus]")].map((one) => one.id || one.name));
    // The fields of the form that was sent are the server's to fill, unless more of it is still on its way.
    const sent = [...running].some((other) => other !== job && other.form === job.form) ? null : job.form;
    const kept = parts.flatMap((part) => [...part.querySelectorAll("input, textarea, select")])
      .filter((field) => (field.form === null || field.form !== sent) && dirty(field))
      .map((field) => ({ field, state: state(field), value: field.value }));
    const folded = new Map([...document.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    const fresh = parts.map((part) => answer.getElementById(part.id));

    parts.forEach((part, index) => part.replaceWith(fresh[index]));
    document.title = answer.title;
    for (const was of kept) restore(twin(was.field), was);
    for (const other of running) { // what is still under way stays marked as such
      other.form = twin(other.form) ?? other.form;
      other.submitter = twin(other.submitter) ?? other.submitter;
      if (other !== job) mark(other, true);
    }
    // What was open stays open; the server opens what it newly says is open, and the row that was pressed.
    const row = twin(from)?.closest("article, li, tr");
    for (const part of fresh) for (const one of part.querySelectorAll("details[id]")) {
      const said = one.open;
      if (folded.has(one.id)) one.open = folded.get(one.id) || (said && (!rendered.get(one.id) || !!row?.contains(one)));
      rendered.set(one.id, said);
    }

    // Focus follows what the press was for, unless somebody has gone on to something else meanwhile.
    const within = (selector, fits = () => true) => fresh.flatMap((part) => [...part.querySelectorAll(selector)]).find(fits);
    const idle = !active || active === document.body || from?.contains(active) || active === from || active === job.submitter;
    const asked = idle && ((failed && within("[aria-invalid=true]")) || within("[autofocus]", (one) => !hadFocus.has(one.id || one.name)));
    const again = active !== document.body && twin(active);
    if (!asked) scrollTo(x, y);
    if (asked) asked.focus();
    else if (again) {
      again.focus({ preventScroll: true });
      if (caret?.[0] != null && document.activeElement === again) again.setSelectionRange(...caret);
    } else if (idle || !active.isConnected) (within("[autofocus]") ?? within("[data-focus]"))?.focus();
    document.dispatchEvent(new CustomEvent("miniback:swapped"));
  }

  // ---- Sending ----
  function mark(job, on) {
    const pressed = job.submitter ?? job.link ?? job.form;
    for (const name of pressed === job.form ? ["aria-busy"] : ["aria-busy", "aria-disabled"]) {
      if (on) pressed?.setAttribute(name, "true"); else pressed?.removeAttribute(name);
    }
  }

  // The browser's own way. A form of its own carries the submitter's name and value too.
  function plainly({ method, url, body }) {
    if (method === "get") return location.assign(url);
    const form = Object.assign(document.createElement("form"), { method: "post", action: url.href, hidden: true });
    form.append(...[...body].map(([name, value]) => Object.assign(document.createElement("input"), { type: "hidden", name, value })));
    document.body.append(form);
    HTMLFormElement.prototype.submit.call(form);
  }

  async function send(job) {
    running.add(job);
    mark(job, true);
    try {
      const response = await fetch(job.url, { method: job.method.toUpperCase(), body: job.method === "get" ? undefined : job.body,
        credentials: "same-origin", headers: { Accept: "text/html" } });
      const url = new URL(response.url);
      const html = (response.headers.get("Content-Type") ?? "").startsWith("text/html");
      if (!html || url.origin !== location.origin) return plainly(job);
      if (url.pathname.endsWith("/login")) return location.assign(url); // the session has ended
      const answer = new DOMParser().parseFromString(await response.text(), "text/html");
      for (const one of answer.querySelectorAll("noscript")) one.remove(); // parsed as live markup there
      const arrived = response.redirected || job.method === "get"; // else the address takes only posts
      if (kind(answer) !== kind(document)) return arrived && response.ok ? location.assign(url) : plainly(job);
      if (arrived) {
        // A step that the browser would remember is remembered; a post only changes where one stands.
        url.hash = job.url.hash;
        const step = job.method === "get" && !job.replace && url.pathname + url.search !== shown;
        history[step ? "pushState" : "replaceState"](null, "", url);
        shown = url.pathname + url.search;
      }
      swap(answer, job, !response.ok);
      announce(words(document));
    } catch (error) {
      if (Date.now() - leaving > 3000) plainly(job);
    } finally {
      running.delete(job);
      mark(job, false);
    }
  }
  // An answer for one part only (a Test that takes 5 s) holds nothing else up.
  function enqueue(job) {
    if (job.target) return send(job);
    running.add(job);
    mark(job, true);
    turn = turn.then(() => send(job));
  }

  addEventListener("submit", (event) => {
    const form = event.target, submitter = event.submitter;
    if (event.defaultPrevented || !form.matches("form[data-enhance]")) return;
    event.preventDefault();
    const saves = !submitter && form.querySelector("[data-autosave]");
    if (!saves && [...running].some((job) => job.form === form && job.submitter === submitter)) return; // pressed twice
    const body = new URLSearchParams(new FormData(form));
    if (submitter?.name) body.append(submitter.name, submitter.value);
    const method = (submitter?.getAttribute("formmethod") ?? form.getAttribute("method") ?? "get").toLowerCase();
    const url = new URL(submitter?.getAttribute("formaction") || form.getAttribute("action") || location.href, location.href);
    if (method === "get") url.search = body;
    const given = (name) => submitter?.getAttribute(name) ?? form.getAttribute(name);
    enqueue({ form, submitter, method, url, body, target: given("data-part-target"), replace: given("data-replace") !== null });
  });

  addEventListener("click", (event) => {
    const copier = event.target.closest?.("button[data-copy], button[data-copy-from]");
    if (copier) return copy(copier);
    const link = event.target.closest?.("a[data-enhance]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const url = new URL(link.href);
    if (link.target || url.origin !== location.origin) return;
    event.preventDefault();
    if ([...running].some((job) => job.link === link)) return;
    enqueue({ link, method: "get", url, target: link.dataset.partTarget, replace: "replace" in link.dataset });
  });

  addEventListener("change", (event) => {
    if (event.target.matches("[data-autosave], select[data-autosubmit]")) event.target.form.requestSubmit();
  });

  // ---- Copying ----
  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    const fetched = async () => {
      const response = await fetch(button.dataset.copyFrom, { credentials: "same-origin" });
      if (!response.ok || !(response.headers.get("Content-Type") ?? "").startsWith("text/plain")) throw new Error("no text");
      return response.text();
    };
    const text = button.dataset.copyFrom ? fetched() : Promise.resolve(source?.value ?? source?.textContent ?? "");
    const done = await write(text).then(() => true, () => false);
    if (!done) source?.select?.();
    announce(done ? "Copied" : "Select and copy it yourself");
    const label = [...button.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()).pop();
    if (!label) return;
    button.dataset.label ??= label.data;
    label.data = done ? "Copied" : "Not copied";
    clearTimeout(button.timer);
    button.timer = setTimeout(() => { label.data = button.dataset.label; }, 2000);
  }
  async function write(text) {
    try { // handed over as a promise, for Safari wants to be called within the press itself
      const blob = text.then((value) => new Blob([value], { type: "text/plain" }));
      return await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
    } catch {} // no such interface, which plain http never has: the old way
    const before = document.activeElement;
    const area = Object.assign(document.createElement("textarea"), { value: await text, readOnly: true, className: "hidden-visually" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    before?.focus({ preventScroll: true });
    if (!done) throw new Error("not copied");
  }

  // ---- Relative times, by the same steps as the server's ----
  function age(element) {
    const seconds = (Date.now() - Date.parse(element.dateTime)) / 1000;
    if (!(seconds >= 0 && seconds < 172800)) return;
    const text = seconds < 60 ? "just now" : seconds < 3600 ? `${Math.floor(seconds / 60)} min ago`
      : seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : "yesterday";
    if (element.textContent !== text) element.textContent = text;
  }
  setInterval(() => document.querySelectorAll("time[datetime][data-relative]").forEach(age), 30000);

  // ---- Back and forward ----
  addEventListener("popstate", () => {
    if (location.pathname + location.search === shown) return; // only the fragment changed
    shown = location.pathname + location.search;
    enqueue({ method: "get", url: new URL(location.href), replace: true });
  });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); }); // its state is past
  addEventListener("beforeunload", () => { leaving = Date.now(); });

  for (const one of document.querySelectorAll("details[id]")) rendered.set(one.id, one.open);
  announce(words(document));
})();
