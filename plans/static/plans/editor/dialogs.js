// New meters and features, made without leaving the page.

import { all, announce, data, followName, input, labelled, one, post } from "./dom.js";

export const openDialog = (kind, done) => {
  const dialog = document.getElementById(`ed-new-${kind}`);
  const form = one("form", dialog);
  form.reset();
  form.dataset.keyTyped = "";
  say(form, []);
  dialog.done = done;
  dialog.showModal();
  input(form, "name").focus();
};

export const closeDialog = (dialog) => dialog.close();

const say = (form, problems) => {
  for (const each of all("[data-said]", form)) each.remove();
  one("[data-problem-of]", form).textContent = "";
  for (const problem of problems) {
    const spot = one(`[data-field="${problem.path.split(".")[0]}"]`, form);
    if (!spot) {
      one("[data-problem-of]", form).textContent = problem.message;
      continue;
    }
    const words = document.createElement("span");
    words.className = "ed-problem";
    words.dataset.said = "";
    words.textContent = problem.message;
    spot.append(words);
  }
  const [first] = problems;
  if (first) {
    announce(first.message);
    input(form, first.path)?.focus();
  }
};

const send = async (form) => {
  const kind = form.dataset.form;
  const sent = Object.fromEntries(all("[data-name]", form).map((each) => [each.dataset.name, each.value]));
  let answer;
  try {
    answer = await post(data.urls[kind], sent);
  } catch (error) {
    say(form, [{ path: "", message: error.message }]);
    return;
  }
  if (answer.status !== 200) {
    say(form, answer.body.problems);
    return;
  }
  const dialog = form.closest("dialog");
  dialog.close();
  announce(`${sent.name} was made.`);
  dialog.done(answer.body[kind]);
};

export const prepareDialogs = () => {
  for (const form of all("dialog form")) {
    labelled(form);
    followName(form, () => []);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(form);
    });
  }
  const form = one("[data-form=meter]");
  const property = input(form, "value_property");
  const aggregation = input(form, "aggregation");
  const refresh = () => {
    const isCount = aggregation.value === "count";
    property.closest("[data-field]").hidden = isCount;
    if (isCount) property.value = "";
  };
  aggregation.addEventListener("change", refresh);
  form.addEventListener("reset", () => setTimeout(refresh));
  refresh();
};
