// The feedback widget: a button on any site, and the dialog that it opens. Served without these comments and without
// indentation, with the stamp and the words put in where @…@ stands. Two requests in all: this script, and the feedback.
// Relies on nothing of the page but <body>: a shadow root of its own, no inline style, no markup from strings (so that
// it works under `default-src 'none'` and under Trusted Types), and every touch of storage may fail.
"use strict";
(() => {
  const script = document.currentScript ?? document.querySelector("script[data-project][src*='widget.js']");
  const data = script?.dataset, project = data?.project;
  if (!project) return console.error("Miniback: the script tag of the widget has no data-project.");
  if (window.miniback) return;
  const server = script.src.replace(/widget\.js.*/, ""); // with the base path, whatever it is

  // ---- Words: of the language asked for, of the page's, or English; each attribute replaces one ----
  const all = "@TEXTS@";
  const asked = (data.lang || document.documentElement.lang).toLowerCase().split("-")[0];
  const lang = all[asked] ? asked : "en";
  const words = {};
  "@NAMES@".split(" ").forEach((name, index) => { words[name] = data[name] ?? all[lang][index]; });

  // ---- What is kept in this browser: the draft, and what is not sent yet ----
  const drafts = `miniback:${project}`, outbox = `${drafts}:unsent`, memory = {};
  const read = (key) => {
    try { return JSON.parse(localStorage[key]); } catch { return memory[key]; }
  };
  const write = (key, value) => {
    memory[key] = value;
    try {
      if (value) localStorage[key] = JSON.stringify(value); else delete localStorage[key];
    } catch { /* then it is kept for as long as the page is open */ }
  };
  const unsent = () => read(outbox) ?? [];

  // ---- Sending ----
  // The server takes nothing that comes within two seconds of the script.
  const ripe = new Promise((done) => setTimeout(done, 2100));
  // Sends one of the outbox. It stays there unless the server has taken or refused it; a refusal is returned, and the
  // number of seconds where it is to be tried again.
  async function send({ key, body }) {
    await ripe;
    let refusal, again = 60;
    try {
      const answer = await fetch(`${server}api/feedback`, {
        method: "POST", credentials: "omit", signal: AbortSignal.timeout(30000),
        headers: { "Content-Type": "application/json", "Idempotency-Key": key, "X-Feedback-Source": "widget" },
        body: JSON.stringify({ ...body, projectSlug: project, stamp: "@TOKEN@" }),
      });
      const { status } = answer, told = await answer.json();
      if (status < 500 && status != 429 && status != 408) {
        again = 0;
        // 409: it came before, and somebody has deleted it since.
        if (!answer.ok && status != 409) refusal = told;
      } else again = +answer.headers.get("Retry-After") || again;
    } catch { /* no answer, or none of Miniback's */ }
    if (again) {
      clearTimeout(timer);
      timer = setTimeout(flush, again * 1000);
    } else {
      const left = unsent().filter((other) => other.key != key);
      write(outbox, left[0] && left);
    }
    return [refusal, again];
  }
  let flushing, timer;
  async function flush() {
    if (flushing) return;
    flushing = true;
    for (const entry of unsent()) {
      const [refusal, again] = await send(entry);
      // Its words go back to where they were written.
      if (refusal && !read(drafts)?.message) write(drafts, entry.body);
      if (again) break;
    }
    flushing = false;
  }
  addEventListener("online", flush);
  flush();

  // ---- Looks ----
  const pen = document.createElement("canvas").getContext("2d");
  pen.fillStyle = "#1f5fd0";
  pen.fillStyle = data.color; // one that the browser cannot read changes nothing
  const color = /^#.{6}$/.test(pen.fillStyle) ? pen.fillStyle : "#1f5fd0";
  // The relative luminance of WCAG; above this one black is told from it better than white, and at least as 4.5 : 1.
  const light = [0.2126, 0.7152, 0.0722].reduce((sum, weight, index) => {
    const part = parseInt(color.slice(2 * index + 1, 2 * index + 3), 16) / 255;
    return sum + weight * (part > 0.04045 ? ((part + 0.055) / 1.055) ** 2.4 : part / 12.92);
  }, 0);
  const left = data.position == "bottom-left", dark = ":host{--page:#1c1c1a;--ink:#eeede8;--soft:#a9a79e;--edge:#7d7b73;color-scheme:dark}";
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host{all:initial!important;--page:#fff;--ink:#1c1b18;--soft:#5d5b54;--edge:#8b8980;--on:${light > 0.179 ? "#000" : "#fff"};color-scheme:light}
    ${data.theme == "dark" ? dark : data.theme == "light" ? "" : `@media(prefers-color-scheme:dark){${dark}}`}
    *{box-sizing:border-box;margin:0;font:inherit;color:inherit}
    [hidden]{display:none!important}
    button,dialog{font:medium/1.5 system-ui,sans-serif}
    button{min-height:44px;padding:0 1.2em;border:1px solid transparent;border-radius:99px;background:${color};color:var(--on);font-weight:600;cursor:pointer}
    :focus-visible{outline:2px solid var(--ink);outline-offset:2px}
    textarea:focus-visible,input:focus-visible{outline-offset:-1px}
    .launch{position:fixed;z-index:2147483647;bottom:max(20px,env(safe-area-inset-bottom));${left ? "left" : "right"}:20px;box-shadow:0 2px 12px #0005}
    .launch:has(+dialog[open]){visibility:hidden}
    .launch:focus-visible{outline:2px solid var(--on);outline-offset:-6px}
    dialog{width:min(25em,100% - 32px);max-width:none;max-height:calc(100% - 32px);margin:auto ${left ? "auto 20px 20px" : "20px 20px auto"};padding:1.25em;border:1px solid var(--edge);border-radius:14px;background:var(--page);color:var(--ink);box-shadow:0 8px 40px #0006;overflow-wrap:anywhere}
    ::backdrop{background:#0006}
    header,form{display:grid;gap:.4em;grid-template-columns:minmax(0,1fr)}
    header{grid-template-columns:1fr auto;align-items:center;margin:-.6em -.6em .4em 0}
    h2{font-size:1.2em;font-weight:650}
    label{font-weight:550;margin-top:.4em}
    small,.along{color:var(--soft);font-weight:400;font-size:.85em}
    .along{margin-top:.4em}
    textarea,input{width:100%;min-height:44px;padding:.6em .75em;border:1px solid var(--edge);border-radius:8px;background:none}
    textarea{resize:vertical;display:block}
    form button{justify-self:end;margin-top:.6em}
    [aria-busy=true]{opacity:.6;cursor:progress}
    header button{width:44px;padding:0;background:none;color:var(--soft);font-size:1.5em;line-height:1}
    .said{padding-top:.6em}
    .said:empty{padding:0}
    @media(max-width:30em){dialog{margin:12px auto auto;width:calc(100% - 24px)}}
    @media print{.launch{display:none}}`);

  // ---- The button and the dialog ----
  const make = (tag, properties, ...inside) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...inside);
    return element;
  };
  const launch = make("button", { type: "button", className: "launch", textContent: words.label, hidden: data.position == "none" });
  const close = make("button", { type: "button", textContent: "×" });
  const message = make("textarea", { id: "m", rows: 5, required: true, maxLength: 10000, dir: "auto" });
  const email = make("input", { id: "e", type: "email", maxLength: 254, autocomplete: "email" });
  const address = make("bdi"), along = make("p", { className: "along" }, words.page, " ", address);
  const submit = make("button", { textContent: words.send });
  const said = make("p", { className: "said" });
  const form = make("form", {}, make("label", { htmlFor: "m", textContent: words.message }), message,
    make("label", { htmlFor: "e" }, words.email, " ", make("small", { textContent: words.optional })), email, along, submit);
  const dialog = make("dialog", {}, make("header", {}, make("h2", { id: "t", textContent: words.label }), close), form, said);
  for (const [element, name, value] of [[close, "aria-label", words.close], [launch, "aria-haspopup", "dialog"],
    [said, "role", "status"], [dialog, "aria-labelledby", "t"]]) element.setAttribute(name, value);
  const host = make("miniback-widget", { lang });
  const root = host.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = [sheet];
  root.append(launch, dialog);
  const put = () => host.isConnected || document.body.append(host); // a page may have thrown its body away
  if (document.body) put(); else addEventListener("DOMContentLoaded", put);

  let opener;
  function open(from) {
    if (dialog.open) return;
    put();
    opener = from ?? document.activeElement;
    const draft = read(drafts);
    message.value = draft?.message ?? "";
    email.value = draft?.email ?? data.userEmail ?? "";
    // What the server would refuse is not sent: pages that are no web pages, and addresses that are too long.
    const { href } = location;
    address.textContent = /^http/.test(href) && href.length < 2049 ? href : "";
    along.hidden = !address.textContent;
    form.hidden = false;
    said.textContent = "";
    dialog.showModal();
    message.focus();
  }
  launch.onclick = () => open(launch);
  document.addEventListener("click", (event) => {
    const from = event.composedPath().find((one) => one.dataset?.minibackOpen != null);
    if (!from) return;
    event.preventDefault();
    open(from);
  });
  close.onclick = () => dialog.close();
  dialog.onclose = () => opener?.focus({ preventScroll: true });
  // What happens in the dialog is not the page's business: its keys, its modals that close on a press or call the focus back.
  for (const type of ["keydown", "keyup", "keypress", "focusin", "pointerdown", "mousedown", "touchstart"])
    dialog.addEventListener(type, (event) => event.stopPropagation());
  dialog.onmousedown = (event) => { if (event.target == dialog) dialog.close(); }; // on the backdrop
  form.oninput = () => write(drafts, { message: message.value, email: email.value });
  form.onkeydown = (event) => { if (event.key == "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(); };

  form.onsubmit = async (event) => {
    event.preventDefault();
    if (submit.ariaBusy == "true") return;
    if (!message.value.trim()) {
      message.value = "";
      return form.reportValidity();
    }
    submit.ariaBusy = "true"; // not `disabled`, which would take the focus away
    said.textContent = "";
    const entry = {
      key: crypto.getRandomValues(new Uint32Array(4)).join("-"),
      body: { message: message.value, email: email.value || undefined, url: address.textContent || undefined },
    };
    // From here on it is sent, now or later, even if the page is left this moment.
    write(outbox, [...unsent(), entry]);
    const [refusal, again] = await send(entry);
    submit.ariaBusy = null;
    if (refusal) said.textContent = /paused/.test(refusal.type) ? words.paused : `${words.failed} ${refusal.detail}`;
    else {
      write(drafts);
      message.value = "";
      form.hidden = true;
      said.textContent = again ? words.later : words.thanks;
      close.focus();
    }
  };

  window.miniback = { open: () => open() };
})();
