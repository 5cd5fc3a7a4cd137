// The page's only script, allowed by its hash in the policy: a click on a column's head sorts the table. It reads text and moves rows, nothing else.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  for (const [place, head] of [...table.tHead.rows[0].cells].entries()) {
    if (!head.textContent.trim() || head.classList.contains("axis")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[place].textContent.trim();
      const number = (text) => (/\d/.test(text) ? Number.parseFloat(text.replace(/[,[\s]/g, "").replace("−", "-")) : Number.NaN);
      const order = (one, other) => {
        const [a, b] = [number(key(one)), number(key(other))];
        if (head.classList.contains("num")) return Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(a) - Number.isNaN(b) : up ? a - b : b - a;
        return (up ? 1 : -1) * key(one).localeCompare(key(other), "en", { numeric: true });
      };
      body.append(...[...body.rows].sort(order));
    });
  }
}
