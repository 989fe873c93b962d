"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const hidden = new Set();  // indices of the series that are not shown
  const form = document.getElementById("filters");

  function showSeries() {
    for (const element of all("[data-series]")) element.classList.toggle("off", hidden.has(element.dataset.series));
    for (const box of all("[data-toggle]")) box.checked = !hidden.has(box.dataset.toggle);
    filterScores();
  }

  function filterScores() {
    const text = form.text.value.trim().toLowerCase();
    const rows = all("#all-scores tbody tr");
    let shown = 0;
    for (const row of rows) {
      const keep = !hidden.has(row.dataset.series)
        && (!form.evaluation.value || row.dataset.evaluation === form.evaluation.value)
        && (!form.target.value || row.dataset.target === form.target.value)
        && (!text || row.textContent.toLowerCase().includes(text));
      row.classList.toggle("off", !keep);
      shown += keep;
    }
    document.getElementById("count").textContent =
      shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
  }

  function only(series) {
    hidden.clear();
    if (series !== "") for (const box of all("[data-toggle]")) if (box.dataset.toggle !== series) hidden.add(box.dataset.toggle);
    showSeries();
  }

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = text === "" ? NaN : Number(text);
    return { text, number };
  };

  // Numbers by size, text by alphabet; what has no value goes last either way.
  function compare(a, b, sign) {
    if ((a.text === "") !== (b.text === "")) return a.text === "" ? 1 : -1;
    if (!Number.isNaN(a.number) && !Number.isNaN(b.number)) return sign * (a.number - b.number);
    return sign * a.text.localeCompare(b.text, undefined, { numeric: true });
  }

  function sortBy(header) {
    const table = header.closest("table"), body = table.tBodies[0], column = header.cellIndex;
    const numeric = !header.classList.contains("left");
    const before = header.getAttribute("aria-sort");
    const direction = before === "descending" ? "ascending" : before === "ascending" ? "descending" : numeric ? "descending" : "ascending";
    for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => ({ row, value: valueOf(row, column) }));
    rows.sort((a, b) => compare(a.value, b.value, sign));
    body.append(...rows.map((entry) => entry.row));
  }

  for (const header of all("table.sorts thead th")) header.querySelector("button").addEventListener("click", () => sortBy(header));
  for (const box of all("[data-toggle]")) {
    box.addEventListener("change", () => {
      box.checked ? hidden.delete(box.dataset.toggle) : hidden.add(box.dataset.toggle);
      form.method.value = "";
      showSeries();
    });
  }
  document.getElementById("all").addEventListener("click", () => { form.method.value = ""; only(""); });
  // The rows that are shown, as a spreadsheet reads them; no cell of it is taken for a formula.
  const quoted = (cell) => {
    const text = (cell.dataset.value ?? cell.title ?? "") || cell.textContent.trim();
    const safe = /^[=+@\t-]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
    return `"${safe.replaceAll('"', '""')}"`;
  };
  document.getElementById("csv").addEventListener("click", () => {
    const lines = all("#all-scores tr").filter((row) => !row.classList.contains("off"));
    const text = lines.map((row) => [...row.cells].map(quoted).join(",")).join("\r\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", text, "\r\n"], { type: "text/csv" }));
    link.download = "scores.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  // What is rounded in a table, to six digits.
  addEventListener("mouseover", ({ target }) => {
    const value = target.closest?.("td[data-value] .value, td.num[data-value]");
    const cell = value?.closest("td");
    if (value && !value.title) value.title = [cell.dataset.value, cell === value ? "" : cell.title].filter(Boolean).join("; ");
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["input", "change"])
    form.addEventListener(kind, (event) => event.target.name === "method" ? only(form.method.value) : filterScores());
  addEventListener("beforeprint", () => { document.getElementById("how-to-read").open = true; });
  // A browser that comes back to the page may have kept what was ticked.
  for (const box of all("[data-toggle]")) if (!box.checked) hidden.add(box.dataset.toggle);
  if (form.method.value !== "") only(form.method.value); else showSeries();
})();
