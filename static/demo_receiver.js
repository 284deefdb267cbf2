// Updates the list of requests live. The server renders each card, and this script inserts it at
// the top.
const CARDS_MAX = 100;
const list = document.querySelector("ol.list");
const announcement = document.querySelector("[data-announcement]");
const indicators = document.querySelectorAll("[data-live]");

function showConnection(state) {
  for (const indicator of indicators) indicator.hidden = indicator.dataset.live !== state;
}

// The server writes UTC, because it doesn't know the reader's time zone.
function localizeTimes(card) {
  for (const time of card.querySelectorAll("time")) {
    const date = new Date(time.dateTime);
    time.title = date.toLocaleString();
    time.textContent = date.toLocaleTimeString();
  }
}

document.querySelector(".connection a").hidden = true;
localizeTimes(list);

const events = new EventSource("/events?after=" + encodeURIComponent(list.dataset.after));
events.onopen = () => showConnection("on");
events.onerror = () => showConnection("off");
events.onmessage = (event) => {
  list.insertAdjacentHTML("afterbegin", JSON.parse(event.data));
  const card = list.firstElementChild;
  localizeTimes(card);
  card.classList.add("new");
  while (list.childElementCount > CARDS_MAX) list.lastElementChild.remove();
  document.querySelector(".empty").hidden = true;
  announcement.textContent = card.querySelector(".state").textContent + ": " + (card.querySelector(".event")?.textContent ?? "a request");
};
// The receiver was restarted, so this page is outdated.
events.addEventListener("reset", () => location.reload());
