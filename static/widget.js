// The feedback widget: a button on any site, and the dialog that it opens. The server removes
// comments and indentation, and replaces the @…@ placeholders. The widget sends no requests except
// to submit feedback.
//
// It needs nothing from the page except <body>. It uses a shadow root, no inline styles, and no
// HTML from strings, so it works with `default-src 'none'` and Trusted Types. It also works if
// `localStorage` is unavailable.
"use strict";
(() => {
  const script = document.currentScript ?? document.querySelector("script[data-project][src*='widget.js']");
  const data = script?.dataset, project = data?.project;
  if (!project) return console.error("Miniback: the widget's script tag has no data-project attribute.");
  if (window.miniback) return;
  const server = script.src.replace(/widget\.js.*/, ""); // includes the base path

  // ---- Texts: in the language of `data-lang` or the page, or English ----
  // A `data-` attribute with the name of a text replaces it.
  const translations = "@STRINGS@";
  const requested = (data.lang || document.documentElement.lang).toLowerCase().split("-")[0];
  const lang = translations[requested] ? requested : "en";
  const texts = {};
  "@NAMES@".split(" ").forEach((name, index) => { texts[name] = data[name] ?? translations[lang][index]; });

  // ---- Storage in this browser: the draft, and unsent feedback ----
  const draftKey = `miniback:${project}`, unsentKey = `${draftKey}:unsent`, memory = {};
  const read = (key) => {
    try { return JSON.parse(localStorage[key]); } catch { return memory[key]; }
  };
  const write = (key, value) => {
    memory[key] = value;
    try {
      if (value) localStorage[key] = JSON.stringify(value); else delete localStorage[key];
    } catch { /* `memory` has it until the page closes */ }
  };
  const unsent = () => read(unsentKey) ?? [];

  // ---- Sending ----
  // The server rejects a form token that is younger than 2 s.
  const tokenIsValid = new Promise((resolve) => setTimeout(resolve, 2100));
  // Sends an unsent item, and deletes it once the server has accepted or rejected it. Returns the
  // problem if it was rejected, and the number of seconds until the next retry (0 for no retry).
  async function send({ key, body }) {
    await tokenIsValid;
    let problem, retryAfter = 60;
    try {
      const response = await fetch(`${server}api/feedback`, {
        method: "POST", credentials: "omit", signal: AbortSignal.timeout(30000),
        headers: { "Content-Type": "application/json", "Idempotency-Key": key, "X-Feedback-Source": "widget" },
        body: JSON.stringify({ ...body, projectSlug: project, stamp: "@TOKEN@" }),
      });
      const { status } = response, json = await response.json();
      if (status < 500 && status != 429 && status != 408) {
        retryAfter = 0;
        // 409: it was stored before, and has been deleted since.
        if (!response.ok && status != 409) problem = json;
      } else retryAfter = +response.headers.get("Retry-After") || retryAfter;
    } catch { /* no response, or none from Miniback */ }
    if (retryAfter) {
      clearTimeout(timer);
      timer = setTimeout(flush, retryAfter * 1000);
    } else {
      const rest = unsent().filter((other) => other.key != key);
      write(unsentKey, rest[0] && rest);
    }
    return [problem, retryAfter];
  }
  let flushing, timer;
  async function flush() {
    if (flushing) return;
    flushing = true;
    for (const item of unsent()) {
      const [problem, retryAfter] = await send(item);
      // Turn rejected feedback back into the draft.
      if (problem && !read(draftKey)?.message) write(draftKey, item.body);
      if (retryAfter) break;
    }
    flushing = false;
  }
  addEventListener("online", flush);
  flush();

  // ---- Styles ----
  const canvas = document.createElement("canvas").getContext("2d");
  canvas.fillStyle = "#1f5fd0";
  canvas.fillStyle = data.color; // ignored if it isn't a color
  const color = /^#.{6}$/.test(canvas.fillStyle) ? canvas.fillStyle : "#1f5fd0";
  // Relative luminance as in WCAG. Above 0.179, black text has more contrast than white text, and
  // the contrast is at least 4.5:1 either way.
  const luminance = [0.2126, 0.7152, 0.0722].reduce((sum, weight, index) => {
    const channel = parseInt(color.slice(2 * index + 1, 2 * index + 3), 16) / 255;
    return sum + weight * (channel > 0.04045 ? ((channel + 0.055) / 1.055) ** 2.4 : channel / 12.92);
  }, 0);
  const left = data.position == "bottom-left", dark = ":host{--page:#1c1c1a;--ink:#eeede8;--soft:#a9a79e;--edge:#7d7b73;color-scheme:dark}";
  const stylesheet = new CSSStyleSheet();
  stylesheet.replaceSync(`
    :host{all:initial!important;--page:#fff;--ink:#1c1b18;--soft:#5d5b54;--edge:#8b8980;--on:${luminance > 0.179 ? "#000" : "#fff"};color-scheme:light}
    ${data.theme == "dark" ? dark : data.theme == "light" ? "" : `@media(prefers-color-scheme:dark){${dark}}`}
    *{box-sizing:border-box;margin:0;font:inherit;color:inherit}
    [hidden]{display:none!important}
    button,dialog{font:medium/1.5 system-ui,sans-serif}
    button{min-height:44px;padding:0 1.2em;border:1px solid transparent;border-radius:99px;background:${color};color:var(--on);font-weight:600;cursor:pointer}
    :focus-visible{outline:2px solid var(--ink);outline-offset:2px}
    textarea:focus-visible,input:focus-visible{outline-offset:-1px}
    .launcher{position:fixed;z-index:2147483647;bottom:max(20px,env(safe-area-inset-bottom));${left ? "left" : "right"}:20px;box-shadow:0 2px 12px #0005}
    .launcher:has(+dialog[open]){visibility:hidden}
    .launcher:focus-visible{outline:2px solid var(--on);outline-offset:-6px}
    dialog{width:min(25em,100% - 32px);max-width:none;max-height:calc(100% - 32px);margin:auto ${left ? "auto 20px 20px" : "20px 20px auto"};padding:1.25em;border:1px solid var(--edge);border-radius:14px;background:var(--page);color:var(--ink);box-shadow:0 8px 40px #0006;overflow-wrap:anywhere}
    ::backdrop{background:#0006}
    header,form{display:grid;gap:.4em;grid-template-columns:minmax(0,1fr)}
    header{grid-template-columns:1fr auto;align-items:center;margin:-.6em -.6em .4em 0}
    h2{font-size:1.2em;font-weight:650}
    label{font-weight:550;margin-top:.4em}
    small,.page{color:var(--soft);font-weight:400;font-size:.85em}
    .page{margin-top:.4em}
    textarea,input{width:100%;min-height:44px;padding:.6em .75em;border:1px solid var(--edge);border-radius:8px;background:none}
    textarea{resize:vertical;display:block}
    form button{justify-self:end;margin-top:.6em}
    [aria-busy=true]{opacity:.6;cursor:progress}
    header button{width:44px;padding:0;background:none;color:var(--soft);font-size:1.5em;line-height:1}
    .status{padding-top:.6em}
    .status:empty{padding:0}
    @media(max-width:30em){dialog{margin:12px auto auto;width:calc(100% - 24px)}}
    @media print{.launcher{display:none}}`);

  // ---- Button and dialog ----
  const create = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const launcher = create("button", { type: "button", className: "launcher", textContent: texts.label, hidden: data.position == "none" });
  const closeButton = create("button", { type: "button", textContent: "×" });
  const message = create("textarea", { id: "m", rows: 5, required: true, maxLength: 10000, dir: "auto" });
  const email = create("input", { id: "e", type: "email", maxLength: 254, autocomplete: "email" });
  const pageUrl = create("bdi"), page = create("p", { className: "page" }, texts.page, " ", pageUrl);
  const sendButton = create("button", { textContent: texts.send });
  const status = create("p", { className: "status" });
  const form = create("form", {}, create("label", { htmlFor: "m", textContent: texts.message }), message,
    create("label", { htmlFor: "e" }, texts.email, " ", create("small", { textContent: texts.optional })), email, page, sendButton);
  const dialog = create("dialog", {}, create("header", {}, create("h2", { id: "t", textContent: texts.label }), closeButton), form, status);
  for (const [element, name, value] of [[closeButton, "aria-label", texts.close], [launcher, "aria-haspopup", "dialog"],
    [status, "role", "status"], [dialog, "aria-labelledby", "t"]]) element.setAttribute(name, value);
  const host = create("miniback-widget", { lang });
  const root = host.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = [stylesheet];
  root.append(launcher, dialog);
  const attach = () => host.isConnected || document.body.append(host); // the page can replace its body
  if (document.body) attach(); else addEventListener("DOMContentLoaded", attach);

  let opener;
  function open(trigger) {
    if (dialog.open) return;
    attach();
    opener = trigger ?? document.activeElement;
    const draft = read(draftKey);
    message.value = draft?.message ?? "";
    email.value = draft?.email ?? data.userEmail ?? "";
    // Omit a URL that the server would reject: not http(s), or too long.
    const { href } = location;
    pageUrl.textContent = /^http/.test(href) && href.length < 2049 ? href : "";
    page.hidden = !pageUrl.textContent;
    form.hidden = false;
    status.textContent = "";
    dialog.showModal();
    message.focus();
  }
  launcher.onclick = () => open(launcher);
  document.addEventListener("click", (event) => {
    const trigger = event.composedPath().find((element) => element.dataset?.minibackOpen != null);
    if (!trigger) return;
    event.preventDefault();
    open(trigger);
  });
  closeButton.onclick = () => dialog.close();
  dialog.onclose = () => opener?.focus({ preventScroll: true });
  // Keep events in the dialog from reaching the page. Otherwise they could trigger its keyboard
  // shortcuts, or its modals could close or move the focus back.
  for (const type of ["keydown", "keyup", "keypress", "focusin", "pointerdown", "mousedown", "touchstart"])
    dialog.addEventListener(type, (event) => event.stopPropagation());
  dialog.onmousedown = (event) => { if (event.target == dialog) dialog.close(); }; // the backdrop
  form.oninput = () => write(draftKey, { message: message.value, email: email.value });
  form.onkeydown = (event) => { if (event.key == "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(); };

  form.onsubmit = async (event) => {
    event.preventDefault();
    if (sendButton.ariaBusy == "true") return;
    if (!message.value.trim()) {
      message.value = "";
      return form.reportValidity();
    }
    sendButton.ariaBusy = "true"; // `disabled` would move the focus
    status.textContent = "";
    const item = {
      key: crypto.getRandomValues(new Uint32Array(4)).join("-"),
      body: { message: message.value, email: email.value || undefined, url: pageUrl.textContent || undefined },
    };
    // Once stored, the feedback is sent now or later, even if the page closes.
    write(unsentKey, [...unsent(), item]);
    const [problem, retryAfter] = await send(item);
    sendButton.ariaBusy = null;
    if (problem) status.textContent = /paused/.test(problem.type) ? texts.paused : `${texts.failed} ${problem.detail}`;
    else {
      write(draftKey);
      message.value = "";
      form.hidden = true;
      status.textContent = retryAfter ? texts.later : texts.thanks;
      closeButton.focus();
    }
  };

  window.miniback = { open: () => open() };
})();
