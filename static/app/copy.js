// Copies the text of an element (`data-copy`), the text that a URL returns (`data-copy-from`), or a
// URL (`data-copy-url`) to the clipboard.

addEventListener("click", ({ target }) => {
  const button = target.closest("button:is([data-copy], [data-copy-from], [data-copy-url])");
  if (button) copyFromSource(button);
});

async function copyFromSource(button) {
  const { copy, copyFrom, copyUrl } = button.dataset;
  const source = document.getElementById(copy);
  const text = copyFrom ? fetchSecret(copyFrom)
    : Promise.resolve(copyUrl ? new URL(copyUrl, location).href
      : source.value ?? source.textContent);
  const isDone = await writeToClipboard(text).then(() => true, () => false);
  if (!isDone) source?.select?.();
  announce(isDone ? "Copied" : "Couldn’t copy. Select the text and copy it.");
  const isLabel = (node) => node.nodeType === Node.TEXT_NODE && node.data.trim();
  const label = [...button.childNodes].filter(isLabel).pop();
  if (!label) return;
  button.dataset.label ??= label.data;
  button.style.minWidth = `${button.offsetWidth}px`; // a shorter label doesn't move the page
  label.data = isDone ? "Copied" : "Not copied";
  setTimeout(() => { label.data = button.dataset.label; }, 2000);
}
async function fetchSecret(url) { // the page itself doesn't contain the secret
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
