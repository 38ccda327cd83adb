// Lists of rows: tiers, rates, limits, service classes, phases, packs and allotments.

import { all, announce, changed, clone, data, element, followName, grouped, input, one, show } from "./dom.js";

const CALLED = {
  tiers: "tier", rates: "rate", limits: "limit", service_classes: "service class", phases: "phase",
  packs: "pack", allotments: "allotment",
};
const OPEN_ENDED = ["tiers", "phases"];

export const rowsOf = (list) => all("[data-row]", list);
const kindOf = (list) => list.dataset.list;
const isOpenEnded = (list) => OPEN_ENDED.includes(kindOf(list));
const inputsOf = (row) => all("input, select", row).filter((each) => each.offsetParent !== null);
const isBlank = (row) => all("input", row).every((each) => !each.value.trim());

export const addRow = (list, { before = null, values = {} } = {}) => {
  const row = clone(`ed-row-${kindOf(list)}`);
  one("tbody", list).insertBefore(row, before);
  if (kindOf(list) === "rates") addDimensions(list, row);
  if (input(row, "key")) {
    followName(row, (self) => rowsOf(list).filter((each) => each !== self).map((each) => input(each, "key").value));
  }
  writeRow(list, row, values);
  refreshRows(list);
  return row;
};

export const writeRows = (list, contents) => {
  rowsOf(list).forEach((row) => row.remove());
  contents.forEach((values) => addRow(list, { values }));
  const last = contents.at(-1);
  const isClosed = last && (last.up_to || last.days || last.months);
  if (isOpenEnded(list) && isClosed) addRow(list);
  refreshRows(list);
};

const writeRow = (list, row, values) => {
  for (const each of all("[data-name]", row)) {
    const value = values[each.dataset.name];
    if (value === undefined || value === null) continue;
    if (each.type === "checkbox") each.checked = value;
    else each.value = Array.isArray(value) ? value.join(", ") : value;
  }
  for (const each of all("[data-dim]", row)) {
    const value = (values.match || {})[each.dataset.dim];
    each.value = value && value !== "*" ? value : "";
  }
  if (kindOf(list) === "phases") {
    one("[data-count]", row).value = values.days || values.months || "";
    one("[data-span]", row).value = values.days ? "days" : "months";
  }
  if (values.key) row.dataset.keyTyped = "yes";
};

const valueOf = (each) => {
  if (each.type === "checkbox") return each.checked;
  if (each.dataset.many === undefined) return each.value;
  return each.value.split(",").map((part) => part.trim()).filter(Boolean);
};

export const readRows = (list) => {
  const rows = rowsOf(list);
  return rows.map((row, index) => readRow(list, row, index === rows.length - 1));
};

const readRow = (list, row, isLast) => {
  const found = {};
  for (const each of all("[data-name]", row)) {
    const cell = each.closest("[data-field]");
    if (!cell.hidden) found[each.dataset.name] = valueOf(each);
  }
  if (kindOf(list) === "tiers" && isLast) found.up_to = "";
  if (kindOf(list) === "phases" && !isLast) {
    found[one("[data-span]", row).value] = one("[data-count]", row).value;
  }
  if (kindOf(list) === "rates") {
    found.match = Object.fromEntries(all("[data-dim]", row).map((each) => [each.dataset.dim, each.value]));
  }
  return found;
};

// Where a tier begins follows from the one before; the last is open.
export const refreshRows = (list) => {
  const rows = rowsOf(list);
  const table = one("table", list);
  show(table, rows.length > 0);
  let before = "0";
  rows.forEach((row, index) => {
    const isLast = index === rows.length - 1;
    row.setAttribute("aria-label", `${CALLED[kindOf(list)]} ${index + 1}`);
    if (!isOpenEnded(list)) return;
    show(one("[data-above]", row), isLast);
    const bound = kindOf(list) === "tiers" ? input(row, "up_to") : one("[data-length]", row);
    show(bound, !isLast);
    if (kindOf(list) !== "tiers") return;
    one("[data-from]", row).textContent = grouped(before) || "…";
    before = bound.value;
  });
};

export const removeRow = (row) => {
  const list = row.closest("[data-list]");
  const rows = rowsOf(list);
  const place = rows.indexOf(row);
  if (kindOf(list) === "tiers" && rows.length === 1) {
    all("input", row).forEach((each) => { each.value = ""; });
    inputsOf(row)[0].focus();
    changed();
    return;
  }
  row.remove();
  refreshRows(list);
  announce(`${CALLED[kindOf(list)]} ${place + 1} removed.`);
  const near = rowsOf(list)[Math.min(place, rows.length - 2)];
  (near ? inputsOf(near)[0] : one("[data-do=add-row]", list)).focus();
  changed();
};

export const insertRow = (row) => {
  const list = row.closest("[data-list]");
  const rows = rowsOf(list);
  const isLast = rows.at(-1) === row;
  const fresh = addRow(list, { before: row.nextElementSibling });
  const target = isLast && kindOf(list) === "tiers" ? row : fresh;
  inputsOf(target)[0].focus();
  announce(`${CALLED[kindOf(list)]} added.`);
  changed();
};

export const appendRow = (list) => {
  const rows = rowsOf(list);
  const last = rows.at(-1);
  if (last && kindOf(list) === "tiers") {
    if (!isBlank(last)) return insertRow(last);
    inputsOf(addRow(list, { before: last }))[0].focus();
  } else {
    inputsOf(addRow(list))[0].focus();
  }
  announce(`${CALLED[kindOf(list)]} added.`);
  return changed();
};

// A tier takes its price along and leaves the bounds where they are, so that these always rise.
export const moveRow = (row, by, focused) => {
  const list = row.closest("[data-list]");
  const rows = rowsOf(list);
  const there = rows[rows.indexOf(row) + by];
  if (!there) return;
  const name = focused.dataset ? focused.dataset.name || focused.dataset.dim : "";
  let target = row;
  if (kindOf(list) === "tiers") {
    for (const each of ["unit", "percent", "flat"]) {
      const [mine, other] = [input(row, each), input(there, each)];
      [mine.value, other.value] = [other.value, mine.value];
    }
    target = there;
  } else {
    there[by < 0 ? "before" : "after"](row);
  }
  refreshRows(list);
  const again = name ? one(`[data-name="${name}"], [data-dim="${name}"]`, target) : null;
  (again && again.offsetParent ? again : inputsOf(target)[0]).focus();
  announce(`${CALLED[kindOf(list)]} moved ${by < 0 ? "up" : "down"}.`);
  changed();
};

// Cells from a spreadsheet fill the rows from here on. Pasted bounds replace the tiers from here on.
export const pasteRows = (event) => {
  const row = event.target.closest("[data-row]");
  const list = row && row.closest("[data-list]");
  if (!list) return null;
  const text = event.clipboardData.getData("text/plain").replace(/\r/g, "").replace(/\n+$/, "");
  if (!/[\t\n]/.test(text)) return null;
  event.preventDefault();
  const cells = text.split("\n").map((line) => line.split("\t").map((cell) => cell.trim()));
  const lines = cells.filter((line) => line.some((cell) => /\d/.test(cell)));
  const isOpenRow = kindOf(list) === "tiers" && input(row, "up_to").hidden && lines.some((line) => line.length > 1);
  if (event.target.dataset.name === "up_to" || isOpenRow) pasteTiers(list, row, lines);
  else pasteCells(list, row, lines, inputsOf(row).indexOf(event.target));
  refreshRows(list);
  announce(`${lines.length} rows pasted.`);
  changed();
  return list;
};

const pasteTiers = (list, row, lines) => {
  const price = one('[data-field="percent"]', row).hidden ? "unit" : "percent";
  rowsOf(list).slice(rowsOf(list).indexOf(row)).forEach((each) => each.remove());
  const isBound = (text) => /\d/.test(text);
  for (const [bound, amount = "", flat = ""] of lines) {
    addRow(list, { values: { up_to: isBound(bound) ? bound : "", [price]: amount, flat } });
  }
  if (isBound(lines.at(-1)[0])) addRow(list);
};

const pasteCells = (list, row, lines, first) => {
  let at = row;
  lines.forEach((line, index) => {
    line.forEach((cell, place) => {
      const target = inputsOf(at)[first + place];
      if (target) target.value = cell;
    });
    if (index < lines.length - 1) at = at.nextElementSibling || addRow(list);
  });
};

// A matrix has a column for each dimension of its meter.
export const setDimensions = (list, dimensions) => {
  const contents = readRows(list);
  list.dataset.dimensions = JSON.stringify(dimensions);
  const heading = one("thead tr", list);
  heading.replaceChildren(
    ...dimensions.map((name) => element("th", { scope: "col", textContent: name })),
    element("th", { scope: "col", className: "tg-right", textContent: "Rate" }),
    element("th", { scope: "col", textContent: "Name on the statement" }),
    element("th", { scope: "col" }, element("span", { className: "tg-unseen", textContent: "Change" })),
  );
  writeRows(list, contents);
};

const addDimensions = (list, row) => {
  const names = JSON.parse(list.dataset.dimensions || "[]");
  const cells = names.map((name) => {
    const typed = element("input", { type: "text", placeholder: "any", maxLength: 200, autocomplete: "off" });
    typed.dataset.dim = name;
    typed.setAttribute("aria-label", name);
    typed.disabled = !data.canEdit;
    const cell = element("td", {}, typed);
    cell.dataset.field = `match.${name}`;
    return cell;
  });
  row.prepend(...cells);
};
