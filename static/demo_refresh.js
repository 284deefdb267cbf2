// Shows new messages without a reload of the page: requests the page every 2 s, and replaces the
// list if its number of messages has changed.
const INTERVAL = 2000;

// The server writes UTC, because it doesn't know the reader's time zone.
function localizeTimes(list) {
  for (const time of list.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  }
}

async function refresh() {
  const response = await fetch(location.pathname);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const [shown, list] = [document, page].map((root) => root.querySelector("[data-refresh]"));
  if (!list || list.dataset.refresh === shown.dataset.refresh) return;
  localizeTimes(list);
  shown.replaceWith(list);
}

localizeTimes(document);
setInterval(() => {
  // While the demo is stopped, the page stays as it is.
  if (!document.hidden) refresh().catch(() => {});
}, INTERVAL);
