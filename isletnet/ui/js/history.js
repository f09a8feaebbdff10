// A table of requests: sorted by its headings, chosen by its boxes. `rows` hold cells of {text, small, href, sort, tone}.
function cellOf(cell, name) {
  const made = element(name);
  made.append(cell.href ? element("a", { href: cell.href, textContent: cell.text }) : cell.text);
  if (cell.small) made.append(element("small", { textContent: cell.small }));
  if (cell.tone) made.className = `islet-tone-${cell.tone}`;
  return made;
}

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return typeof a === "number" ? a - b : a.localeCompare(b, document.documentElement.lang, { numeric: true });
}

function render({ model, el }) {
  let order = { column: 0, sign: -1 };
  const table = element("table");
  const empty = element("p", { className: "islet-quiet" });
  el.append(element("div", { className: "islet-table", tabIndex: 0 }, table), empty);

  function choose(ids) {
    model.set("chosen", ids);
    model.save_changes();
  }

  function box(label, checked, onChange) {
    const made = element("input", { type: "checkbox", ariaLabel: label, checked });
    made.addEventListener("change", () => onChange(made.checked));
    return made;
  }

  function heading(title, column) {
    const button = element("button", { type: "button", textContent: title });
    const cell = element("th", { scope: "col" }, button);
    if (column === order.column) cell.ariaSort = order.sign > 0 ? "ascending" : "descending";
    button.addEventListener("click", () => {
      order = { column, sign: column === order.column ? -order.sign : 1 };
      show();
      table.querySelectorAll("thead button")[column].focus();
    });
    return cell;
  }

  function show() {
    const texts = model.get("texts");
    const rows = [...model.get("rows")];
    const chosen = new Set(model.get("chosen"));
    const at = ({ cells }) => cells[order.column].sort ?? null;
    rows.sort((a, b) => {
      const known = (at(a) === null) - (at(b) === null);
      return known || order.sign * compare(at(a), at(b));
    });
    const all = box(texts.choose_all, rows.length > 0 && rows.every(({ id }) => chosen.has(id)), (on) =>
      choose(on ? rows.map(({ id }) => id) : []),
    );
    const head = element("tr", {}, element("td", {}, all), ...model.get("head").map(heading));
    const body = rows.map(({ id, name, cells }) => {
      const mark = box(`${texts.choose}: ${name}`, chosen.has(id), (on) =>
        choose(on ? [...model.get("chosen"), id] : model.get("chosen").filter((other) => other !== id)),
      );
      mark.dataset.id = id;
      return element("tr", {}, element("td", {}, mark), ...cells.map((cell, column) => cellOf(cell, column === 1 ? "th" : "td")));
    });
    for (const row of body) row.querySelector("th")?.setAttribute("scope", "row");
    const caption = element("caption", { textContent: texts.caption });
    const focused = document.activeElement?.dataset?.id;
    table.replaceChildren(caption, element("thead", {}, head), element("tbody", {}, ...body));
    if (focused) table.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
    table.hidden = rows.length === 0;
    empty.textContent = rows.length === 0 ? texts.empty : "";
  }

  model.on("change:rows change:chosen change:texts", show);
  show();
  // The numbers come after the first sight of the page.
  model.set("is_seen", true);
  model.save_changes();
}

export default { render };
