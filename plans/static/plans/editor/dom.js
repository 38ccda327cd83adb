// What all parts of the editor share: what the server said, and small ways to find and make things.

export const data = JSON.parse(document.getElementById("ed-data").textContent);
export const root = document.getElementById("editor");

export const one = (selector, scope = root) => scope.querySelector(selector);
export const all = (selector, scope = root) => [...scope.querySelectorAll(selector)];

let made = 0;

export const clone = (id) => {
  const node = document.getElementById(id).content.firstElementChild.cloneNode(true);
  labelled(node);
  return node;
};

// A label stands before its control; the two are joined here, so that copies do not clash.
export const labelled = (node) => {
  for (const control of all("input, select, textarea", node)) {
    made += 1;
    control.id = control.id || `ed-${made}`;
    const label = control.closest(".ed-field")?.querySelector("label.ed-label");
    if (label) label.htmlFor = control.id;
  }
  return node;
};

export const element = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

export const option = (value, text) => element("option", { value, textContent: text });

export const show = (node, shown) => {
  node.hidden = !shown;
};

export const announce = (text) => {
  one("[data-live]").textContent = text;
};

export const changed = () => root.dispatchEvent(new Event("ed:changed"));

export const input = (scope, name) => one(`[data-name="${name}"]`, scope);

export const slug = (text) =>
  text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase()
    .replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 100);

// The key follows the name until someone types a key; it never takes one that is taken.
export const followName = (scope, taken) => {
  const [name, key] = [input(scope, "name"), input(scope, "key")];
  key.addEventListener("input", () => {
    scope.dataset.keyTyped = key.value ? "yes" : "";
  });
  name.addEventListener("input", () => {
    if (scope.dataset.keyTyped) return;
    const wanted = slug(name.value);
    let free = wanted;
    for (let number = 2; free && taken(scope).includes(free); number += 1) free = `${wanted}-${number}`;
    key.value = free;
  });
};

// 1000000 is shown as 1,000,000; what is no number is shown as it was typed.
export const grouped = (text) => {
  const plain = text.trim().replace(/[\s,]/g, "");
  if (!/^\d+(\.\d*)?$/.test(plain)) return text.trim();
  const [whole, part] = plain.split(".");
  const groups = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return part ? `${groups}.${part}` : groups;
};

export const post = async (url, body) => {
  const token = one("[name=csrfmiddlewaretoken]").value;
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": token },
    body: JSON.stringify(body),
  });
  const isJson = (answer.headers.get("Content-Type") || "").startsWith("application/json");
  if (!isJson) {
    const denied = answer.status === 403 || answer.redirected;
    throw new Error(denied
      ? "You are signed out, or may not do this any more. Sign in in another tab, then try again."
      : `The server answered ${answer.status}. Try again; what you typed is still here.`);
  }
  return { status: answer.status, body: await answer.json() };
};
