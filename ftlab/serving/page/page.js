// The page of ftlab serve. It asks its own server and nobody else.
"use strict";

const here = (id) => document.getElementById(id);
let info = null;

// make("p", {className: "big"}, "text", child, ...)
function make(tag, properties = {}, ...inside) {
  const found = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "for" || name === "role") found.setAttribute(name, value);
    else found[name] = value;
  }
  found.append(...inside);
  return found;
}

function colour(place) {
  return `hsl(${(place * 137.5) % 360} 75% 45%)`;
}

function percent(share) {
  return `${(100 * share).toFixed(share > 0 && share < 0.001 ? 3 : 1)} %`;
}

function written(number) {
  if (typeof number !== "number") return String(number);
  return Math.abs(number) >= 1e4 && Math.abs(number) < 1e15 ? number.toFixed(0) : String(Number(number.toPrecision(5)));
}

// --- asking

async function ask(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server cannot be reached.");
  }
  if (answer.status === 401) {
    here("enter").hidden = false;
    here("token").focus();
  }
  const said = await answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
  if (!answer.ok) throw new Error(said.error);
  return said;
}

function settings() {
  const asked = new URLSearchParams();
  for (const field of document.querySelectorAll("[data-setting]")) {
    if (field.value !== "" && !field.dataset.unset) asked.set(field.dataset.setting, field.value);
  }
  if ("rle" in info.settings) asked.set("rle", "true");
  return asked.size ? `?${asked}` : "";
}

async function predict(body, headers, shown) {
  const button = document.querySelector("#send button");
  here("error").hidden = true;
  button.disabled = true;
  here("answers").setAttribute("aria-busy", "true");
  try {
    const { predictions } = await ask(`predict${settings()}`, { method: "POST", body, headers });
    const articles = predictions.map((record, place) => article(record, shown[place]));
    here("answers").replaceChildren(...articles);
  } catch (error) {
    fail(error);
  } finally {
    button.disabled = false;
    here("answers").removeAttribute("aria-busy");
  }
}

function fail(error) {
  here("error").textContent = error.message;
  here("error").hidden = false;
}

function predictJson(input, shown) {
  return predict(JSON.stringify({ inputs: [input] }), { "Content-Type": "application/json" }, [shown]);
}

let chosen = [];
function predictFiles(files) {
  chosen = [...files];
  if (!chosen.length) return fail(new Error("Choose an image first."));
  const form = new FormData();
  for (const file of chosen) form.append("files", file, file.name || "pasted.png");
  return predict(form, {}, chosen.map((file) => ({ file })));
}

// --- answers

function article(record, shown) {
  const said = make("div", { className: "said" });
  const parts = [said];
  if (shown.file) {
    said.append(make("h2", {}, shown.file.name || "pasted image"));
    parts.unshift(picture(shown.file, record));
  }
  said.append(...told(record, shown));
  return make("article", {}, ...parts);
}

function told(record, shown) {
  if (record.boxes) return [big(`${record.boxes.length} found`), bars(record.boxes.map((one) => [one.class, one.score]), true)];
  if (record.shares) return [bars(sorted(record.shares), true)];
  if ("answer" in record) return answered(record, shown);
  if (record.labels) return [big(record.labels.join(", ") || "no label"), tops(record)];
  if (record.class !== undefined && record.top) return [big(record.class), tops(record)];
  return numbers(record);
}

function big(text) {
  return make("p", { className: "big" }, text);
}

function sorted(shares) {
  return Object.entries(shares).sort((one, other) => other[1] - one[1]);
}

function tops(record) {
  return bars(record.top.map((one) => [one.class, one.probability]));
}

function bars(pairs, coloured = false) {
  const list = make("ol", { className: "bars" });
  for (const [name, share] of pairs) {
    const bar = make("i", { "aria-hidden": "true" });
    bar.style.width = `${100 * Math.max(0, Math.min(1, share))}%`;
    const label = make("span", {}, name);
    if (coloured) {
      const swatch = make("span", { className: "swatch", "aria-hidden": "true" });
      swatch.style.background = colour(info.classes.indexOf(name));
      label.prepend(swatch);
    }
    list.append(make("li", {}, bar, label, make("b", {}, percent(share))));
  }
  return list;
}

function answered(record, shown) {
  const found = [big(record.answer || "no answer")];
  const context = Array.isArray(shown.input) ? [...shown.input[1]] : []; // by characters, as Python counts them
  if (record.answer && record.start !== null) {
    const part = (from, to) => context.slice(from, to).join("");
    const marked = make("mark", {}, part(record.start, record.end));
    found.push(make("p", { className: "passage" }, part(0, record.start), marked, part(record.end)));
  }
  if (record.top) found.push(bars(record.top.map((one) => [one.answer, one.score])));
  return found;
}

// Of a regression, or of a task that this page does not know: what there is, by name.
function numbers(record) {
  const list = make("dl");
  const found = [];
  for (const [name, value] of Object.entries(record)) {
    if (["std", "quantiles", "interval"].includes(name) && typeof value === "object") continue;
    let spread = record.std?.[name] !== undefined ? ` ± ${written(record.std[name])} (standard deviation)` : "";
    if (record.interval?.[name]) spread = ` (${written(record.interval[name].low)} to ${written(record.interval[name].high)})`;
    const levels = Object.entries(record.quantiles?.[name] ?? {});
    if (levels.length) spread = ` (${levels.map(([level, at]) => `${percent(Number(level))}: ${written(at)}`).join(", ")})`;
    const text = typeof value === "object" ? JSON.stringify(value) : written(value);
    if (typeof value === "number") found.push(make("p", { className: "muted" }, name), big(`${text}${spread}`));
    else list.append(make("dt", {}, name), make("dd", {}, text));
  }
  return list.children.length ? [...found, list] : found;
}

// --- images with what was found in them

function picture(file, record) {
  const image = make("img", { alt: `the image ${file.name || ""}`, src: URL.createObjectURL(file) });
  const frame = make("div", { className: "picture" }, image);
  image.addEventListener("error", () => frame.remove()); // a format that browsers do not show
  if (!record.boxes && !record.masks) return frame;
  frame.classList.add("exact"); // what lies over it covers it exactly
  image.addEventListener("load", () => {
    frame.append(record.boxes ? outlines(record.boxes, image) : painted(record));
  });
  return frame;
}

function outlines(boxes, image) {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  drawing.setAttribute("viewBox", `0 0 ${image.naturalWidth} ${image.naturalHeight}`);
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("aria-hidden", "true"); // the list beside it says the same
  for (const one of boxes) {
    const [left, top, right, bottom] = one.box;
    const outline = document.createElementNS(space, "rect");
    const sides = { x: left, y: top, width: Math.max(0, right - left), height: Math.max(0, bottom - top) };
    for (const [name, value] of Object.entries(sides)) outline.setAttribute(name, value);
    outline.style.stroke = colour(info.classes.indexOf(one.class));
    drawing.append(outline);
  }
  return drawing;
}

// Run lengths go down the columns, and begin with what is not of the class.
function painted(record) {
  const [height, width] = record.size;
  const canvas = make("canvas", { width, height, "aria-hidden": "true" });
  const brush = canvas.getContext("2d");
  for (const [name, mask] of Object.entries(record.masks)) {
    if (info.classes.indexOf(name) === info.background) continue;
    brush.fillStyle = colour(info.classes.indexOf(name));
    let at = 0;
    mask.counts.forEach((count, place) => {
      for (let left = place % 2 ? count : 0, from = at; left > 0; ) {
        const rows = Math.min(left, height - (from % height));
        brush.fillRect(Math.floor(from / height), from % height, 1, rows);
        from += rows;
        left -= rows;
      }
      at += count;
    });
  }
  return canvas;
}

// --- what a person is asked for

const FORMS = {
  image() {
    const picked = (id, more) => make("input", { type: "file", id, className: "hidden-input", accept: "image/*", tabIndex: -1, "aria-hidden": "true", ...more });
    const files = picked("files", { multiple: true });
    const camera = picked("camera", { capture: "environment" });
    for (const one of [files, camera]) one.addEventListener("change", () => predictFiles(one.files));
    const button = (text, input) => make("button", { type: "button", onclick: () => input.click() }, text);
    const drop = make("div", { className: "drop" }, make("p", {}, "Drop images here, paste one, or"),
      make("div", { className: "row" }, button("Choose images", files), button("Take a photo", camera)), files, camera);
    for (const kind of ["dragenter", "dragover"]) addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
    addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
    addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); predictFiles(event.dataTransfer.files); });
    addEventListener("paste", (event) => { if (event.clipboardData.files.length) predictFiles(event.clipboardData.files); });
    document.querySelector("#send button").textContent = "Predict again";
    here("send").hidden = !document.querySelector("[data-setting]");
    return { fields: drop, send: () => predictFiles(chosen) };
  },
  row() {
    const grid = make("div", { className: "grid" });
    const fields = info.form.fields.map((one, place) => {
      const id = `field${place}`;
      const made = cell(one, id);
      const usual = one.usual === undefined ? "" : ` ${one.type === "date" ? "such as" : "usual:"} ${written(one.usual)}`;
      grid.append(make("div", {}, make("label", { for: id }, one.name, make("small", {}, usual)), ...made));
      return made[0];
    });
    const row = () => Object.fromEntries(info.form.fields.map((one, place) => [one.name, fields[place].value || null]));
    return { fields: grid, send: () => predictJson(row(), {}) };
  },
  text() {
    const asks = info.task === "question_answering";
    const first = make(asks ? "input" : "textarea", { id: "first", required: true, maxLength: info.limits.characters });
    const second = make("textarea", { id: "second", required: asks, maxLength: info.limits.characters });
    const stack = make("div", { className: "stack" }, make("div", {}, make("label", { for: "first" }, asks ? "Question" : "Text"), first));
    if (asks) stack.append(make("div", {}, make("label", { for: "second" }, "Context"), second));
    const input = () => (asks ? [first.value, second.value] : first.value);
    return { fields: stack, send: () => predictJson(input(), { input: input() }) };
  },
  steps() {
    const names = [info.form.tokens, ...info.form.channels].filter((name) => name !== null);
    const text = make("textarea", { id: "steps", required: true, spellcheck: false });
    const label = make("label", { for: "steps" }, "One step a line ", make("small", {}, names.join(", ")));
    return { fields: make("div", {}, label, text), send: () => predictJson(stepsOf(text.value), {}) };
  },
  json() {
    const text = make("textarea", { id: "json", required: true, spellcheck: false });
    const send = () => {
      try {
        return predictJson(JSON.parse(text.value), {});
      } catch (error) {
        return fail(error);
      }
    };
    return { fields: make("div", {}, make("label", { for: "json" }, "Input, in JSON"), text), send };
  },
};

// The element that holds the value first, and what belongs to it.
function cell(one, id) {
  if (one.type === "category" && one.values.length <= 60) {
    const none = make("option", { value: "" }, "(missing)");
    return [make("select", { id }, none, ...one.values.map((value) => make("option", { value }, value)))];
  }
  const field = make("input", { id, autocomplete: "off", inputMode: one.type === "number" ? "decimal" : "text" });
  if (one.type !== "category") return [field];
  field.setAttribute("list", `${id}s`);
  return [field, make("datalist", { id: `${id}s` }, ...one.values.map((value) => make("option", { value })))];
}

function stepsOf(text) {
  const rows = text.trim().split("\n").map((line) => line.split(/[,;\t]/).map((part) => part.trim()));
  const number = (part) => (part === "" || Number.isNaN(Number(part)) ? part : Number(part));
  const series = rows.map((row) => (info.form.tokens === null ? row : row.slice(1)).map(number));
  const tokens = rows.map((row) => row[0]);
  if (info.form.tokens === null) return { series };
  return info.form.channels.length ? { tokens, series } : { tokens };
}

// --- settings, and the beginning

function setting(name, value) {
  const id = `setting-${name}`;
  if (name === "top_k") {
    const most = Math.max(1, info.classes.length || 20);
    const field = make("input", { id, type: "number", min: 1, max: most, value: Math.min(value, most), "data-setting": name });
    return make("div", {}, make("label", { for: id }, "Answers to list"), field);
  }
  const label = make("label", { for: id }, "Least score");
  const field = make("input", { id, type: "range", min: 0, max: 1, step: 0.01, value: value ?? 0.5, "data-setting": name });
  if (value === null) field.dataset.unset = "yes"; // what val has decided, until someone moves it
  const told = make("small", {}, value === null ? " as val decided" : ` ${value}`);
  label.append(told);
  field.addEventListener("input", () => { delete field.dataset.unset; told.textContent = ` ${field.value}`; });
  return make("div", {}, label, field);
}

async function begin() {
  try {
    info = await ask("info");
  } catch (error) {
    here("summary").textContent = "";
    return fail(error);
  }
  here("enter").hidden = here("error").hidden = true;
  here("title").textContent = info.task.replaceAll("_", " ");
  const said = info.classes.length ? `${info.classes.length} classes` : info.targets.join(", ");
  here("summary").textContent = `${info.summary}; ${said}`;
  document.title = `${info.task} - ftlab`;
  const asked = Object.entries(info.settings).filter(([name]) => ["top_k", "score"].includes(name));
  here("settings").replaceChildren(...asked.map(([name, value]) => setting(name, value)));
  const form = (FORMS[info.form.kind] ?? FORMS.json)();
  here("fields").replaceChildren(form.fields);
  here("ask").hidden = false;
  here("ask").addEventListener("submit", (event) => { event.preventDefault(); form.send(); });
}

here("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", here("token").value);
  begin().then(() => document.querySelector("#fields button, #fields input, #fields select, #fields textarea")?.focus());
});
begin();
