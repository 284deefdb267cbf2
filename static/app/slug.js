// Shows the slug that the server would generate from a name, as the placeholder of the slug's field
// (`data-slug-of`).

// Returns an empty string if only the server can transliterate the name.
function generateSlug(name) {
  const ascii = name.normalize("NFD").replace(/\p{M}/gu, "");
  if (!name.trim() || /[^\x20-\x7e]/.test(ascii)) return "";
  const slug = ascii.toLowerCase().replaceAll("'", "").replace(/[^a-z0-9]+/g, "-");
  return slug.replace(/^-/, "").slice(0, 56).replace(/-$/, "") || "project";
}
addEventListener("input", ({ target }) => {
  const field = target.name && target.form?.querySelector(`[data-slug-of="${target.name}"]`);
  if (field) field.placeholder = generateSlug(target.value);
});
