// Updates relative times and countdowns, and converts times from UTC to the browser's time zone.

// Formats the age of a time less than two days ago, as the server does.
function formatRelativeTime(seconds) {
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : "yesterday";
}
setInterval(() => {
  for (const time of all("time[datetime][data-relative]")) {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    if (seconds >= 0 && seconds < 172800) time.textContent = formatRelativeTime(seconds);
  }
}, 30000);

// Updates countdowns to times less than 100 s away.
setInterval(() => {
  for (const time of all("time[data-until]")) {
    const seconds = Math.ceil((Date.parse(time.dateTime) - Date.now()) / 1000);
    if (seconds < 100) time.textContent = seconds > 0 ? `in ${seconds} s` : "now";
  }
}, 1000);

// Shows times in the browser's time zone and format. The title contains the time in UTC.
const formatter = (options) =>
  new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit", ...options });
const day = { day: "numeric", month: "short" };
const second = { second: "2-digit" };
const timeOnly = formatter(), timeWithSeconds = formatter(second), dayAndTime = formatter(day);
const exact = formatter({ ...day, ...second, year: "numeric" });
function localizeTimes() {
  for (const time of all("time[datetime]")) {
    const { clock, relative, until } = time.dataset;
    if (relative !== undefined || until !== undefined) continue;
    time.title ||= time.textContent;
    const at = new Date(time.dateTime);
    const isToday = at.toDateString() === new Date().toDateString();
    const format = clock === undefined ? exact
      : clock === "seconds" ? timeWithSeconds : isToday ? timeOnly : dayAndTime;
    time.textContent = (clock === "day" && isToday ? "today, " : "") + format.format(at);
  }
}
document.addEventListener("miniback:updated", localizeTimes);

localizeTimes();
