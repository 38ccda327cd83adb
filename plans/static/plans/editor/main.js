// The editor of a plan version: it edits the version as a document and lets the server judge it.

import { closeDialog, openDialog, prepareDialogs } from "./dialogs.js";
import { all, announce, changed, data, element, input, labelled, one, post, root, show } from "./dom.js";
import { goToProblem, insist, refresh, schedule, showPreview, showProblems, showQuantities, want } from "./preview.js";
import {
  addPrice, cards, currency, duplicate, forgetRemoved, isOpen, makeCard, meterOf, moveCard, openCard, readCard,
  refreshCard, refreshMeters, refreshPhases, refreshTable, removeCard, undo,
} from "./prices.js";
import { appendRow, insertRow, moveRow, pasteRows, readRows, refreshRows, removeRow, writeRows } from "./rows.js";

const NAMED_MOST = 4;
const LISTS = ["limits", "service_classes", "phases", "packs", "allotments"];
const listOf = (name) => one(`:scope > section [data-list="${name}"]`);

let saved = "";
let isSaving = false;

// The document ------------------------------------------------------------------------------------

const jobFields = () => all("[data-jobs] [data-name]");

const read = () => ({
  currency: input(one("[data-basics]"), "currency").value,
  note: input(one("[data-basics]"), "note").value,
  features: all("[data-features] input").filter((each) => each.checked).map((each) => each.value),
  ...Object.fromEntries(LISTS.map((name) => [name, readRows(listOf(name))])),
  jobs: Object.fromEntries(jobFields().map((each) => [each.dataset.name, each.type === "checkbox" ? each.checked : each.value])),
  prices: cards().map(readCard),
});

const write = (content) => {
  input(one("[data-basics]"), "currency").value = content.currency;
  input(one("[data-basics]"), "note").value = content.note || "";
  for (const each of all("[data-features] input")) each.checked = (content.features || []).includes(each.value);
  for (const name of LISTS) writeRows(listOf(name), content[name] || []);
  writeJobs(content.jobs || {});
  for (const price of content.prices) makeCard(price);
};

// What is not stated is as usual: the page comes with that.
const writeJobs = (jobs) => {
  for (const each of jobFields()) {
    const value = jobs[each.dataset.name];
    if (value === undefined) continue;
    if (each.type === "checkbox") each.checked = value;
    else each.value = value;
  }
};

const showCurrency = () => all("[data-jobs] [data-currency]").forEach((each) => { each.textContent = currency(); });

const snapshot = () => JSON.stringify(read());
const isDirty = () => data.canEdit && snapshot() !== saved;

// What follows from a change ----------------------------------------------------------------------

// What saving answered stands until something is typed: a preview that was under way does not undo it.
let whenSaved = "Everything is saved";

const showState = (text = "") => {
  one("[data-state]").textContent = text || (data.canEdit ? (isDirty() ? "Unsaved changes" : whenSaved) : "");
};

const isRefused = () => one("[data-state]").classList.contains("ed-refused");

const listed = (names) =>
  names.length > NAMED_MOST ? `${names.slice(0, NAMED_MOST).join(", ")} and ${names.length - NAMED_MOST} more` : names.join(", ");

const showMeters = () => {
  const used = new Map();
  for (const card of cards()) {
    const meter = meterOf(card);
    if (!meter || one("[data-metered]", card).hidden) continue;
    used.set(meter, [...(used.get(meter) || []), one("[data-title]", card).textContent]);
  }
  const list = one("[data-meters]");
  list.replaceChildren(...[...used].map(([meter, names]) => {
    const how = meter.property ? `${meter.aggregation.toLowerCase()}: ${meter.property}` : meter.aggregation.toLowerCase();
    return element("li", {},
      element("strong", { textContent: meter.name }), ` ${how}, of ${meter.event}`,
      element("span", { className: "ed-quiet", textContent: ` — priced by ${listed(names)}` }));
  }));
  show(one("[data-no-meters]"), used.size === 0);
  showQuantities([...used.keys()]);
};

const showCount = () => {
  const count = cards().length;
  one("[data-count]").textContent = count ? `${count} price${count === 1 ? "" : "s"}` : "";
  cards().forEach((card, place) => {
    one("[data-do=up]", card).disabled = place === 0;
    one("[data-do=down]", card).disabled = place === count - 1;
  });
};

const follow = () => {
  one("[data-state]").classList.remove("ed-refused");
  cards().filter(isOpen).forEach(want);
  showMeters();
  showCount();
  showState();
  schedule(read);
};

root.addEventListener("ed:changed", follow);
root.addEventListener("ed:failed", (event) => showState(event.detail));
root.addEventListener("ed:previewed", () => { if (!isRefused()) showState(); });
root.addEventListener("ed:opened", (event) => {
  want(event.detail);
  schedule(read);
});
root.addEventListener("ed:problems", (event) => {
  const { found, said } = event.detail;
  const button = one("[data-do=next-problem]");
  show(button, found.length > 0);
  button.classList.toggle("ed-loud", said.length > 0);
  const things = (count) => `${count} thing${count === 1 ? "" : "s"}`;
  button.textContent = said.length ? `${things(said.length)} to put right` : `${things(found.length)} still to fill in`;
});

root.addEventListener("input", (event) => {
  const { target } = event;
  if (target.closest("dialog")) return;
  const card = target.closest("[data-price]");
  const list = target.closest("[data-list]");
  if (list) refreshRows(list);
  if (card && target.closest("[data-phase-choices]")) card.dataset.phases = JSON.stringify(readCard(card).phases);
  if (card) refreshOf(card, target);
  if (list && list.dataset.list === "phases") cards().forEach(refreshPhases);
  if (target.dataset.name === "currency") {
    cards().forEach(refreshCard);
    showCurrency();
  }
  changed();
});

const refreshOf = (card, target) => {
  if (target.dataset.name === "meter" && target.value === "*new*") {
    target.value = "";
    newMeter(card);
    return;
  }
  const isPlain = target.tagName === "INPUT" && !["name", "allowance"].includes(target.dataset.name);
  if (!isPlain) refreshCard(card);
};

// A field that a person has left may be told that it is empty.
root.addEventListener("focusout", (event) => {
  const field = event.target.closest("[data-field]");
  if (!field || field.dataset.visited || event.target.closest("dialog")) return;
  field.dataset.visited = "yes";
  if (data.canEdit) schedule(read);
});

root.addEventListener("paste", (event) => {
  const list = data.canEdit && pasteRows(event);
  if (list) showRowsOf(list);
});

// What buttons do -----------------------------------------------------------------------------------

const newMeter = (card) => openDialog("meter", (meter) => {
  data.meters.push(meter);
  data.meters.sort((a, b) => a.name.localeCompare(b.name));
  refreshMeters();
  if (card) {
    input(card, "meter").value = meter.key;
    refreshCard(card);
    input(card, "meter").focus();
  }
  changed();
});

const newFeature = () => openDialog("feature", (feature) => {
  const box = element("input", { type: "checkbox", value: feature.key, checked: true });
  const label = element("label", { className: "ed-check" }, box, " ", element("span", { textContent: feature.name }));
  one("[data-do=new-feature]").before(label);
  show(one("[data-no-features]"), false);
  box.focus();
  changed();
});

const DOES = {
  "add-price": addPrice,
  "open-all": () => cards().forEach((card) => openCard(card)),
  "close-all": () => cards().forEach((card) => openCard(card, false)),
  "new-meter": () => newMeter(null),
  "new-feature": newFeature,
  "next-problem": () => { insist(true); refresh(read).then(goToProblem); },
  save: () => save(),
  toggle: (button) => openCard(cardOf(button), !isOpen(cardOf(button))),
  up: (button) => moveCard(cardOf(button), -1, button),
  down: (button) => moveCard(cardOf(button), 1, button),
  duplicate: (button) => duplicate(cardOf(button)),
  remove: (button) => removeCard(cardOf(button)),
  undo: (button) => undo(button.closest(".ed-removed")),
  "add-row": (button) => addTo(button.closest("[data-list]")),
  "insert-row": (button) => insertRow(rowOf(button)),
  "remove-row": (button) => removeFrom(rowOf(button)),
  "up-row": (button) => moveRow(rowOf(button), -1, button),
  "close-dialog": (button) => closeDialog(button.closest("dialog")),
};

const cardOf = (node) => node.closest("[data-price]");
const rowOf = (node) => node.closest("[data-row]");

const addTo = (list) => {
  appendRow(list);
  showRowsOf(list);
};

const removeFrom = (row) => {
  const list = row.closest("[data-list]");
  removeRow(row);
  showRowsOf(list);
};

const showRowsOf = (list) => {
  const card = list.closest("[data-price]");
  if (card) refreshCard(card);
  else cards().forEach(refreshPhases);
};

root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) DOES[button.dataset.do](button);
});

// The keyboard ----------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  const isSave = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s";
  if (isSave) {
    event.preventDefault();
    if (data.canEdit) save();
    return;
  }
  const { target } = event;
  if (!data.canEdit || !root.contains(target) || target.closest("dialog")) return;
  const [row, card] = [rowOf(target), cardOf(target)];
  if (event.altKey && ["ArrowUp", "ArrowDown"].includes(event.key)) {
    event.preventDefault();
    const by = event.key === "ArrowUp" ? -1 : 1;
    if (row) moveRow(row, by, target);
    else if (card) moveCard(card, by, target);
  } else if (event.key === "Enter" && row && target.tagName === "INPUT") {
    event.preventDefault();
    insertRow(row);
    showRowsOf(row.closest("[data-list]"));
  }
});

// Saving ----------------------------------------------------------------------------------------------

const save = async () => {
  if (isSaving) return;
  isSaving = true;
  one("[data-state]").classList.remove("ed-refused");
  showState("Saving…");
  const sent = snapshot();
  try {
    const { status, body } = await post(data.urls.save, { content: JSON.parse(sent), revision: data.revision });
    if (status === 200) wasSaved(sent, body);
    else wasRefused(body);
  } catch (error) {
    refuse(error.message);
  } finally {
    isSaving = false;
  }
};

const wasSaved = (sent, body) => {
  data.revision = body.revision;
  data.content = JSON.parse(sent);
  cards().forEach(refreshTable);
  saved = sent;
  insist(false);
  forgetRemoved();
  showPreview(body);
  const count = body.problems.length;
  const words = count ? `Saved. ${count === 1 ? "One thing stands" : `${count} things stand`} in the way of publishing.` : "Saved.";
  whenSaved = words;
  showState();
  announce(words);
};

const wasRefused = (body) => {
  const isOurs = body.code === "cannot_be_stored" && body.problems.some((each) => each.path);
  if (isOurs) {
    insist(true);
    showProblems(body.problems);
    goToProblem();
  }
  refuse(body.message);
};

const refuse = (message) => {
  showState(message);
  one("[data-state]").classList.add("ed-refused");
  announce(message);
};

window.addEventListener("beforeunload", (event) => { if (isDirty()) event.preventDefault(); });

// The start -------------------------------------------------------------------------------------------

const freeze = () => {
  for (const each of all("[data-none]")) show(each, readRows(each.closest("[data-list]")).length === 0);
  for (const each of all("[data-edits]")) show(each, false);
  for (const each of all("input, select, textarea")) each.disabled = !each.closest("[data-quantities], dialog");
};

const openNamed = () => {
  const key = decodeURIComponent(window.location.hash).replace(/^#price-/, "");
  const card = cards().find((each) => input(each, "key").value === key);
  if (!card) return;
  openCard(card);
  card.scrollIntoView();
  one("[data-do=toggle]", card).focus({ preventScroll: true });
};

const start = () => {
  labelled(one("[data-jobs]"));
  write(data.content);
  showCurrency();
  prepareDialogs();
  show(one("[data-do=new-meter]"), Boolean(data.urls.meter));
  show(one("[data-do=new-feature]"), Boolean(data.urls.feature));
  saved = snapshot();
  showMeters();
  showCount();
  if (!data.canEdit) freeze();
  showPreview(data.preview);
  showState();
  openNamed();
  refresh(read);
  window.addEventListener("hashchange", openNamed);
  root.dataset.ready = "yes";
};

start();
