// Keeps the list live. The server renders each card; this puts it on top.
const KEPT = 100;
const list = document.querySelector("ol.list");
const news = document.querySelector("[data-news]");
const signs = document.querySelectorAll("[data-live]");

function show(sign) {
  for (const each of signs) each.hidden = each.dataset.live !== sign;
}

// The server writes UTC, for it does not know where its reader is.
function localise(card) {
  for (const time of card.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    time.title = at.toLocaleString();
    time.textContent = at.toLocaleTimeString();
  }
}

document.querySelector(".live a").hidden = true;
localise(list);

const events = new EventSource("/events?after=" + encodeURIComponent(list.dataset.after));
events.onopen = () => show("on");
events.onerror = () => show("off");
events.onmessage = (event) => {
  list.insertAdjacentHTML("afterbegin", JSON.parse(event.data));
  const card = list.firstElementChild;
  localise(card);
  card.classList.add("fresh");
  while (list.childElementCount > KEPT) list.lastElementChild.remove();
  document.querySelector(".empty").hidden = true;
  news.textContent = card.querySelector(".state").textContent + ": " + (card.querySelector(".event")?.textContent ?? "a request");
};
// The receiver was started anew, and what this page shows is no more.
events.addEventListener("reset", () => location.reload());
