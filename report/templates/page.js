"use strict";
// Tables that sort, filter, hide columns and leave the page as files; figures that can be saved. Without it the page
// reads the same. The state of all tables stands in the address, after #, so that a view can be sent to somebody.
(() => {
  const views = new Map();

  function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  // Tables: each row is what its cells hold, and has a place in the page only while it is shown

  const MOST_ROWS = 100; // of a table of all records, which may have thousands, so many more at a time

  function addControls(table, rows = [...table.tBodies[0].rows].map(ofPage), most = Infinity) {
    const view = {
      table,
      rows,
      columns: [...table.tHead.rows[0].cells].map((th) => ({ th, key: th.dataset.key, head: th.dataset.head, number: th.classList.contains("number") })),
      sort: "",
      filter: "",
      hidden: new Set(),
      most,
      said: element("span", { className: "said", role: "status" }),
      more: element("button", { type: "button", textContent: `Show ${MOST_ROWS} more rows` }),
    };
    for (const column of view.columns) {
      const button = element("button", { type: "button", className: "sort", textContent: column.head });
      button.addEventListener("click", () => {
        view.sort = { "": column.key, [column.key]: `-${column.key}` }[isSortedBy(view, column) ? view.sort : ""] ?? "";
        changed(view);
      });
      column.th.replaceChildren(button);
    }
    view.more.addEventListener("click", () => {
      view.most += MOST_ROWS;
      apply(view);
    });
    view.tools = toolbar(view);
    table.parentElement.before(view.tools);
    table.parentElement.after(view.more);
    views.set(table.id, view);
    apply(view);
    return view;
  }

  function ofPage(tr) {
    const cells = [...tr.cells].map((cell) => {
      const number = (name) => (cell.dataset[name] === undefined ? undefined : Number(cell.dataset[name]));
      const text = [...cell.childNodes].map((node) => node.textContent.trim()).filter(Boolean).join(", ");
      return { text, value: number("value"), low: number("low"), high: number("high") };
    });
    return { cells, tr };
  }

  function searched(row) {
    if (row.said === undefined) {
      const said = row.cells.map((cell) => cell.text).join(" ").toLowerCase();
      row.said = `${said} ${said.replaceAll(/(?<=\d),(?=\d)/g, "")}`; // 2304 finds 2,304
    }
    return row.said;
  }

  function isSortedBy(view, column) {
    return view.sort.replace(/^-/, "") === column.key;
  }

  function toolbar(view) {
    const label = view.table.parentElement.getAttribute("aria-label");
    view.search = element("input", { type: "search", placeholder: "Filter", ariaLabel: `Filter: ${label}` });
    view.search.addEventListener("input", () => {
      view.filter = view.search.value;
      changed(view);
    });
    const boxes = view.columns.map((column) => {
      column.box = element("input", { type: "checkbox", checked: true });
      column.box.addEventListener("change", () => {
        view.hidden[column.box.checked ? "delete" : "add"](column.key);
        changed(view);
      });
      return element("label", {}, column.box, ` ${column.head}`);
    });
    const formats = Object.entries(FORMATS).map(([name, { suffix, write }]) => {
      const copy = element("button", { type: "button", textContent: "copy", ariaLabel: `Copy as ${name}: ${label}` });
      copy.addEventListener("click", async () => {
        view.said.textContent = (await copied(write(exported(view)))) ? `copied as ${name}` : "the browser lets nothing be copied";
      });
      const saving = element("button", { type: "button", textContent: "save", ariaLabel: `Save as ${name}: ${label}` });
      saving.addEventListener("click", () => save(`${view.table.id}.${suffix}`, write(exported(view)), "text/plain"));
      return element("div", {}, `${name} `, copy, " ", saving);
    });
    const menus = [menu("Columns", label, boxes), menu("Export", label, formats)];
    return element("div", { className: "tools" }, view.search, ...menus, view.said);
  }

  function menu(name, label, children) {
    const summary = element("summary", { ariaLabel: `${name}: ${label}` }, name);
    const made = element("details", { className: "menu" }, summary, element("div", {}, ...children));
    made.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        made.open = false;
        summary.focus();
      }
    });
    return made;
  }

  function changed(view) {
    apply(view);
    const address = addressOf(views.values());
    history.replaceState(null, "", address ? `#${address}` : location.href.split("#")[0]);
  }

  function apply(view) {
    const sorted = view.columns.findIndex((column) => isSortedBy(view, column));
    const descending = view.sort.startsWith("-");
    if (view.sort !== view.orderedBy) {
      view.ordered = sorted < 0 ? view.rows : [...view.rows].sort((a, b) => compare(a.cells[sorted], b.cells[sorted], descending));
      view.orderedBy = view.sort;
    }
    const wanted = view.filter.toLowerCase().split(/\s+/);
    view.found = view.ordered.filter((row) => wanted.every((word) => searched(row).includes(word)));
    const shown = view.found.slice(0, view.most);
    for (const row of shown) row.tr ??= made(row, view.columns);
    view.table.tBodies[0].replaceChildren(...shown.map((row) => row.tr));
    for (const tr of [view.table.tHead.rows[0], ...shown.map((row) => row.tr)]) {
      view.columns.forEach(({ key }, place) => { tr.cells[place].hidden = view.hidden.has(key); });
    }
    view.columns.forEach((column, place) => {
      column.th.ariaSort = place === sorted ? (descending ? "descending" : "ascending") : null;
      column.box.checked = !view.hidden.has(column.key);
    });
    if (view.search.value !== view.filter) view.search.value = view.filter;
    const parts = [view.found.length < view.rows.length ? `${view.found.length} of ${view.rows.length} rows` : ""];
    if (shown.length < view.found.length) parts.push(`the first ${shown.length} are shown`);
    view.said.textContent = parts.filter(Boolean).join(", ");
    view.more.hidden = shown.length === view.found.length;
  }

  function made(row, columns) {
    return element("tr", {}, ...row.cells.map(({ text }, place) => {
      const cell = element("td", { textContent: text, className: columns[place].number ? "number" : "" });
      cell.dataset.label = columns[place].head; // a phone shows rows as cards
      return cell;
    }));
  }

  // Numbers by size, then words; what is empty stays last whichever the direction.
  function compare(a, b, descending) {
    const sign = descending ? -1 : 1;
    if (a.value !== undefined && b.value !== undefined) return sign * Math.sign(a.value - b.value || 0);
    if (a.value !== b.value) return a.value === undefined ? 1 : -1;
    const [nothing, none] = [a, b].map((cell) => ["", "–"].includes(cell.text));
    if (nothing !== none) return nothing ? 1 : -1;
    return sign * inEnglish.compare(a.text, b.text);
  }

  const inEnglish = new Intl.Collator("en", { numeric: true });

  // The address

  function addressOf(all) {
    const parts = new URLSearchParams();
    for (const { table, sort, filter, hidden } of all) {
      if (sort) parts.set(`${table.id}.sort`, sort);
      if (filter) parts.set(`${table.id}.filter`, filter);
      if (hidden.size) parts.set(`${table.id}.hide`, [...hidden].join(","));
    }
    return parts.toString();
  }

  function goToAddress() {
    const address = location.hash.slice(1);
    if (!address.includes("=")) {
      const target = document.getElementById(address);
      if (target) reveal(target);
      const state = addressOf(views.values());
      if (state) history.replaceState(null, "", `#${state}&at=${address}`); // a link within the page keeps the view
      return;
    }
    const parts = new URLSearchParams(address);
    for (const raw of document.querySelectorAll("details.raw")) {
      if ([...parts.keys()].some((key) => key.startsWith(`records-${raw.dataset.records}.`))) showRecords(raw);
    }
    let first = null;
    for (const view of views.values()) {
      const keys = view.columns.map((column) => column.key);
      const sort = parts.get(`${view.table.id}.sort`) ?? "";
      view.sort = keys.includes(sort.replace(/^-/, "")) ? sort : "";
      view.filter = parts.get(`${view.table.id}.filter`) ?? "";
      view.hidden = new Set((parts.get(`${view.table.id}.hide`) ?? "").split(",").filter((key) => keys.includes(key)));
      apply(view);
      if (!addressOf([view])) continue;
      unfold(view.tools);
      first ??= view.tools;
    }
    const target = document.getElementById(parts.get("at") ?? "") ?? first;
    if (target) reveal(target);
  }

  function unfold(target) {
    for (let at = target; at; at = at.parentElement) if (at.localName === "details") at.open = true;
  }

  function reveal(target) {
    unfold(target);
    target.scrollIntoView();
  }

  // Files

  // What is found: the chosen columns and rows, with the numbers behind the words.
  function exported(view) {
    const places = view.columns.map((_, place) => place).filter((place) => !view.hidden.has(view.columns[place].key));
    const cells = view.found.map((row) => places.map((place) => row.cells[place]));
    const columns = places.map((place, at) => ({
      head: view.columns[place].head,
      number: view.columns[place].number,
      interval: cells.some((row) => row[at].low !== undefined || row[at].high !== undefined),
    }));
    return { columns, cells };
  }

  function csv({ columns, cells }) {
    // A text that a spreadsheet would take for a formula is marked as text.
    const quoted = (text) => `"${text.replace(/^[=+@\t\r-]/, "'$&").replaceAll('"', '""')}"`;
    const plain = (value) => (value === undefined ? "" : String(value));
    const head = columns.flatMap(({ head, interval }) => (interval ? [head, `${head} low`, `${head} high`] : [head]));
    const rows = cells.map((row) =>
      row.flatMap(({ text, value, low, high }, at) => {
        const first = value === undefined ? (columns[at].number && text === "–" ? "" : quoted(text)) : plain(value);
        return columns[at].interval ? [first, plain(low), plain(high)] : [first];
      }),
    );
    return [head.map(quoted), ...rows].map((row) => `${row.join(",")}\r\n`).join("");
  }

  function json({ columns, cells }) {
    const value = (cell, { number, interval }) => {
      if (cell.value === undefined) return number && cell.text === "–" ? null : cell.text;
      return interval ? { estimate: cell.value, low: cell.low ?? null, high: cell.high ?? null } : cell.value;
    };
    const rows = cells.map((row) => Object.fromEntries(row.map((cell, at) => [columns[at].head, value(cell, columns[at])])));
    return `${JSON.stringify(rows, null, 1)}\n`;
  }

  function markdown({ columns, cells }) {
    const line = (texts) => `| ${texts.map((text) => text.replace(/[\\|<>&*_`[\]]/g, "\\$&")).join(" | ")} |\n`;
    const ruler = `|${columns.map(({ number }) => (number ? "---:" : "---")).join("|")}|\n`;
    return line(columns.map(({ head }) => head)) + ruler + cells.map((row) => line(row.map(({ text }) => text))).join("");
  }

  const LATEX = {
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "²": "$^2$", "·": "$\\cdot$",
    "−": "$-$", "×": "$\\times$", "µ": "$\\mu$", "–": "--", "<": "$<$", ">": "$>$", "|": "$|$",
  };

  function latex({ columns, cells }) {
    const escaped = (text) => text.replace(/[&%$#_{}\\~^²·−×µ–<>|]/g, (sign) => LATEX[sign] ?? `\\${sign}`);
    // A line that begins with a bracket would be read as an argument of the one before.
    const line = (texts) => `${texts.map((text) => escaped(text).replace(/^\[/, "{[}")).join(" & ")} \\\\\n`;
    const align = columns.map(({ number }) => (number ? "r" : "l")).join("");
    return (
      `% \\usepackage{booktabs}\n\\begin{tabular}{${align}}\n\\toprule\n${line(columns.map(({ head }) => head))}\\midrule\n` +
      `${cells.map((row) => line(row.map(({ text }) => text))).join("")}\\bottomrule\n\\end{tabular}\n`
    );
  }

  const FORMATS = {
    CSV: { suffix: "csv", write: csv },
    JSON: { suffix: "json", write: json },
    Markdown: { suffix: "md", write: markdown },
    LaTeX: { suffix: "tex", write: latex },
  };

  async function copied(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = element("textarea", { value: text });
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy"); // where a page from a file may not use the clipboard otherwise
      area.remove();
      return done;
    }
  }

  function save(name, text, type) {
    const link = element("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  // Figures

  function addSaving(figure) {
    const button = element("button", { type: "button", className: "save", textContent: "Save as SVG" });
    button.ariaLabel = `Save as SVG: ${figure.querySelector("strong").textContent}`;
    button.addEventListener("click", () => {
      const drawing = [...figure.querySelectorAll("svg")].find((svg) => svg.getClientRects().length).cloneNode(true);
      const { color } = getComputedStyle(figure);
      drawing.setAttribute("style", `color: ${color}; background: ${getComputedStyle(document.body).backgroundColor}`);
      const [, , width, height] = drawing.getAttribute("viewBox").split(" ");
      drawing.setAttribute("width", `${width}pt`);
      drawing.setAttribute("height", `${height}pt`);
      save(`${figure.id}.svg`, new XMLSerializer().serializeToString(drawing), "image/svg+xml");
    });
    figure.querySelector("figcaption").append(" ", button);
  }

  // Figures of which the reader chooses one, by what it has upwards and across

  function addSelects(choice) {
    const all = [...choice.children];
    const said = element("span", { className: "hidden", role: "status" });
    const selects = ["upwards", "across"].map((name) => {
      const options = [...new Set(all.map((one) => one.dataset[name]))].map((text) => element("option", {}, text));
      return element("select", { name }, ...options);
    });
    function show() {
      for (const one of all) one.hidden = selects.some(({ name, value }) => one.dataset[name] !== value);
      said.textContent = all.find((one) => !one.hidden).querySelector("strong").textContent;
    }
    for (const select of selects) select.addEventListener("change", show);
    const labels = selects.map((select) => element("label", {}, `${select.name}: `, select));
    choice.before(element("div", { className: "tools" }, ...labels, said));
  }

  // The records, as a table that is made when it is asked for: there may be thousands

  function showRecords(raw) {
    if (raw.querySelector("table")) return;
    const name = raw.dataset.records;
    const { columns, rows } = JSON.parse(document.getElementById("data").textContent)[name];
    const isNumber = columns.map((_, at) => rows.every((row) => row[at] === null || typeof row[at] === "number"));
    const heads = columns.map((head, at) => {
      const th = element("th", { scope: "col", textContent: head, className: isNumber[at] ? "number" : "" });
      Object.assign(th.dataset, { key: head, head });
      return th;
    });
    const ofRecords = rows.map((row) => ({
      cells: row.map((value) => ({ text: String(value ?? "–"), value: typeof value === "number" ? value : undefined })),
    }));
    const table = element("table", { id: `records-${name}`, className: "data" });
    table.append(element("caption", { textContent: raw.querySelector("summary").textContent, className: "hidden" }));
    table.append(element("thead", {}, element("tr", {}, ...heads)), element("tbody"));
    const region = element("div", { className: "scroll", role: "region", tabIndex: 0, ariaLabel: `Records: ${name.replace("_", " ")}` }, table);
    raw.append(region);
    addControls(table, ofRecords, MOST_ROWS);
  }

  document.querySelectorAll("table.data").forEach((table) => addControls(table));
  document.querySelectorAll("figure").forEach(addSaving);
  document.querySelectorAll(".choice").forEach(addSelects);
  for (const raw of document.querySelectorAll("details.raw")) {
    raw.addEventListener("toggle", () => raw.open && showRecords(raw));
  }
  addEventListener("hashchange", goToAddress);
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not(.menu, .raw)")) details.open = true;
  });
  if (location.hash) goToAddress();
})();
