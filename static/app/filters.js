// Filters: the URL contains only the active filters and, for a period of days, the offsets of the
// browser's time zone from UTC at the start and the end of the period.
addEventListener("formdata", ({ target, formData }) => {
  if (!target.dataset.period) return;
  for (const [name, value] of [...formData]) if (!value) formData.delete(name);
  const period = formData.get(target.dataset.period);
  const days = { today: 0, "7d": 6, "30d": 29, range: 0 }[period];
  if (period !== "range") for (const name of ["from", "to"]) formData.delete(name);
  if (days === undefined) return;
  const start = new Date();
  start.setDate(start.getDate() - days);
  start.setHours(0, 0, 0, 0);
  const midnight = (name, time) =>
    (formData.has(name) ? new Date(`${formData.get(name)}T${time}`) : undefined);
  const times = [midnight("from", "00:00") ?? start, midnight("to", "24:00") ?? new Date()];
  const offsets = times.map((time) => -time.getTimezoneOffset());
  if (!offsets.some(Number.isNaN)) formData.set("tz", [...new Set(offsets)].join());
});
