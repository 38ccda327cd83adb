// The cards of prices: what each asks for its charge model, and the document that they state.

import { all, announce, changed, clone, data, element, followName, input, one, option, root, show } from "./dom.js";
import { addRow, readRows, refreshRows, rowsOf, setDimensions, writeRows } from "./rows.js";

const place = () => one("[data-prices]");
export const cards = () => all("[data-price]", place());
export const indexOf = (card) => cards().indexOf(card);
export const currency = () => input(one("[data-basics]"), "currency").value;
export const meterOf = (card) => data.meters.find((each) => each.key === input(card, "meter").value);

const keys = (self) => cards().filter((card) => card !== self).map((card) => input(card, "key").value);
const listIn = (card, name) => one(`[data-list="${name}"]`, card);
const outside = (card) => all("[data-name]", card).filter((each) => !each.closest("[data-row]"));
const fieldsOf = (card) => (data.models[input(card, "model").value] || { fields: [] }).fields;

export const makeCard = (content = {}, before = null) => {
  const card = clone("ed-price");
  place().insertBefore(card, before);
  followName(card, keys);
  fillMeters(card);
  fillPlans(card);
  writeCard(card, content);
  refreshCard(card);
  return card;
};

const fillMeters = (card) => {
  const choice = input(card, "meter");
  const chosen = choice.value;
  const options = data.meters.map((each) => option(each.key, each.name));
  if (data.urls.meter) options.push(option("*new*", "New meter…"));
  choice.replaceChildren(option("", "Choose…"), ...options);
  choice.value = chosen;
};

const fillPlans = (card) => {
  const options = data.plans.map((each) => option(each.key, each.name));
  one("[data-plans]", card).replaceChildren(option("", "Choose…"), ...options);
};

export const refreshMeters = () => cards().forEach((card) => {
  fillMeters(card);
  refreshCard(card);
});

const writeCard = (card, content) => {
  const overage = content.overage || {};
  for (const each of outside(card)) {
    const said = each.closest("[data-policy]") ? overage : content;
    const value = said[each.dataset.name];
    if (each.type === "checkbox") each.checked = value ?? each.dataset.name === "prorated";
    else if (value !== undefined) writeChoice(each, String(value));
  }
  one("[data-policy-choice]", card).value = overage.policy || "rate";
  one("[data-other]", card).value = (content.default ?? "refuse") === "refuse" ? "refuse" : "rate";
  if (content.default === "refuse") input(card, "default").value = "";
  const months = content.every_months ?? 1;
  one("[data-due]", card).value = content.once ? "once" : String(months) === "1" ? "period" : "months";
  one("[data-every]", card).value = String(months) === "1" ? "" : months;
  card.dataset.phases = JSON.stringify(content.phases || []);
  if (content.key) card.dataset.keyTyped = "yes";
  setDimensions(listIn(card, "rates"), meterOf(card)?.dimensions || []);
  writeRows(listIn(card, "tiers"), content.tiers || []);
  writeRows(listIn(card, "rates"), content.rates || []);
  one(".ed-more", card).open = hasMore(content);
};

// A choice whose options are not there yet is kept in mind until they are.
const writeChoice = (each, value) => {
  if (each.tagName === "SELECT" && ![...each.options].some((known) => known.value === value)) {
    each.append(option(value, value));
  }
  each.value = value;
};

const hasMore = (content) =>
  ["discount_percent", "minimum", "maximum", "class_dimension", "charge_first_tier_at_zero", "attribution"].some((name) => content[name])
  || content.prorated === false || (content.phases || []).length > 0;

// What the amounts of a price are in: its credit, or else the version's currency.
export const unitOf = (card) => input(card, "credit").value || currency();

export const readCard = (card) => {
  const fields = fieldsOf(card);
  const price = { key: input(card, "key").value, name: input(card, "name").value, model: input(card, "model").value };
  for (const each of outside(card)) {
    const name = each.dataset.name;
    if (each.closest("[data-policy]") || !fields.includes(name) || name === "default") continue;
    price[name] = each.type === "checkbox" ? each.checked : each.value;
  }
  if (!price.credit) delete price.beyond_credit;
  readParts(card, price, fields);
  return price;
};

const readParts = (card, price, fields) => {
  const due = one("[data-due]", card).value;
  if (fields.includes("once") && due === "once") price.once = true;
  if (fields.includes("every_months") && due === "months") price.every_months = one("[data-every]", card).value || "0";
  for (const name of ["tiers", "rates"]) if (fields.includes(name)) price[name] = readRows(listIn(card, name));
  if (fields.includes("default")) price.default = one("[data-other]", card).value === "refuse" ? "refuse" : input(card, "default").value;
  if (fields.includes("allowance_per") && !price.allowance.trim()) delete price.allowance_per;
  if (fields.includes("overage")) price.overage = readOverage(card);
  price.phases = all("[data-phase-choices] input", card).filter((each) => each.checked).map((each) => each.value);
};

const readOverage = (card) => {
  if (one("[data-overage]", card).hidden) return {};
  const policy = one("[data-policy-choice]", card).value;
  const shown = all(`[data-policy="${policy}"] [data-name]`, card);
  return { policy, ...Object.fromEntries(shown.map((each) => [each.dataset.name, each.value])) };
};

// Show what the chosen model needs, with the words that fit it, and the meter's unit beside.
export const refreshCard = (card) => {
  const model = input(card, "model").value;
  const known = data.models[model] || { fields: [], labels: {}, help: "" };
  one("[data-title]", card).textContent = input(card, "name").value.trim() || "New price";
  one("[data-model-help]", card).textContent = known.help;
  for (const each of all("[data-models]", card)) show(each, each.dataset.models.split(" ").includes(model));
  show(one("[data-metered]", card), known.fields.includes("meter"));
  show(one(".ed-more", card), model !== "");
  for (const [name, label] of Object.entries(known.labels)) {
    one(`[data-field="${name}"][data-models] [data-label]`, card).textContent = label;
  }
  refreshMetered(card, known);
  refreshChoices(card, known);
  refreshTable(card);
  nameTools(card);
};

// The page that reads tiers and rates from a file works on what is stored.
export const refreshTable = (card) => {
  const key = input(card, "key").value;
  const isStored = data.content.prices.some((price) => price.key === key && price.model === input(card, "model").value);
  for (const link of all("[data-table]", card)) {
    link.href = data.urls.table.replace("KEY", encodeURIComponent(key));
    show(link, isStored);
  }
};

const refreshMetered = (card, known) => {
  const meter = known.fields.includes("meter") ? meterOf(card) : undefined;
  for (const each of all("[data-unit]", card)) each.textContent = meter?.unit || "units";
  for (const each of all("[data-currency]", card)) {
    each.textContent = each.closest('[data-policy], [data-field="beyond_credit"]') ? currency() : unitOf(card);
  }
  const dimensions = meter?.dimensions || [];
  const rates = listIn(card, "rates");
  if (rates.dataset.dimensions !== JSON.stringify(dimensions)) setDimensions(rates, dimensions);
  const choice = input(card, "class_dimension");
  const chosen = choice.value;
  choice.replaceChildren(option("", "Nothing: one price for all"), ...dimensions.map((name) => option(name, name)));
  if (dimensions.includes(chosen)) choice.value = chosen;
  const hasClasses = known.fields.includes("class_dimension") && dimensions.length > 0;
  show(choice.closest("[data-field]"), hasClasses);
};

const refreshChoices = (card, known) => {
  const isIncluded = known.fields.includes("allowance") && input(card, "allowance").value.trim() !== "";
  show(one('[data-field="allowance_per"]', card), isIncluded);
  show(one("[data-overage]", card), isIncluded);
  const policy = one("[data-policy-choice]", card).value;
  for (const each of all("[data-policy]", card)) show(each, isIncluded && each.dataset.policy === policy);
  const due = one("[data-due]", card).value;
  show(one("[data-months]", card), known.fields.includes("every_months") && due === "months");
  const prorated = one('[data-field="prorated"]', card);
  show(prorated, known.fields.includes("prorated") && !(known.fields.includes("once") && due !== "period"));
  const credit = input(card, "credit").value;
  show(one('[data-field="credit"]', card), data.credits.length > 0 || credit !== "");
  show(one('[data-field="beyond_credit"]', card), credit !== "");
  show(input(card, "default").closest("[data-field]"), one("[data-other]", card).value === "rate");
  for (const name of ["tiers", "rates"]) {
    const list = listIn(card, name);
    if (!list.hidden && rowsOf(list).length === 0) startRows(list, name);
    refreshRows(list);
  }
  for (const row of all("[data-row]", card)) {
    for (const cell of all("[data-models]", row)) show(cell, cell.dataset.models.split(" ").includes(input(card, "model").value));
  }
  refreshPhases(card);
};

const startRows = (list, name) => {
  addRow(list);
  if (name === "tiers") addRow(list);
};

export const refreshPhases = (card) => {
  const chosen = JSON.parse(card.dataset.phases);
  const phases = readRows(one('[data-list="phases"]')).filter((each) => each.key);
  const known = phases.map((each) => each.key);
  const lost = chosen.filter((key) => !known.includes(key)).map((key) => ({ key, name: `${key} (not a phase)` }));
  const choices = [...phases, ...lost].map((each) => {
    const box = element("input", { type: "checkbox", value: each.key, checked: chosen.includes(each.key), disabled: !data.canEdit });
    return element("label", { className: "ed-check" }, box, " ", element("span", { textContent: each.name || each.key }));
  });
  one("[data-phase-choices]", card).replaceChildren(...choices);
  show(one("[data-phases]", card), choices.length > 0);
};

const nameTools = (card) => {
  const name = one("[data-title]", card).textContent;
  const verbs = { up: "Move {} up", down: "Move {} down", duplicate: "Duplicate {}", remove: "Remove {}" };
  for (const [what, words] of Object.entries(verbs)) {
    one(`[data-do="${what}"]`, card).setAttribute("aria-label", words.replace("{}", name));
  }
};

export const openCard = (card, opened = true) => {
  show(one(".ed-price-body", card), opened);
  card.classList.toggle("ed-open", opened);
  one("[data-do=toggle]", card).setAttribute("aria-expanded", String(opened));
  if (opened) root.dispatchEvent(new CustomEvent("ed:opened", { detail: card }));
};

export const isOpen = (card) => !one(".ed-price-body", card).hidden;

export const addPrice = () => {
  const card = makeCard();
  openCard(card);
  input(card, "name").focus();
  card.scrollIntoView({ block: "nearest" });
  changed();
};

export const duplicate = (card) => {
  const content = readCard(card);
  const taken = keys(null);
  let key = `${content.key || "price"}-copy`;
  for (let number = 2; taken.includes(key); number += 1) key = `${content.key || "price"}-copy-${number}`;
  const copy = makeCard({ ...content, key, name: `${content.name} (copy)` }, card.nextElementSibling);
  openCard(copy);
  input(copy, "name").focus();
  input(copy, "name").select();
  announce(`${content.name} duplicated.`);
  changed();
};

export const removeCard = (card) => {
  const name = one("[data-title]", card).textContent;
  const note = clone("ed-removed");
  one("[data-what]", note).textContent = `${name} was removed.`;
  one("[data-do=undo]", note).setAttribute("aria-label", `Undo: bring ${name} back`);
  note.removed = card;
  card.replaceWith(note);
  one("[data-do=undo]", note).focus();
  announce(`${name} removed. Undo brings it back.`);
  changed();
};

export const undo = (note) => {
  const card = note.removed;
  note.replaceWith(card);
  one("[data-do=toggle]", card).focus();
  announce(`${one("[data-title]", card).textContent} is back.`);
  changed();
};

export const forgetRemoved = () => all(".ed-removed").forEach((note) => note.remove());

export const moveCard = (card, by, focused) => {
  const there = cards()[indexOf(card) + by];
  if (!there) return;
  there[by < 0 ? "before" : "after"](card);
  if (focused && card.contains(focused)) focused.focus();
  card.scrollIntoView({ block: "nearest" });
  announce(`${one("[data-title]", card).textContent} moved ${by < 0 ? "up" : "down"}: place ${indexOf(card) + 1} of ${cards().length}.`);
  changed();
};
