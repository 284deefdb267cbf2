// Every page works without this file; with it, a press changes what it is about and leaves the rest
// where it was. One mechanism: send the form (or follow the link) by fetch, take the whole page that
// the server answers with, and put its parts in the place of ours. Whatever that cannot do is left to
// the browser's own way, so that nothing is swallowed.
// Relies on: `<main id="main" data-region>` on every page, `#announcer` outside of it, `connect-src 'self'`.
"use strict";
(() => {
  document.documentElement.classList.add("js");

  const script = document.currentScript.src;
  const running = new Set(); // what is under way: {form or link, submitter, method, url, body, target, replace}
  let turn = Promise.resolve(); // answers for the whole page come one after the other: the last is the newest
  let shown = location.pathname + location.search;
  let leaving = 0; // when a navigation began: it breaks off our requests, which is no failure
  let seen = document.body.dataset.lastChange; // the number of the newest change that this page shows
  const rendered = new Map(); // <details id>: open or not, as the server last said
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // ---- Announcements: the messages, and any other notice that was not there before ----
  const words = (element) => element.textContent.trim().replace(/\s+/g, " ");
  const notices = () => all("[role=status], [role=alert]");
  function announce(...texts) {
    const announcer = document.getElementById("announcer"), text = [...new Set(texts)].filter(Boolean).join(" ");
    if (!announcer || !text) return;
    announcer.textContent = ""; // the same words twice are said twice
    setTimeout(() => { announcer.textContent = text; }, 60);
  }

  // ---- The same thing in the new page ----
  // By id; else a form by its action, a link by its address, a control by its form, name and value (or words).
  function twin(old) {
    if (!old || old.isConnected) return old;
    if (old.id) return document.getElementById(old.id);
    const like = (list, key) => list.find((one) => key(one) === key(old));
    if (old.matches("form")) return like([...document.forms], (form) => form.getAttribute("action"));
    if (old.matches("a")) return like([...document.links], (link) => link.getAttribute("href"));
    if (old.matches("summary")) return twin(old.parentElement)?.querySelector("summary");
    const list = old.form ? [...(twin(old.form)?.elements ?? [])] : all("button");
    const kin = list.filter((one) => one.type === old.type && one.name === old.name);
    return like(kin, (one) => [one.value, one.dataset.copy, one.dataset.copyFrom, words(one)].join())
      ?? (isCheck(old) ? undefined : like(kin, words)); // a switch's value turns round, its words stay
  }

  // What somebody typed or chose and has not sent yet.
  const isCheck = (field) => field.type === "checkbox" || field.type === "radio";
  const value = (field) => (isCheck(field) ? field.checked : field.value);
  function dirty(field) {
    if (isCheck(field)) return field.checked !== field.defaultChecked;
    if (field.matches("select")) return !field.selectedOptions[0]?.defaultSelected && field.selectedIndex > 0;
    return field.type !== "hidden" && field.type !== "file" && field.value !== field.defaultValue;
  }

  // ---- Putting the answer in place ----
  const outermost = (root) => all("[data-region][id]", root).filter((part) => !part.parentElement.closest("[data-region]"));
  // Pages of one kind have the same parts, layout and scripts; a page of another kind is loaded as a page.
  const kind = (root) => [...outermost(root).map((part) => part.id), root.getElementById("main")?.className,
    ...[...root.scripts].map((script) => script.getAttribute("src"))].join("|");

  function swap(answer, job, failed) {
    const aim = answer.getElementById(job.target) && document.getElementById(job.target);
    const parts = aim ? [aim, ...all("#messages").filter((one) => !aim.contains(one))] : outermost(document);
    const fresh = parts.map((part) => answer.getElementById(part.id) ?? part);
    const from = job.form ?? job.link, active = document.activeElement, [x, y] = [scrollX, scrollY];
    const caret = active?.matches("input, textarea") && [active.selectionStart, active.selectionEnd];
    const asking = new Set(all("[autofocus]").map((one) => one.id || one.name));
    const known = new Set(notices().map(words));
    // The fields of the form that was sent are the server's to fill, unless more of it is still on its way.
    const sent = [...running].some((other) => other !== job && other.form === job.form) ? undefined : job.form;
    const kept = parts.flatMap((part) => all("input, textarea, select", part))
      .filter((field) => !(sent && field.form === sent) && dirty(field)).map((field) => [field, value(field)]);
    const folded = new Map(all("details[id]").map((one) => [one.id, one.open]));

    parts.forEach((part, index) => part.replaceWith(fresh[index]));
    document.title = answer.title;
    if (!aim) seen = answer.body.dataset.lastChange;
    for (const [field, was] of kept) {
      const now = twin(field);
      if (now && value(now) !== was) now[isCheck(now) ? "checked" : "value"] = was;
    }
    for (const other of running) { // what is still under way stays marked as such
      for (const role of ["form", "link", "submitter"]) other[role] = twin(other[role]) ?? other[role];
      if (other !== job) mark(other, true);
    }
    // What was open stays open; the server opens what it newly says is open, and the row that was pressed.
    const row = twin(from)?.closest("article, li, tr");
    for (const one of fresh.flatMap((part) => all("details[id]", part))) {
      const said = one.open;
      if (folded.has(one.id)) one.open = folded.get(one.id) || (said && (!rendered.get(one.id) || !!row?.contains(one)));
      rendered.set(one.id, said);
    }

    // Focus goes to what the press was for, unless somebody has gone on to something else meanwhile.
    const within = (selector) => fresh.flatMap((part) => all(selector, part));
    const idle = !active || active === document.body || from?.contains(active) || active === job.submitter;
    const asked = idle && ((failed && within("[aria-invalid=true]")[0]) || within("[autofocus]").find((one) => !asking.has(one.id || one.name)));
    const again = active !== document.body && twin(active);
    if (!asked) scrollTo(x, y);
    if (asked) asked.focus();
    else if (again) {
      again.focus({ preventScroll: true });
      if (caret && caret[0] !== null && again !== active) again.setSelectionRange(...caret);
    } else if (active !== document.body || !twin(from)) (within("[autofocus]")[0] ?? within("[data-focus]")[0])?.focus();
    announce(...notices().filter((one) => one.closest("#messages") || !known.has(words(one))).map(words));
    document.dispatchEvent(new CustomEvent("miniback:swapped"));
  }

  // ---- Sending ----
  function mark(job, on) {
    const pressed = job.submitter ?? job.link;
    for (const name of ["aria-busy", "aria-disabled"]) if (on) pressed?.setAttribute(name, "true"); else pressed?.removeAttribute(name);
  }

  // The browser's own way. A form made for it carries the submitter's name and value too.
  function plainly({ method, url, body }) {
    if (method === "get") return location.assign(url);
    const form = Object.assign(document.createElement("form"), { method: "post", action: url.href, hidden: true });
    form.append(...[...body].map(([name, value]) => Object.assign(document.createElement("input"), { type: "hidden", name, value })));
    document.body.append(form);
    HTMLFormElement.prototype.submit.call(form); // a field may be named "submit"
  }

  async function send(job) {
    let elsewhere = () => plainly(job);
    try {
      const response = await fetch(job.url, { method: job.method.toUpperCase(), body: job.body, credentials: "same-origin",
        signal: AbortSignal.timeout(30000) }); // one that is never answered must not hold up the rest
      const url = new URL(response.url), arrived = response.redirected || job.method === "get"; // else it takes only posts
      const html = response.headers.get("Content-Type")?.startsWith("text/html") && url.origin === location.origin;
      const answer = html && new DOMParser().parseFromString(await response.text(), "text/html");
      if (arrived) elsewhere = () => location.assign(url);
      if (!html || url.pathname.endsWith("/login") || kind(answer) !== kind(document)) return elsewhere();
      for (const one of all("noscript", answer)) one.remove(); // the parser takes its content for the page's
      if (arrived) { // a step is remembered by the browser; a post only changes where one stands
        const step = job.method === "get" && !job.replace && url.pathname + url.search !== shown;
        url.hash = job.url.hash;
        history[step ? "pushState" : "replaceState"](null, "", url);
        shown = url.pathname + url.search;
      }
      swap(answer, job, !response.ok);
    } catch {
      if (Date.now() - leaving > 3000) elsewhere();
    } finally {
      running.delete(job);
      mark(job, false);
    }
  }
  function start(job) {
    running.add(job);
    mark(job, true);
    if (job.target) send(job); // an answer for one part (a Test that takes 5 s) holds nothing else up
    else turn = turn.then(() => send(job));
  }

  addEventListener("submit", (event) => {
    const form = event.target, submitter = event.submitter;
    if (event.defaultPrevented || !form.matches("form[data-enhance]")) return;
    event.preventDefault();
    const saves = !submitter && form.querySelector("[data-autosave]"); // each change counts, a second press does not
    if (!saves && [...running].some((job) => job.form === form && job.submitter === submitter)) return;
    const given = (name) => submitter?.getAttribute(`form${name}`) ?? form.getAttribute(name);
    const method = given("method")?.toLowerCase() ?? "get", url = new URL(given("action") ?? "", location.href);
    const fields = new URLSearchParams(new FormData(form));
    if (submitter?.name) fields.append(submitter.name, submitter.value);
    if (method === "get") url.search = fields;
    start({ form, submitter, method, url, body: method === "get" ? undefined : fields, replace: "replace" in form.dataset,
      target: submitter?.dataset.targetRegion ?? form.dataset.targetRegion });
  });

  addEventListener("click", (event) => {
    const copier = event.target.closest("button[data-copy], button[data-copy-from]"), link = event.target.closest("a[data-enhance]");
    if (copier) return copy(copier);
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    if ([...running].some((job) => job.link === link)) return;
    start({ link, method: "get", url: new URL(link.href), target: link.dataset.targetRegion, replace: "replace" in link.dataset });
  });

  addEventListener("change", ({ target }) => {
    if (target.matches("[data-autosave], select[data-autosubmit]")) target.form.requestSubmit();
  });

  // ---- Copying ----
  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    const done = await write(button.dataset.copyFrom ? fetched(button.dataset.copyFrom)
      : Promise.resolve(source.value ?? source.textContent)).then(() => true, () => false);
    if (!done) source?.select?.();
    announce(done ? "Copied" : "Select and copy it yourself");
    const label = [...button.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()).pop();
    if (!label) return;
    button.dataset.label ??= label.data;
    label.data = done ? "Copied" : "Not copied";
    setTimeout(() => { label.data = button.dataset.label; }, 2000);
  }
  async function fetched(url) { // a secret is not in the page before somebody asks for it
    const response = await fetch(url, { credentials: "same-origin" });
    if (!response.ok || !response.headers.get("Content-Type")?.startsWith("text/plain")) throw new Error("no text came");
    return response.text();
  }
  async function write(text) {
    try { // as a promise within the press itself, which Safari insists on
      const blob = text.then((words) => new Blob([words], { type: "text/plain" }));
      return await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
    } catch { /* addresses of plain http have no such thing */ }
    const before = document.activeElement;
    const area = Object.assign(document.createElement("textarea"), { value: await text, readOnly: true, className: "visually-hidden" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    before?.focus({ preventScroll: true });
    if (!done) throw new Error("the browser copies nothing");
  }

  // ---- Relative times, by the same steps as the server's ----
  setInterval(() => {
    for (const time of all("time[datetime][data-relative]")) {
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      if (seconds >= 0 && seconds < 172800) time.textContent = seconds < 60 ? "just now" : seconds < 3600 ? `${Math.floor(seconds / 60)} min ago`
        : seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : "yesterday";
    }
  }, 30000);

  setInterval(() => { // what is to come soon
    for (const time of all("time[data-until]")) {
      const left = Math.ceil((Date.parse(time.dateTime) - Date.now()) / 1000);
      if (left < 100) time.textContent = left > 0 ? `in ${left} s` : "now";
    }
  }, 1000);

  // ---- Times by the clock of whoever looks; the server tells them in UTC ----
  const clock = (options) => new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", ...options });
  const day = { day: "numeric", month: "short" };
  const [today, exactTime, thisYear, exactly] = [clock(), clock({ second: "2-digit" }), clock(day), clock({ ...day, year: "numeric", second: "2-digit", timeZoneName: "short" })];
  function tellTimes() {
    for (const time of all("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (time.title) time.title = exactly.format(at);
      if ("clock" in time.dataset) time.textContent = (time.dataset.clock ? exactTime : at.toDateString() === new Date().toDateString() ? today : thisYear).format(at);
    }
  }
  document.addEventListener("miniback:swapped", tellTimes);

  // ---- Messages go again by themselves, unless they offer something, or the pointer or the focus is on them ----
  function fade() {
    const box = document.getElementById("messages"), shown = [...(box?.children ?? [])].filter((one) => !one.querySelector("button"));
    if (shown.length) setTimeout(function take() {
      if (box.matches(":hover, :focus-within")) return setTimeout(take, 2000);
      for (const one of shown) one.remove();
    }, 8000);
  }
  document.addEventListener("miniback:swapped", fade);

  // ---- Live: what is marked `data-live` follows what changes, for as long as it is looked at ----
  // Nothing is replaced that is the same: focus, a selection, what is open, typed or scrolled to stays by itself.
  const ours = (element, name) => name === "aria-busy" || name === "aria-disabled" || name === "data-label"
    || (name === "open" && element.matches("details")) || (name === "value" && element.name === "key");
  const same = (old, now) => old.nodeType === now.nodeType && old.nodeName === now.nodeName && (old.id ?? "") === (now.id ?? "");
  function morph(old, now) {
    if (old.id === "messages" || old.isEqualNode(now)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) { old.data = now.data; return; }
    for (const { name } of [...old.attributes]) if (!now.hasAttribute(name) && !ours(old, name)) old.removeAttribute(name);
    for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value && !ours(old, name)) old.setAttribute(name, value);
    const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    const kept = new Set([...now.children].map((child) => child.id).filter(Boolean));
    for (const [id, child] of known) if (!kept.has(id)) child.remove();
    let at = old.firstChild;
    const skip = () => { while (at?.dataset && "liveKeep" in at.dataset) at = at.nextSibling; }; // what was told to this page alone
    for (const child of [...now.childNodes]) {
      skip();
      const twin = known.get(child.id) ?? (at && same(at, child) ? at : undefined);
      while (twin && at && at !== twin && !kept.has(at.id)) { const next = at.nextSibling; at.remove(); at = next; } // moving would blur
      if (twin && same(twin, child)) {
        if (twin === at) at = at.nextSibling; else old.insertBefore(twin, at);
        morph(twin, child);
      } else old.insertBefore(child, at);
    }
    for (skip(); at; skip()) { const next = at.nextSibling; at.remove(); at = next; }
  }

  let source, watched = "", fetching = false, again = false;
  function listen() {
    const of = document.hidden ? "" : [...new Set(all("[data-live]").flatMap((part) => part.dataset.live.split(" ")))].map((name) => `&of=${name}`).join("");
    if (of === watched) return;
    source?.close();
    watched = of;
    if (!of) return;
    const opened = source = new EventSource(new URL(`../live?since=${seen}${of}`, script));
    source.addEventListener("changed", refresh);
    source.addEventListener("ended", () => { opened.close(); refresh(); }); // not opened again before somebody comes back to it
    source.addEventListener("error", () => { // the browser comes back by itself after a break, not after a refusal
      if (opened.readyState === EventSource.CLOSED) setTimeout(() => { if (source === opened) lookAgain(); }, 30000);
    });
  }
  function lookAgain() { watched = ""; listen(); }

  async function refresh() {
    if (fetching) { again = true; return; }
    fetching = true;
    const began = Date.now(), asked = location.pathname + location.search;
    let pause = 250;
    try {
      const response = await fetch(asked, { headers: { "Miniback-Refresh": "live" }, signal: AbortSignal.timeout(30000) });
      const answer = new DOMParser().parseFromString(await response.text(), "text/html");
      if (response.redirected) { // signed out: away from here, unless that would take typed words away
        if (!all("input, textarea, select").some(dirty)) location.assign(response.url);
      } else if (response.status >= 500) throw new Error("not now");
      else if (asked === location.pathname + location.search && response.ok && kind(answer) === kind(document)) {
        for (const one of all("noscript", answer)) one.remove();
        document.dispatchEvent(new CustomEvent("miniback:fresh", { detail: answer })); // a page may hold something of it back
        const known = new Set(notices().map(words));
        for (const part of all("[data-live]")) {
          const now = answer.getElementById(part.id);
          if (now) morph(part, document.importNode(now, true));
        }
        seen = answer.body.dataset.lastChange;
        for (const job of running) mark(job, true);
        announce(...notices().map(words).filter((text) => !known.has(text)));
        document.dispatchEvent(new CustomEvent("miniback:swapped"));
      }
    } catch { again = true; pause = 5000; }
    // A page that takes long to make is asked for less often.
    setTimeout(() => { fetching = false; if (again) { again = false; if (!document.hidden) refresh(); } }, Math.max(pause, 3 * (Date.now() - began)));
  }
  document.addEventListener("miniback:swapped", listen);
  document.addEventListener("visibilitychange", listen);
  addEventListener("focus", () => { if (source?.readyState === EventSource.CLOSED) lookAgain(); });
  addEventListener("pagehide", () => source?.close());

  // ---- Back and forward ----
  addEventListener("popstate", () => {
    if (location.pathname + location.search === shown) return; // only the fragment changed
    start({ method: "get", url: new URL(location.href), replace: true });
  });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); }); // a kept page is out of date
  addEventListener("beforeunload", () => { leaving = Date.now(); });

  for (const one of all("details[id]")) rendered.set(one.id, one.open);
  tellTimes();
  fade();
  listen();
  announce(...notices().filter((one) => one.closest("#messages")).map(words));
})();
