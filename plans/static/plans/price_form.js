// Shows what the chosen charge model reads, and derives where each tier begins. It computes no
// price: amounts come from the server. Without it every field is shown and works.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const data = document.getElementById("tg-editor");
  const model = document.getElementById("id_model");
  if (!data || !model) return;
  const editor = JSON.parse(data.textContent);
  const meter = document.getElementById("id_meter");
  const everyColumn = [...new Set(Object.values(editor.columns).flat())];

  const show = (element, shown) => {
    if (element) element.toggleAttribute("data-tg-hidden", !shown);
  };
  const isShown = (element) => !element.hasAttribute("data-tg-hidden");
  const each = (selector, act) => document.querySelectorAll(selector).forEach(act);

  const showColumns = () => {
    const used = new Set(editor.columns[model.value] || everyColumn);
    everyColumn.forEach((name) => show(document.querySelector(`.field-line.field-${name}`), used.has(name)));
    each(".tg-model .form-row", (row) => show(row, [...row.children].some(isShown)));
    show(document.querySelector("fieldset.tg-model"), everyColumn.some((name) => used.has(name)));
    show(document.querySelector(".field-line.field-meter"), model.value !== "flat");
    if (model.value === "flat") meter.value = "";
  };

  const showRows = () => {
    const percent = model.value === "graduated_percentage";
    show(document.getElementById("tiers-group"), editor.tiered.includes(model.value));
    show(document.getElementById("rates-group"), editor.rated.includes(model.value));
    each("#tiers-group .column-percent, #tiers-group .field-percent", (cell) => show(cell, percent));
    each("#tiers-group .column-unit_amount, #tiers-group .field-unit_amount", (cell) => show(cell, !percent));
  };

  const showDimensions = () => {
    const names = editor.dimensions[meter.value] || [];
    for (let place = 0; place < editor.most_dimensions; place += 1) {
      const shown = place < Math.max(names.length, 1);
      const name = names[place] || `Value ${place + 1}`;
      each(`#rates-group .column-value_${place}`, (heading) => {
        show(heading, shown);
        heading.textContent = name;
      });
      each(`#rates-group .field-value_${place}`, (cell) => {
        show(cell, shown);
        cell.querySelector("input").setAttribute("aria-label", name);
      });
    }
  };

  const deriveBounds = () => {
    let before = "0";
    each("#tiers-group tbody.form-group:not(.empty-form)", (row) => {
      const bound = row.querySelector("input[name$='-up_to']");
      const begins = row.querySelector(".field-begins_above .readonly, .field-begins_above");
      if (!bound || !begins || row.querySelector("input[name$='-DELETE']:checked")) return;
      begins.textContent = before;
      before = bound.value.trim() || "—";
    });
  };

  const refresh = () => {
    showColumns();
    showRows();
    showDimensions();
    deriveBounds();
  };
  model.addEventListener("change", refresh);
  meter.addEventListener("change", showDimensions);
  document.addEventListener("input", deriveBounds);
  document.addEventListener("change", deriveBounds);
  document.addEventListener("formset:added", refresh);
  document.addEventListener("formset:removed", refresh);
  refresh();
});
