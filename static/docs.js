// Filters the calls of the API reference, and opens the call or schema that a link points to.
// Without this file, the page lists all calls, and most browsers open the target of a link.
"use strict";
(() => {
  const filter = document.getElementById("call-filter");
  const count = document.getElementById("call-count");
  const groups = [...document.querySelectorAll("#calls > section")];
  const calls = groups.flatMap((group) => [...group.querySelectorAll(".call")].map((call) => ({
    call,
    title: `${call.querySelector("summary").textContent} ${group.querySelector("h2").textContent}`,
    text: call.textContent,
  })));

  // Shows the calls that contain all words of the filter. Descriptions are searched only if no
  // title matches.
  function applyFilter() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const search = (key) => calls.filter((entry) => {
      const text = entry[key].toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const byTitle = search("title"), found = byTitle.length ? byTitle : search("text");
    for (const entry of calls) entry.call.hidden = !found.includes(entry);
    for (const group of groups) group.hidden = !group.querySelector(".call:not([hidden])");
    const result = found.length ? `${found.length} of ${calls.length} calls` : "No calls match.";
    count.textContent = words.length ? result : "";
    return found;
  }
  filter.addEventListener("input", applyFilter);
  filter.addEventListener("keydown", (event) => {
    const [first] = event.key === "Enter" ? applyFilter() : [];
    if (!first) return;
    event.preventDefault(); // otherwise, the key also presses the summary
    first.call.querySelector("details").open = true;
    first.call.querySelector("summary").focus();
  });
  if (filter.value) applyFilter(); // the browser can restore the text after Back

  // Opens the call or schema that the URL's fragment identifies.
  function openTarget() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = target?.closest(".call details");
    if (!details) return;
    if (details.closest("[hidden]")) {
      filter.value = "";
      applyFilter();
    }
    details.open = true;
    target.scrollIntoView();
  }
  addEventListener("hashchange", openTarget);
  // A link can point to the fragment that is already in the URL. In that case, `hashchange` isn't
  // fired.
  addEventListener("click", ({ target }) => {
    if (target.closest("a")?.hash === location.hash && location.hash) openTarget();
  });
  openTarget();

  // The URL identifies the call or schema that was opened last, so that people can share it.
  for (const details of document.querySelectorAll(".call details:not(.disclosure)")) {
    details.addEventListener("toggle", () => {
      if (details.open) history.replaceState(null, "", `#${details.lastElementChild.id}`);
    });
  }
})();
