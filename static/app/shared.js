// The script of all pages, in several files that share one scope. `src/server/static_files.rs`
// joins the files.
//
// Pages also work without the script. With the script, a form or link updates the page in place.
// The script sends the request, and replaces regions of the page with the matching regions of the
// response. The browser's normal navigation handles everything else.
//
// Every page needs `<main id="main" data-region>`, `#announcer` outside of <main>, and the
// Content-Security-Policy `connect-src 'self'`.
//
// This file contains the code that the other files share.

document.documentElement.classList.add("js");

const script = document.currentScript.src;
// Requests in flight: {form or link, submitter, method, url, body, target, replace}. A request
// after Back (`isBack`) has neither a form nor a link. Other functions add more members.
const inFlight = new Set();
let lastChange = document.body.dataset.lastChange; // number of the latest change shown on the page

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const textOf = (element) => element.textContent.trim().replace(/\s+/g, " ");
const isCheckable = (field) => field.type === "checkbox" || field.type === "radio";
const currentValue = (field) => (isCheckable(field) ? field.checked : field.value);

// Whether a field contains input that isn't saved.
function isDirty(field) {
  // If the server couldn't save a form, it returns the form with the unsaved input.
  if (field.form && "unsaved" in field.form.dataset) return field.type !== "hidden";
  if (isCheckable(field)) return field.checked !== field.defaultChecked;
  if (field.matches("select")) {
    return !field.selectedOptions[0]?.defaultSelected && field.selectedIndex > 0;
  }
  return field.type !== "hidden" && field.type !== "file" && field.value !== field.defaultValue;
}

// Whether leaving the page would lose input. Searches, selections, automatically saved fields, and
// passwords don't count.
const hasUnsavedInput = () => all("form[method=post][data-enhance]").some((form) =>
  "unsaved" in form.dataset || [...form.elements].some((field) =>
    field.matches("input:not([data-autosave], #select-all, .item-select input), textarea, select")
    && !field.matches("[type=password], [autocomplete$=password], [data-shows]")
    && isDirty(field)));
