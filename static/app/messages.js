// Announces messages to screen readers, and removes flash messages after a while.

const notices = () => all("[role=status], [role=alert]");
function announce(...texts) {
  const announcer = document.getElementById("announcer");
  const text = [...new Set(texts)].filter(Boolean).join(" ");
  if (!announcer || !text) return;
  announcer.textContent = ""; // otherwise, the same text isn't announced again
  setTimeout(() => { announcer.textContent = text; }, 60);
}

// Flash messages disappear after 8 s, except for errors and messages with a button. While the
// pointer or the focus is in the message area, no message disappears.
function dismissMessages() {
  const box = document.getElementById("messages");
  const shown = [...(box?.children ?? [])].filter(
    (message) => !message.querySelector("button") && !message.matches(".bad"));
  if (shown.length) setTimeout(function dismiss() {
    if (box.matches(":hover, :focus-within")) return setTimeout(dismiss, 2000);
    for (const message of shown) message.remove();
  }, 8000);
}
document.addEventListener("miniback:updated", dismissMessages);

dismissMessages();
announce(...notices().filter((notice) => notice.closest("#messages")).map(textOf));
