"use strict";
// Text of the input is only ever put into the page as text (textContent); nothing is built from markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const head = JSON.parse(byId("head").textContent);
  const rows = JSON.parse(byId("records").textContent);
  const at = Object.fromEntries(head.columns.slice(0, head.own).map((name, place) => [name, place]));
  const FINDINGS = head.columns.length;
  const PRINTED = 1000; // rows put on paper at most
  const nothing = (value) => value === null || value === "";
  const count = (value) => value.toLocaleString("en");

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  // Text of the input, set apart so that its direction of writing does not turn what stands beside it.
  const own = (value) => element("bdi", null, nothing(value) ? "" : String(value));

  function icon(status) {
    return element("span", { class: "icon", "aria-hidden": "true" }, head.icons[status]);
  }

  // What the table shows. sort: what a row is sorted by; a missing value always comes last.
  const targetOf = (row) => [row[at.account], row[at.region]].filter((part) => !nothing(part)).join(" ");
  const targets = new Set(rows.map(targetOf).filter(Boolean));
  const first = head.columns[head.own]; // of the input's own columns
  const time = (row) => (row[at.started_at] || "").slice(0, 19).replace("T", " ");
  const order = Object.keys(head.words); // the worst first
  const columns = [
    { name: "Line", key: "line", number: true, cell: (row) => String(row[at.line] ?? "") },
    { name: "Identity", key: "identity", cell: (row) => own(row[at.identity]) },
    { name: "Policy", key: "policy_name", cell: (row) => own(row[at.policy_name]) },
    { name: first, key: first, kind: "extra", skip: !first, sort: (row) => row[head.own], cell: (row) => own(brief(row[head.own] || "")) },
    {
      name: "Target", key: "account", skip: targets.size < 2, sort: targetOf,
      cell: (row) => own(targetOf(row)),
    },
    {
      name: "Status", key: "status", number: true, sort: (row) => order.indexOf(row[at.status]),
      cell: (row) => element("span", null, icon(row[at.status]), head.words[row[at.status]]),
    },
    {
      name: "Reason", key: "error_code",
      cell: (row) => element(
        "span", null,
        nothing(row[at.error_code]) ? null : element("code", null, own(row[at.error_code])),
        nothing(row[at.message]) ? null : own(brief(row[at.message])),
      ),
    },
    { name: "Sent (UTC)", key: "started_at", cell: (row) => time(row) },
    {
      name: "ms", key: "duration_ms", number: true,
      cell: (row) => (row[at.duration_ms] === null ? "" : row[at.duration_ms].toFixed(row[at.duration_ms] < 10 ? 1 : 0)),
    },
  ].filter((column) => !column.skip && (column.sort || rows.some((row) => !nothing(row[at[column.key]]))));

  function brief(text) {
    return text.length <= 240 ? text : `${text.slice(0, 239)}…`;
  }

  // What is asked of the table, and its place in the address: a reload and a link show the same.
  const state = {};
  function forget() {
    Object.assign(state, { asked: "", within: "", code: null, statuses: new Set(), sort: "status", descending: false, page: 0, size: 50 });
  }

  function remember() {
    const said = new URLSearchParams();
    if (state.asked) said.set("q", state.asked);
    if (state.within) said.set("in", state.within);
    if (state.statuses.size) said.set("status", [...state.statuses].join(" "));
    if (state.code !== null) said.set("code", state.code);
    if (state.sort !== "status" || state.descending) said.set("sort", (state.descending ? "-" : "") + state.sort);
    if (state.page) said.set("page", state.page + 1);
    if (state.size !== 50) said.set("rows", state.size);
    const address = said.size || location.hash ? `#?${said}` : "";
    if (address !== location.hash) history.replaceState(null, "", address);
  }

  function recall() {
    const said = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
    const sort = said.get("sort") || "status";
    forget();
    state.descending = sort.startsWith("-") && !columns.some((column) => column.key === sort);
    state.asked = said.get("q") || "";
    state.code = said.get("code");
    for (const status of (said.get("status") || "").split(" ")) if (order.includes(status)) state.statuses.add(status);
    if (head.columns.includes(said.get("in"))) state.within = said.get("in");
    const wanted = state.descending ? sort.slice(1) : sort;
    if (columns.some((column) => column.key === wanted)) state.sort = wanted;
    if (["200", "1000"].includes(said.get("rows"))) state.size = Number(said.get("rows"));
    show();
    select(Math.max(0, (parseInt(said.get("page"), 10) || 1) - 1));
  }

  // The controls as the state has it.
  function show() {
    byId("search").value = state.asked;
    byId("within").value = state.within;
    byId("size").value = String(state.size);
    for (const box of byId("statuses").querySelectorAll("input")) box.checked = state.statuses.has(box.value);
    arrows();
  }

  let found = rows.map((_, place) => place);
  let printing = false;

  // Made when the first search asks for it: what a row says, in lower case, in all columns or in one.
  const texts = new Map();
  function textsOf(name) {
    if (!texts.has(name)) {
      const place = head.columns.indexOf(name);
      const cells = (row) => (name ? [row[place]] : [...row.slice(0, FINDINGS), ...row[FINDINGS].flatMap((it) => Object.values(it))]);
      const words = (row) => (!name || name === "status" ? [head.words[row[at.status]]] : []);
      texts.set(name, rows.map((row) => [...cells(row), ...words(row)].join("\n").toLowerCase()));
    }
    return texts.get(name);
  }

  function chosen() {
    const words = state.asked.toLowerCase().split(/\s+/).filter(Boolean);
    const said = words.length ? textsOf(state.within) : [];
    return [...rows.keys()].filter((place) => {
      const row = rows[place];
      if (state.statuses.size && !state.statuses.has(row[at.status])) return false;
      if (state.code !== null && (row[at.error_code] || "") !== state.code) return false;
      return words.every((word) => said[place].includes(word));
    });
  }

  const collator = new Intl.Collator("en", { numeric: true });
  function sorted(places) {
    const column = columns.find((it) => it.key === state.sort);
    const value = column.sort || ((row) => row[at[column.key]]);
    const compare = column.number ? (one, other) => one - other : collator.compare;
    const sign = state.descending ? -1 : 1;
    const keys = new Map(places.map((place) => [place, value(rows[place])]));
    return places.sort((one, other) => {
      const [left, right] = [keys.get(one), keys.get(other)];
      if (nothing(left) || nothing(right)) return nothing(left) - nothing(right) || one - other;
      return sign * compare(left, right) || one - other;
    });
  }

  function select(page = 0) {
    found = sorted(chosen());
    state.page = page;
    draw();
  }

  const table = byId("table");
  const body = element("tbody", { role: "rowgroup" });

  function headings() {
    const cells = columns.map((column) => {
      const button = element("button", { type: "button" }, own(column.name), element("span", { class: "arrow", "aria-hidden": "true" }));
      button.addEventListener("click", () => {
        state.descending = state.sort === column.key && !state.descending;
        state.sort = column.key;
        arrows();
        select();
      });
      return element("th", { scope: "col", role: "columnheader", class: column.kind || column.key, "data-label": column.name },
        button, element("span", { class: "printed" }, own(column.name)));
    });
    const details = element("th", { scope: "col", role: "columnheader", class: "details" }, element("span", { class: "away" }, "Details"));
    table.classList.add(...columns.map((column) => `has-${column.kind || column.key}`));
    table.append(element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...cells, details)), body);
  }

  function arrows() {
    [...table.tHead.rows[0].cells].slice(0, columns.length).forEach((cell, place) => {
      const here = columns[place].key === state.sort;
      if (here) cell.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
      cell.querySelector(".arrow").textContent = here ? (state.descending ? "▼" : "▲") : "";
    });
  }

  function line(place) {
    const row = rows[place];
    const cells = columns.map((column) => {
      const content = column.cell(row);
      const cell = element("td", { role: "cell", "data-label": column.name, class: column.kind || column.key }, content);
      if (!cell.textContent) cell.classList.add("empty");
      return cell;
    });
    const words = nothing(row[at.line]) ? `record ${place + 1}` : `line ${row[at.line]}`;
    const button = element("button", { type: "button", "aria-expanded": "false", "aria-label": `Details of ${words}` }, element("span", null, "Details"));
    const made = element("tr", { role: "row", class: row[at.status] }, ...cells, element("td", { role: "cell", class: "details" }, button));
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!open));
      if (open) made.nextElementSibling.remove();
      else made.after(more(row));
    });
    return made;
  }

  function more(row) {
    const entry = (name, value, broad) => element(
      "div", broad ? { class: "broad" } : null, element("dt", null, element("bdi", null, name)), element("dd", null, own(value)),
    );
    const entries = head.columns.flatMap((name, place) => {
      if (nothing(row[place])) return [];
      return [entry(name, row[place], name === "message" || String(row[place]).length > 60)];
    });
    for (const finding of row[FINDINGS]) {
      const hint = finding.hint ? ` (${finding.hint})` : "";
      entries.push(entry(`${finding.severity} ${finding.code}`, `${finding.where}: ${finding.message}${hint}`, true));
    }
    const cell = element("td", { role: "cell", colspan: String(columns.length + 1) }, element("dl", null, ...entries));
    return element("tr", { role: "row", class: "more" }, cell);
  }

  function draw() {
    const size = printing ? PRINTED : state.size;
    const pages = Math.max(1, Math.ceil(found.length / size));
    if (!printing) state.page = Math.min(state.page, pages - 1);
    const page = printing ? 0 : state.page;
    body.replaceChildren(...found.slice(page * size, (page + 1) * size).map(line));
    const records = rows.length === 1 ? "1 record" : `${count(rows.length)} records`;
    const all = found.length === rows.length ? records : `${count(found.length)} of ${records}`;
    const cause = state.code === null ? "" : `, with the code ${state.code || "(none)"}`;
    const asked = state.asked && printing ? `, with “${state.asked}” in ${state.within || "any column"}` : "";
    const left = printing && found.length > size ? `; the first ${count(size)} are printed` : "";
    byId("found").textContent = all + cause + asked + left;
    byId("all").hidden = !(state.asked || state.statuses.size || state.code !== null);
    byId("download").disabled = found.length === 0;
    byId("page").textContent = `Page ${count(page + 1)} of ${count(pages)}`;
    for (const id of ["first", "before"]) byId(id).disabled = page === 0;
    for (const id of ["after", "last"]) byId(id).disabled = page >= pages - 1;
    if (!printing) remember();
  }

  function turn(id, target) {
    byId(id).addEventListener("click", () => {
      const pages = Math.max(1, Math.ceil(found.length / state.size));
      state.page = Math.min(Math.max(0, target(pages)), pages - 1);
      draw();
      table.scrollIntoView({ block: "start" });
    });
  }

  function filters() {
    const present = new Map();
    for (const row of rows) present.set(row[at.status], (present.get(row[at.status]) || 0) + 1);
    for (const name of head.columns) byId("within").append(element("option", { value: name }, name));
    for (const status of order.filter((word) => present.has(word))) {
      const box = element("input", { type: "checkbox", value: status });
      box.addEventListener("change", () => {
        if (box.checked) state.statuses.add(status);
        else state.statuses.delete(status);
        state.code = null;
        select();
      });
      byId("statuses").append(element("label", { class: status }, box, icon(status), `${head.words[status]} ${count(present.get(status))}`));
    }
  }

  function showCause(button) {
    const size = state.size;
    forget();
    Object.assign(state, { size, statuses: new Set([button.dataset.status]), code: button.dataset.code ?? null });
    show();
    select();
    byId("records-title").scrollIntoView();
    byId("records-title").focus({ preventScroll: true });
  }

  // As reports in CSV are: whatever a spreadsheet would run has an apostrophe before it.
  const inside = new RegExp(head.formula.inside, "g");
  const harmless = Object.fromEntries(Object.entries(head.formula.harmless).map(([name, form]) => [name, new RegExp(`^(?:${form})$`)]));
  function neutral(name, text) {
    if (harmless[name]?.test(text)) return text;
    const safe = text.replace(inside, "$&'");
    return head.formula.first.includes(safe[0]) ? `'${safe}` : safe;
  }

  function download() {
    const cell = (name, value) => {
      const text = typeof value === "string" ? neutral(name, value) : String(value ?? "");
      return /[",;\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const lines = [head.columns, ...found.map((place) => rows[place])].map((row) => (
      `${head.columns.map((name, place) => cell(name, row[place])).join(head.sheet.endsWith(";") ? ";" : ",")}\n`
    ));
    const place = URL.createObjectURL(new Blob([head.sheet.startsWith("\ufeff") ? "\ufeff" : "", ...lines], { type: "text/csv" }));
    element("a", { href: place, download: head.file }).click();
    setTimeout(() => URL.revokeObjectURL(place), 60000);
  }

  function lanes() {
    const figures = [...document.querySelectorAll("figure.lane")];
    if (figures.length < 3) return;
    const choice = element("select", { id: "lane" }, ...figures.map((figure, place) => (
      element("option", { value: String(place) }, figure.querySelector("h3").textContent)
    )));
    const show = () => figures.forEach((figure, place) => { figure.hidden = String(place) !== choice.value; });
    choice.addEventListener("change", show);
    byId("lanes").before(element("p", { class: "choice" }, element("label", { for: "lane" }, `Target, one of ${figures.length}: `), choice));
    show();
  }

  let waiting = 0;
  function ask() {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      Object.assign(state, { asked: byId("search").value.trim(), within: byId("within").value, code: null });
      select();
    }, 100);
  }
  byId("search").addEventListener("input", ask);
  byId("within").addEventListener("change", ask);
  byId("download").addEventListener("click", download);
  byId("all").addEventListener("click", () => {
    Object.assign(state, { asked: "", within: "", code: null, statuses: new Set() });
    show();
    select();
    byId("search").focus();
  });
  byId("size").addEventListener("change", (event) => {
    state.size = Number(event.target.value);
    state.page = 0;
    draw();
  });
  turn("first", () => 0);
  turn("before", () => state.page - 1);
  turn("after", () => state.page + 1);
  turn("last", (pages) => pages - 1);
  for (const button of document.querySelectorAll("button.show")) {
    button.hidden = false;
    button.addEventListener("click", () => showCause(button));
  }

  // On paper: more rows, and what is folded away on the screen.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    printing = true;
    folded = [...document.querySelectorAll("details:not([open], .same)")];
    for (const details of folded) details.open = true;
    draw();
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    for (const details of folded) details.open = false;
    draw();
  });

  headings();
  filters();
  lanes();
  recall();
  window.addEventListener("hashchange", () => (location.hash.startsWith("#?") ? recall() : remember()));
  byId("browser").hidden = false;
})();
