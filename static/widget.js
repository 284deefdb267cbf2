// The feedback widget: a button on any website, and the dialog that it opens. The widget sends no
// requests except to submit feedback.
//
// After a change, run `tests/minifier/run`. The server sends the minified script, and replaces names
// such as __TOKEN__ with values (`src/intake/widget_script.rs`).
//
// It doesn't trust the page. The page can remove the widget, replace global functions, load the
// script repeatedly and in any way, and have any styles and policies. The widget uses a shadow
// root, no inline styles, no HTML from strings, and no form submission. Storage is optional.
"use strict";
(() => {
  // If the script runs again, it only passes its tag to the first run.
  const registry = Symbol.for("miniback"), { currentScript } = document;
  if (window[registry]) return window[registry](currentScript);
  window[registry] = mount;

  // ---- Settings: the attributes of the script tag ----
  let tag, project, server, texts = {}, prefilled;
  // The parameter `project` in the script's URL is for loaders that drop attributes.
  const projectOf = (script) => script?.dataset?.project || new URLSearchParams(script?.src?.split("?")[1]).get("project");
  // Finds the tag if the browser doesn't identify the running tag, or if that tag has been
  // replaced.
  function findTag() {
    let found;
    for (const script of document.querySelectorAll("script[src*='/widget.js'],script[data-project]:not([src])"))
      if (projectOf(script)) found = script;
    return found;
  }

  // ---- Storage in this browser: the draft, and unsent feedback by its idempotency key ----
  // Objects without a prototype have no `toJSON`, which some pages add to all objects and arrays.
  const memory = {};
  const draftKey = () => `miniback:${project}`, unsentKey = () => `${draftKey()}:unsent`;
  const read = (key) => {
    try { return realm().JSON.parse(localStorage[key]); } catch { return memory[key]; }
  };
  // Stores a value, or deletes it if it is undefined. Returns whether the change persists after the
  // page closes.
  const write = (key, value) => {
    memory[key] = value;
    try {
      if (value) localStorage[key] = realm().JSON.stringify({ __proto__: null, ...value }); else delete localStorage[key];
      return true;
    } catch {} // `memory` contains the value until the page closes
  };
  const unsent = () => ({ __proto__: null, ...read(unsentKey()) });
  const forget = (key) => {
    const items = unsent();
    delete items[key];
    write(unsentKey(), Object.keys(items)[0] && items);
  };

  // ---- Sending ----
  const Promise = (async () => {})().constructor; // the page can replace the global `Promise`
  const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  // The server rejects a form token that is younger than 2 s.
  const tokenIsValid = wait(2100);
  // The functions in a new frame are the browser's own. A sandboxed page can't access the frame.
  const realm = () => {
    try { return frame.contentWindow.fetch && frame.contentWindow; } catch { return window; }
  };
  let blocked, flushing, timer;
  function onViolation({ blockedURI, disposition }) {
    if (disposition == "enforce" && blockedURI.startsWith(server)) blocked = true;
  }
  // Sends an unsent item, and deletes it once the server has accepted or rejected it. Returns the
  // problem if there is one, and the delay before a retry in seconds (0 for no retry). If a policy
  // of the page blocks the requests, no retry is scheduled.
  async function send(key, body) {
    const url = `${server}api/feedback`, payload = { __proto__: null, ...body, projectSlug: project, stamp: __TOKEN__ };
    let problem, retryAfter = 60;
    await tokenIsValid;
    const { fetch, JSON, document } = realm();
    document.addEventListener("securitypolicyviolation", onViolation);
    try {
      const [response, json] = await new Promise((resolve, reject) => {
        setTimeout(reject, 30000); // a removed frame never responds
        fetch(url, {
          method: "POST", credentials: "omit",
          headers: { "Content-Type": "application/json", "Idempotency-Key": key, "X-Feedback-Source": "widget" },
          body: JSON.stringify(payload),
        }).then(async (response) => resolve([response, await response.json()])).catch(reject);
      });
      const { status } = response;
      // 409: the feedback was stored earlier, and has been deleted.
      if (!response.ok && status != 409) problem = json;
      if (status < 500 && status != 429 && status != 408) retryAfter = 0;
      else retryAfter = +response.headers.get("Retry-After") || retryAfter;
    } catch {
      await wait(100); // the event `securitypolicyviolation` can arrive after the error
    }
    if (!retryAfter) forget(key);
    else if (!blocked) {
      clearTimeout(timer);
      timer = setTimeout(flush, retryAfter * 1000);
    }
    return [problem, retryAfter];
  }
  async function flush() {
    if (flushing) return;
    flushing = true;
    const items = unsent();
    for (const key in items) {
      const [problem, retryAfter] = await send(key, items[key]);
      if (retryAfter) break;
      // Restore rejected feedback as the draft, unless there is a newer draft.
      if (problem && !read(draftKey())?.message) write(draftKey(), items[key]);
    }
    flushing = false;
  }

  // ---- Elements ----
  const create = (name, properties, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  // A popover is in the top layer, where no other element covers, clips, or moves it.
  const launcher = create("button", { type: "button", className: "launcher", popover: "manual", ariaHasPopup: "dialog" });
  const title = create("h2"), question = create("p", { id: "q" }), closeButton = create("button", { type: "button", textContent: "×" });
  const message = create("textarea", { id: "m", rows: 5, required: true, maxLength: 10000 });
  const email = create("input", { id: "e", type: "email", maxLength: 254, autocomplete: "email" });
  const messageLabel = create("label", { htmlFor: "m" }), emailLabel = create("span"), optional = create("small");
  const sent = create("p", { id: "c" });
  const sendButton = create("button", { type: "button" }), status = create("p", { id: "s", role: "status", dir: "auto" });
  // Not a <form>: a page in a sandbox can't submit forms.
  const form = create("section", {}, question, messageLabel, message, create("label", { htmlFor: "e" }, emailLabel, " ", optional), email, sent, sendButton);
  const dialog = create("dialog", {}, create("header", {}, title, closeButton), form, status);
  const frame = create("iframe", { hidden: true });
  message.setAttribute("aria-describedby", "q");
  sendButton.setAttribute("aria-describedby", "c");
  const labels = { label: title, question, message: messageLabel, email: emailLabel, optional, send: sendButton };
  const host = create("miniback-widget"), root = host.attachShadow({ mode: "open" });
  const stylesheet = new CSSStyleSheet();
  root.adoptedStyleSheets = [stylesheet];
  root.append(launcher, dialog, frame);

  // ---- Appearance: applies the settings, which can change at any time ----
  const translations = __STRINGS__;
  function update() {
    const { body, documentElement } = document, data = tag.dataset;
    const requested = (data.lang || documentElement.lang).toLowerCase().split("-")[0];
    host.lang = translations[requested] ? requested : "en";
    host.dir = getComputedStyle(body ?? documentElement).direction;
    // A `data-` attribute with a text's name replaces that text.
    __NAMES__.forEach((name, index) => {
      texts[name] = data[name] ?? translations[host.lang].split("|")[index];
      if (labels[name]) labels[name].textContent = texts[name];
    });
    launcher.textContent = dialog.ariaLabel = texts.label;
    message.placeholder = texts.placeholder;
    closeButton.ariaLabel = texts.close;
    launcher.hidden = data.position == "none";
    if (email.value == prefilled) email.value = data.userEmail ?? "";
    prefilled = data.userEmail ?? "";

    let color = "#1f5fd0", luminance = 0;
    if (data.color) {
      const canvas = create("canvas").getContext("2d");
      canvas.fillStyle = color;
      canvas.fillStyle = data.color; // ignored if it isn't a color
      if (/^#.{6}$/.test(canvas.fillStyle)) color = canvas.fillStyle;
    }
    // Relative luminance as in WCAG. Above 0.179, black text has more contrast than white text, and
    // the contrast is at least 4.5:1 either way.
    [.2126, .7152, .0722].forEach((weight, index) => {
      const channel = parseInt(color.slice(2 * index + 1, 2 * index + 3), 16) / 255;
      luminance += weight * (channel > .04045 ? ((channel + .055) / 1.055) ** 2.4 : channel / 12.92);
    });
    const left = data.position == "bottom-left", dark = ":host{--page:#1c1c1a;--ink:#eeede8;--soft:#a9a79e;--edge:#7d7b73;color-scheme:dark!important}";
    const theme = { dark, light: "" }[data.theme] ?? `@media(prefers-color-scheme:dark){${dark}}`;
    stylesheet.replaceSync(`
    :host{all:initial!important;position:fixed!important;z-index:2147483647!important;--page:#fff;--ink:#1c1b18;--soft:#5d5b54;--edge:#8b8980;--on:#${luminance>.179?"000":"fff"};color-scheme:light!important}
    ${theme}
    *{box-sizing:border-box;margin:0;font:inherit;color:inherit}
    [hidden]{display:none!important}
    button,dialog{font:medium/1.5 system-ui,sans-serif}
    button{min-height:44px;padding:0 1.2em;border:1px solid transparent;border-radius:99px;background:${color};color:var(--on);font-weight:600;cursor:pointer}
    :focus-visible{outline:2px solid var(--ink);outline-offset:2px}
    .launcher{display:block;position:fixed;inset:auto auto max(20px,env(safe-area-inset-bottom)) 20px;${left?"":"left:auto;right:20px;"}box-shadow:0 2px 12px #0005}
    .launcher:has(+dialog[open]){visibility:hidden}
    .launcher:focus-visible{outline-color:var(--on);outline-offset:-6px}
    dialog{width:min(25em,100% - 32px);max-width:none;max-height:calc(100% - 32px);margin:auto ${left?"auto 20px 20px":"20px 20px auto"};padding:1.25em;border:1px solid var(--edge);border-radius:14px;background:var(--page);color:var(--ink);box-shadow:0 2px 12px #0005;overflow-wrap:anywhere}
    dialog::backdrop{background:#0002}
    ::placeholder{color:var(--soft);opacity:1}
    header,section{display:grid;gap:.4em;grid-template-columns:minmax(0,1fr)}
    header{grid-template-columns:1fr auto;align-items:center;margin-block:-.6em .4em;margin-inline-end:-.6em}
    #q,label{font-weight:600}
    #q{font-size:1.2em}
    label,#c{margin-top:.4em}
    small,#c,h2{color:var(--soft);font-weight:400;font-size:.85em}
    textarea,input{width:100%;min-height:44px;padding:.6em;border:1px solid var(--edge);border-radius:8px;background:0}
    textarea{resize:vertical}
    section button{position:sticky;bottom:0;justify-self:end;margin-top:.6em}
    [aria-busy=true]{opacity:.6}
    header button{width:44px;padding:0;background:0;color:var(--soft);font-size:1.5em;line-height:1}
    dialog>p:not(:empty){padding-top:.6em}
    [aria-invalid=true],[aria-invalid=true]+p{border-color:red;color:color-mix(in srgb,red,var(--ink))}
    .done{text-align:center}
    .done:before{content:"✓"/"";display:block;width:44px;line-height:44px;margin:0 auto 8px;border-radius:99px;background:${color};color:var(--on);font-size:1.5em}
    @media(max-width:30em){dialog{margin:16px auto auto}}
    @media print{.launcher{display:none}}`);
  }

  // ---- Context: the page's URL, facts about the browser, and the website's own fields ----
  const fields = { __proto__: null }; // added by `miniback.context()`
  let context, pageUrl;
  // Collects the context, and shows all of it. Omits values that the server would omit or reject:
  // its rules are in `src/domain/context.rs`. The first value of a name is used.
  function updateContext() {
    const { href } = location, { Blob, JSON } = realm();
    const entries = [...__CONTEXT__, ["window", `${innerWidth} × ${innerHeight}`], ["language", navigator.language]];
    const own = entries.length;
    entries.push(...Object.entries(fields));
    for (const { name, value } of tag.attributes) if (/^data-context-/.test(name)) entries.push([name.slice(13), value]);
    context = { __proto__: null };
    pageUrl = /^http/.test(href) && href.length < 2049 ? href : "";
    sent.textContent = texts.sent;
    const show = (text) => sent.append(sent.lastElementChild ? "\u00a0· " : " ", create("bdi", { textContent: text }));
    if (pageUrl) show(pageUrl);
    entries.forEach(([name, value], index) => {
      if (!/^[\w-]{1,40}$/.test(name) || context[name] || Object(value) === value || !/^\P{Cs}{1,200}$/u.test(value ?? "")) return;
      context[name] = `${value}`;
      if (new Blob([JSON.stringify(context)]).size > 4096) delete context[name];
      else show(index < own ? value : `${name}: ${value}`);
    });
  }

  // ---- Start ----
  let removals = 0;
  // The page may remove the widget again and again. The increasing delay before each reinsertion
  // prevents a busy loop.
  const observer = new MutationObserver(() => { host.isConnected ? mount() : setTimeout(mount, removals++ ** 2); });
  // Puts the widget into the page and applies the settings. The function can be called at any time.
  function mount(candidate) {
    if (projectOf(candidate)) tag = candidate; else if (!tag?.isConnected) tag = findTag() ?? tag;
    if (!tag) return console.error("Miniback: no script tag with data-project.");
    project = projectOf(tag);
    server = /^http.*\/(?=widget\.js)/.exec(tag.src)?.[0] ?? __SERVER__; // includes the base path
    // Append the element to <html>. There, layouts and effects of <body> don't affect the element,
    // and it remains if <body> is replaced.
    const { documentElement } = document;
    if (!documentElement) return; // `observer` waits for a new root element
    if (host.parentNode != documentElement) documentElement.append(host);
    try { launcher.showPopover(); } catch {} // already shown, or not supported
    update();
    updateContext();
    if (dialog.open && !dialog.matches(":modal")) {
      dialog.close();
      dialog.showModal();
      message.focus();
    }
    // `document.open()` removes all listeners, so add them each time.
    for (const type of "click keydown keyup keypress focusin pointerdown mousedown touchstart".split(" "))
      addEventListener(type, onEvent, true);
    addEventListener("online", flush);
    observer.observe(document, { childList: true });
    observer.observe(documentElement, { childList: true, attributes: true });
    observer.observe(tag, { attributes: true });
  }

  // ---- Dialog ----
  let opener;
  function open(trigger) {
    mount();
    if (dialog.open) return;
    opener = trigger ?? document.activeElement;
    const draft = read(draftKey());
    message.value = draft?.message ?? "";
    email.value = draft?.email ?? prefilled;
    form.hidden = false;
    onInput();
    dialog.showModal();
    message.focus();
  }
  // After success, the dialog closes by itself, unless the person presses a key or a button.
  let closing;
  const closeSoon = () => {
    clearTimeout(closing);
    closing = setTimeout(() => form.hidden && dialog.close(), 6000);
  };
  dialog.onclose = () => dialog.open || opener?.focus({ preventScroll: true });
  // Shows a text below an invalid field, or below the form.
  function show(text, invalid) {
    for (const field of [message, email]) field.ariaInvalid = field == invalid;
    invalid?.setAttribute("aria-describedby", "s");
    (invalid ?? form).after(status);
    status.className = text == texts.thanks ? "said done" : "said";
    status.textContent = text;
  }
  function onInput() {
    show();
    message.dir = message.value && "auto"; // an empty message has the page's direction
    write(draftKey(), { message: message.value, email: email.value == prefilled ? undefined : email.value });
  }
  form.oninput = onInput;

  // Handles events before the page does. Events in the dialog don't reach the page. Otherwise, they
  // could trigger the page's keyboard shortcuts, or the page's modals could close or take the
  // focus.
  function onEvent(event) {
    const path = event.composedPath(), [target] = path, { type, key } = event;
    if (!path.includes(host)) {
      const trigger = type == "click" && path.find((element) => element.dataset?.minibackOpen != null);
      if (!trigger) return;
      event.preventDefault();
      return open(trigger);
    }
    if (type == "click" || target != launcher) event.stopImmediatePropagation();
    // After the person presses a key or a button, the dialog stays open.
    if (/down/.test(type)) status.onpointermove = clearTimeout(closing);
    if (type == "click") {
      if (target == launcher) open(launcher);
      if (target == closeButton) dialog.close();
      if (target == sendButton) submit();
    }
    if (type == "mousedown" && target == dialog) dialog.close(); // the backdrop
    if (type == "keydown" && key == "Enter" && !event.isComposing && (target == email || event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      submit();
    }
  }

  async function submit() {
    if (sendButton.ariaBusy) return;
    show();
    if (!message.value.trim()) message.value = "";
    for (const field of [message, email]) {
      if (field.validity.valid) continue;
      show(field.validationMessage, field);
      return field.focus();
    }
    sendButton.ariaBusy = true; // `disabled` would move the focus
    const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
    const body = { __proto__: null, message: message.value, email: email.value || undefined, url: pageUrl || undefined, context };
    // Once stored, the feedback is sent now or later, even if the page closes.
    const isStored = write(unsentKey(), { ...unsent(), [key]: body });
    const [problem, retryAfter] = await send(key, body);
    sendButton.ariaBusy = null;
    if (retryAfter ? isStored && !blocked : !problem) {
      write(draftKey());
      message.value = "";
      form.hidden = true;
      show(retryAfter ? `${texts.failed} ${texts.later}` : texts.thanks);
      // Moving the pointer over the message restarts the time until the dialog closes.
      if (!retryAfter && !matchMedia("(prefers-reduced-motion:reduce)").matches) (status.onpointermove = closeSoon)();
      return closeButton.focus();
    }
    forget(key);
    if (/paused/.test(problem?.type)) return show(texts.paused);
    // Only the site's developers can correct the project's slug.
    if (problem?.errors?.[0].field == "projectSlug") problem.detail = console.warn(problem.detail);
    show([texts.failed, problem?.detail].join(" ").trim());
    // The public form may work if there was no response, or if this page's origin isn't allowed.
    if (!problem || problem.status == 403) {
      const href = `${server}f/${project}`;
      status.append(" ", texts.instead, " ", create("a", { href, target: "_blank", rel: "noopener", textContent: href }));
    }
  }

  // Wait until frameworks such as React have hydrated the page, because an extra element can cause
  // hydration errors.
  const start = () => {
    if (host.isConnected) return;
    mount(currentScript);
    flush();
  };
  if (document.readyState == "complete") start();
  else {
    addEventListener("load", start);
    setTimeout(start, 2000); // loading the page can take a long time
  }
  try {
    const api = (Object.hasOwn(window, "miniback") && window.miniback) || (window.miniback = {});
    api.open ??= () => open();
    // Until now, the page could set the fields as an object.
    const early = api.context;
    if (!early?.call) (api.context = (added) => {
      Object.assign(fields, added);
      if (dialog.open) updateContext();
    })(early);
  } catch { console.warn("Miniback: the name `miniback` is taken."); }
})();
