// The switch for browser notifications about new feedback. The setting is stored in the browser;
// `static/feedback.js` shows the notifications.

const NOTIFICATIONS_KEY = "miniback.notifications";

function areNotificationsOn() {
  try {
    return Notification.permission === "granted" && localStorage.getItem(NOTIFICATIONS_KEY) === "on";
  } catch {
    return false; // without storage, notifications can't be turned on
  }
}
function updateNotificationSwitch() {
  const control = document.getElementById("notifications-on");
  if (!control) return;
  const permission = window.Notification?.permission ?? "unsupported";
  const problem = {
    denied: "Your browser blocks notifications from this site. Allow them in the browser’s settings.",
    unsupported: "This browser doesn’t support notifications here. Most browsers require HTTPS.",
  }[permission] ?? "";
  control.setAttribute("aria-checked", areNotificationsOn());
  control.disabled = problem !== "";
  document.getElementById("notifications-problem").textContent = problem;
}
updateNotificationSwitch();
document.addEventListener("miniback:updated", updateNotificationSwitch);
addEventListener("click", async ({ target }) => {
  if (!target.closest("#notifications-on")) return;
  const isOn = areNotificationsOn();
  if (!isOn) await Notification.requestPermission();
  try {
    localStorage.setItem(NOTIFICATIONS_KEY, isOn ? "off" : "on");
  } catch { /* the switch stays off */ }
  updateNotificationSwitch();
});
