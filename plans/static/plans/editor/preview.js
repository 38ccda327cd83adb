// What the server says of the unsaved page: what is wrong where, and what things cost.

import { all, announce, data, element, grouped, input, labelled, one, post, root, show } from "./dom.js";
import { cards, isOpen, openCard, unitOf } from "./prices.js";
import { rowsOf } from "./rows.js";

// Not typed yet rather than wrong: said only where a person has been, or on saving.
const UNFINISHED = ["missing", "empty", "open_tier_not_last", "no_prices"];
const WAIT_MS = 250;

let asked = 0;
let timer = 0;
let insists = false;
let known = [];
const wanted = new Set(); // the open prices whose examples and curve are to be asked for

export const insist = (insisting) => { insists = insisting; };
export const problems = () => known;
export const want = (card) => wanted.add(card);

export const schedule = (read) => {
  clearTimeout(timer);
  timer = setTimeout(() => refresh(read), WAIT_MS);
};

export const refresh = async (read) => {
  asked += 1;
  const mine = asked;
  const listed = cards();
  const places = listed.flatMap((card, place) => (wanted.has(card) && isOpen(card) ? [place] : []));
  const body = { content: read(), prices: places, quantities: quantities() };
  let answer;
  try {
    answer = await post(data.urls.preview, body);
  } catch (error) {
    root.dispatchEvent(new CustomEvent("ed:failed", { detail: error.message }));
    return;
  }
  if (mine !== asked) return;
  places.forEach((place) => wanted.delete(listed[place]));
  if (answer.status === 200) showPreview(answer.body, listed);
  root.dispatchEvent(new Event("ed:previewed"));
};

export const showPreview = (found, listed = cards()) => {
  showProblems(found.problems);
  found.summaries.forEach((text, place) => { if (listed[place]) showSummary(listed[place], text); });
  for (const detail of found.details) showDetail(listed[detail.price], detail);
  if (found.bill) showBill(found.bill);
  showGranted(found.granted);
};

// Packs, allotments and job terms in words, a pack's price for each credit, and what looks wrong.
const showGranted = (granted) => {
  for (const name of ["packs", "allotments", "jobs"]) showWords(one(`[data-words-of="${name}"]`), granted[name]);
  showWords(one("[data-warnings]"), granted.warnings);
  rowsOf(one('[data-list="packs"]')).forEach((row, place) => {
    one("[data-each]", row).textContent = granted.each[place] || "";
  });
};

const showWords = (list, lines) => {
  list.replaceChildren(...lines.map((textContent) => element("li", { textContent })));
  show(list, lines.length > 0);
};

// Problems ----------------------------------------------------------------------------------

export const showProblems = (found) => {
  known = found;
  for (const each of all(".ed-wrong")) each.classList.remove("ed-wrong");
  for (const each of all("[data-said]")) each.remove();
  for (const each of all("[data-problem-of]")) each.textContent = "";
  for (const each of all("[aria-invalid]")) each.removeAttribute("aria-invalid");
  for (const card of cards()) delete card.dataset.problem;
  const said = found.filter(sayProblem);
  root.dispatchEvent(new CustomEvent("ed:problems", { detail: { found, said } }));
};

const sayProblem = (problem) => {
  const spot = locate(problem.path);
  if (!spot) return true;
  const card = spot.closest("[data-price]");
  const isUnfinished = UNFINISHED.includes(problem.code);
  if (card && !card.dataset.problem) {
    card.dataset.problem = isUnfinished ? `Not complete yet: ${lower(problem.message)}` : problem.message;
  }
  const isQuiet = isUnfinished && !insists && !spot.dataset.visited;
  if (isQuiet) return false;
  const typed = one("input, select, textarea", spot);
  spot.classList.add("ed-wrong");
  if (card) card.dataset.loud = "yes";
  const more = spot.closest("details");
  if (more) more.open = true;
  if (spot.hasAttribute("data-problem-of")) {
    spot.textContent = problem.message;
  } else {
    const words = element("span", { className: "ed-problem", textContent: problem.message });
    words.dataset.said = "";
    words.id = typed ? `${typed.id || "ed"}-problem` : "";
    spot.append(words);
    if (typed) {
      typed.setAttribute("aria-invalid", "true");
      typed.setAttribute("aria-describedby", words.id);
    }
  }
  return true;
};

export const locate = (path) => {
  const parts = path.replace(/\[(\d+)\]/g, ".$1").split(".").filter(Boolean);
  if (parts[0] === "prices" && parts.length > 1) {
    const card = cards()[Number(parts[1])];
    return card && inCard(card, parts.slice(2));
  }
  const list = one(`:scope > section [data-list="${parts[0]}"]`);
  if (list && parts.length > 1) return inRow(list, parts) || one(`[data-problem-of="${parts[0]}"]`);
  if (parts[0] === "quantities") return one(`[data-quantities] [data-field="${CSS.escape(parts.slice(1).join("."))}"]`);
  if (parts[0] === "jobs" && parts.length > 1) return one(`[data-jobs] [data-field="${CSS.escape(parts[1])}"]`);
  return one(`[data-problem-of="${parts[0]}"]`) || one(`[data-basics] [data-field="${parts[0]}"]`);
};

const inCard = (card, parts) => {
  const list = one(`[data-list="${parts[0]}"]`, card);
  if (list && parts.length > 1) return inRow(list, parts);
  if (list) return one(`[data-problem-of="${parts[0]}"]`, list);
  const isOverage = parts[0] === "overage";
  const name = isOverage ? parts[1] || "overage" : parts[0] || "name";
  const policy = one("[data-policy-choice]", card).value;
  const spots = all(`[data-field="${name}"]`, card).filter((each) => !each.closest("[data-row]"));
  const fitting = spots.filter((each) => !isOverage || !parts[1] || each.dataset.policy === policy);
  return fitting.find((each) => !each.hidden && Boolean(each.dataset.policy) === (isOverage && Boolean(parts[1])))
    || one('[data-field="model"]', card);
};

const inRow = (list, parts) => {
  const row = rowsOf(list)[Number(parts[1])];
  if (!row) return one(`[data-problem-of="${parts[0]}"]`, list);
  const name = parts[2] === "match" && parts[3] ? `match.${parts.slice(3).join(".")}` : parts[2];
  const cell = ["days", "months"].includes(name) ? "length" : name;
  return one(`[data-field="${CSS.escape(cell || "")}"]`, row) || one("[data-field]", row);
};

export const goToProblem = () => {
  const spots = known.map((each) => locate(each.path)).filter(Boolean);
  const here = spots.findIndex((each) => each.contains(document.activeElement));
  const spot = spots[(here + 1) % spots.length];
  if (!spot) return;
  const card = spot.closest("[data-price]");
  if (card && !isOpen(card)) openCard(card);
  const more = spot.closest("details");
  if (more) more.open = true;
  spot.scrollIntoView({ block: "center" });
  const target = one("input:not([hidden]), select, textarea, button", spot) || spot.querySelector("button");
  if (target) target.focus();
};

// One price -----------------------------------------------------------------------------------

const showSummary = (card, text) => {
  const spot = one("[data-summary]", card);
  const wrong = card.dataset.problem;
  spot.textContent = text || wrong || "";
  spot.classList.toggle("ed-unfinished", !text);
  card.classList.toggle("ed-has-problem", Boolean(wrong) && !text && card.dataset.loud === "yes");
  delete card.dataset.loud;
  one("[data-words]", card).textContent = text;
  if (!text) showUnfinished(card);
};

const showUnfinished = (card) => {
  one("[data-words]", card).textContent = card.dataset.problem || "";
  card.classList.add("ed-no-detail");
};

const lower = (text) => text.charAt(0).toLowerCase() + text.slice(1);

const showDetail = (card, detail) => {
  if (!card) return;
  card.classList.remove("ed-no-detail");
  if (detail.problem) one("[data-words]", card).textContent = detail.problem;
  const rows = detail.examples.map((each) => element("tr", {},
    element("th", { scope: "row" }, each.quantity, element("span", { className: "ed-how", textContent: each.words })),
    element("td", { className: "tg-right tg-amount", textContent: each.amount }),
  ));
  one("[data-examples]", card).replaceChildren(...rows);
  drawCurve(card, detail.curve);
};

const charts = new WeakMap();
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const drawCurve = (card, points) => {
  const frame = one(".ed-chart", card);
  const drawn = points.map(([x, y]) => ({ x: Number(x), y: Number(y) }));
  show(frame, drawn.length > 1);
  if (drawn.length < 2) return;
  const chart = charts.get(card) || newChart(card);
  const dataset = chart.data.datasets[0];
  dataset.data = drawn;
  dataset.borderColor = colour("--color-primary-600");
  dataset.backgroundColor = "color-mix(in srgb, currentColor 8%, transparent)";
  chart.options.scales.x.max = drawn.at(-1).x;
  chart.options.scales.x.title.text = one("[data-unit]", card).textContent;
  chart.options.scales.y.title.text = unitOf(card);
  paint(chart);
  const last = points.at(-1);
  one("canvas", card).setAttribute("aria-label", `Amount by quantity, up to ${grouped(last[0])}: ${grouped(last[1])} ${unitOf(card)}`);
  frame.dataset.points = JSON.stringify(points);
};

const newChart = (card) => {
  const compact = new Intl.NumberFormat("en", { notation: "compact" });
  const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });
  const axis = () => ({
    type: "linear", beginAtZero: true, border: { display: false }, title: { display: true, font: { size: 11 } },
    ticks: { maxTicksLimit: 5, callback: (value) => compact.format(value), font: { size: 11 } },
  });
  const tooltip = {
    displayColors: false,
    callbacks: { title: ([item]) => exact.format(item.parsed.x), label: (item) => `${exact.format(item.parsed.y)} ${currency()}` },
  };
  const chart = new window.Chart(one("canvas", card), {
    type: "line",
    data: { datasets: [{ data: [], parsing: false, pointRadius: 0, pointHitRadius: 12, borderWidth: 2, tension: 0, fill: "origin" }] },
    options: {
      animation: false, responsive: true, maintainAspectRatio: false, interaction: { mode: "nearest", axis: "x", intersect: false },
      plugins: { legend: { display: false }, tooltip }, scales: { x: axis(), y: axis() },
    },
  });
  charts.set(card, chart);
  return chart;
};

const paint = (chart) => {
  const isDark = document.documentElement.classList.contains("dark");
  const [text, line] = [colour(isDark ? "--color-base-400" : "--color-base-500"), colour(isDark ? "--color-base-800" : "--color-base-200")];
  const ink = colour(isDark ? "--color-primary-400" : "--color-primary-600");
  for (const scale of Object.values(chart.options.scales)) {
    scale.ticks.color = text;
    scale.title.color = text;
    scale.grid = { color: line };
  }
  const dataset = chart.data.datasets[0];
  dataset.borderColor = ink;
  dataset.backgroundColor = ink.startsWith("oklch") ? ink.replace(")", " / 10%)") : "transparent";
  chart.update("none");
};

new MutationObserver(() => cards().forEach((card) => charts.has(card) && paint(charts.get(card))))
  .observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });

// A period's bill --------------------------------------------------------------------------------

const quantities = () => Object.fromEntries(all("[data-quantities] input").map((each) => [each.dataset.meter, each.value]));

export const showQuantities = (meters) => {
  const place = one("[data-quantities]");
  const wanted = meters.map((each) => each.key).join(" ");
  if (place.dataset.meters === wanted) return;
  const typed = quantities();
  place.dataset.meters = wanted;
  place.replaceChildren(...meters.map((meter) => {
    const box = element("input", { type: "text", inputMode: "decimal", className: "tg-number", value: typed[meter.key] || "", placeholder: "0", autocomplete: "off" });
    box.dataset.meter = meter.key;
    const affix = element("span", { className: "ed-affix" }, box, element("span", { className: "ed-unit", textContent: meter.unit || "units" }));
    const field = element("div", { className: "ed-field" }, element("label", { className: "ed-label", textContent: meter.name }), affix);
    field.dataset.field = meter.key;
    return labelled(field);
  }));
};

const showBill = (bill) => {
  const rows = bill.lines.map((line) => element("tr", { className: line.problem ? "ed-wrong" : "" },
    element("th", { scope: "row" }, line.label, element("span", { className: line.problem ? "ed-problem" : "ed-how", textContent: line.problem || line.words })),
    element("td", { className: "tg-right tg-amount", textContent: line.quantity }),
    element("td", { className: "tg-right tg-amount", textContent: line.amount || "—" }),
  ));
  if (!rows.length) {
    const text = bill.problems.length ? "Mend the quantities first." : cards().length ? "Nothing yet: a price is not complete." : "There is no price yet.";
    rows.push(element("tr", {}, element("td", { colSpan: 3, className: "ed-quiet", textContent: text })));
  }
  one("[data-bill]").replaceChildren(...rows);
  one("[data-total]").textContent = bill.total || "—";
  for (const problem of bill.problems) {
    const spot = locate(problem.path);
    if (!spot) continue;
    const words = element("span", { className: "ed-problem", textContent: problem.message });
    words.dataset.said = "";
    spot.append(words);
    announce(problem.message);
  }
};
