// Every table.sortable: a click on a heading with aria-sort sorts it by data-v (or the text) of its cells;
// the controls of the .filters form before it hide rows.  Without this script it is a plain table.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const key = (row, k) => row.cells[k].dataset.v ?? row.cells[k].textContent.trim();

  function sort(k, down) {
    const compare = (p, q) => {
      const a = key(p, k), b = key(q, k);
      if (a === "" || b === "") return (a === "") - (b === ""); // what is not known comes last
      const order = isNaN(a) || isNaN(b) ? a.localeCompare(b, "en", { numeric: true }) : a - b;
      return down ? -order : order;
    };
    body.append(...[...body.rows].sort(compare));
    heads.forEach((head, j) => head.hasAttribute("aria-sort") && head.setAttribute("aria-sort", j !== k ? "none" : down ? "descending" : "ascending"));
  }
  heads.forEach((head, k) => {
    if (!head.hasAttribute("aria-sort")) return;
    head.tabIndex = 0;
    const toggle = () => {
      const now = head.getAttribute("aria-sort");
      sort(k, now === "none" ? head.classList.contains("n") : now === "ascending");
    };
    head.addEventListener("click", toggle);
    head.addEventListener("keydown", (e) => {
      if (e.key === "Enter" || e.key === " ") { e.preventDefault(); toggle(); }
    });
  });

  const form = table.closest("section").querySelector("form.filters");
  if (!form) continue;
  const fields = [...form.querySelectorAll("[data-column], [data-least], [data-search]")];
  function fits(row, field) {
    if (!field.value) return true;
    if (field.dataset.column) return key(row, field.dataset.column) === field.value;
    if (field.dataset.least) return Number(key(row, field.dataset.least)) >= Number(field.value);
    return field.value.toLowerCase().split(/\s+/).every((word) => row.textContent.toLowerCase().includes(word));
  }
  function filter() {
    let shown = 0;
    for (const row of body.rows) {
      row.hidden = !fields.every((field) => fits(row, field));
      shown += !row.hidden;
    }
    form.querySelector("output").textContent = `${shown} of ${body.rows.length}`;
  }
  form.addEventListener("input", filter);
  form.addEventListener("submit", (e) => e.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  form.hidden = body.rows.length < 6;
  filter();
}
for (const link of document.querySelectorAll('a[href^="#"]'))
  link.addEventListener("click", () => {
    const there = document.getElementById(link.hash.slice(1));
    const fold = there && there.querySelector("details");
    if (fold) fold.open = true;
  });
