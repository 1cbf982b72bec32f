// What a cell or a mark of a picture says of itself: a tip on hover and on focus, its source on click or Enter.
"use strict";

const tip = document.getElementById("tip");
let tipped = null;

/** The place of a cell's value among all values; undefined for one that is made of several, or left out. */
function valueOf(cell) {
  const row = cell.parentElement;
  if (row.dataset.i !== undefined) return Number(row.dataset.i);
  const metric = cell.closest("table").tHead.rows[0].cells[cell.cellIndex].dataset.m;
  return row.dataset.t === undefined || metric === undefined ? undefined : placeOf(row.dataset.t, metric);
}

/** Lines of a tip; [] where there is nothing to say. */
function linesOf(target) {
  const lines = target.dataset.tip ? [target.dataset.tip] : [];
  if (!(target instanceof HTMLTableCellElement)) return lines;
  const place = valueOf(target);
  const footnote = target.querySelector("sup");
  if (footnote) {
    const reasons = target.closest("section").querySelectorAll(".reasons > li");
    lines.push(reasons[Number(footnote.textContent) - 1].textContent);
  }
  if (place === undefined) return lines;
  const value = valueAt(place);
  if (!lines.length && value.low) lines.push(`95 % interval ${value.low} to ${value.high}`);
  if (value.counts) lines.push(value.counts);
  return lines;
}

function showTip(target) {
  const lines = linesOf(target);
  hideTip();
  if (!lines.length) return;
  tip.replaceChildren(...lines.map((line) => element("span", {}, line)));
  tip.hidden = false;
  tipped = target;
  placeTip();
  if (target instanceof HTMLTableCellElement) target.setAttribute("aria-describedby", "tip");
}

function placeTip() {
  if (!tipped) return;
  const [box, own] = [tipped.getBoundingClientRect(), tip.getBoundingClientRect()];
  const above = box.top - own.height - 8;
  const left = Math.min(Math.max(8, box.left + box.width / 2 - own.width / 2), innerWidth - own.width - 8);
  tip.style.left = `${left}px`;
  tip.style.top = `${above < 8 ? box.bottom + 8 : above}px`;
}

function hideTip() {
  if (tipped) tipped.removeAttribute("aria-describedby");
  tipped = null;
  tip.hidden = true;
}

const TIPPED = "tbody td, svg [data-tip]";

function tips() {
  document.addEventListener("mouseover", (event) => {
    const target = event.target.closest(`${TIPPED}, #tip`);
    if (target === tip) return; // a tip can be read with the pointer on it
    if (target === null) hideTip();
    else if (target !== tipped) showTip(target);
  });
  document.addEventListener("focusin", (event) => {
    if (event.target.matches("tbody td, tbody th")) showTip(event.target);
    else if (!event.target.matches(".canvas")) hideTip();
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
  document.addEventListener("scroll", placeTip, { capture: true, passive: true });
}

/** Arrow keys go from cell to cell of a table whose region has the focus; Enter shows where a value comes from. */
function walk(event) {
  const region = event.target.closest(".scroll");
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  if (!region || event.altKey || event.ctrlKey || event.metaKey) return;
  const cell = event.target.closest("tbody td, tbody th");
  if (event.key === "Enter" && cell) return showSource(cell, event);
  if (!(event.key in steps) || event.target.closest("button, input")) return;
  const rows = [...region.querySelectorAll("tbody tr")].filter((row) => !row.hidden);
  const [down, right] = steps[event.key];
  const row = cell ? rows[rows.indexOf(cell.parentElement) + down] : rows[0];
  const next = row && row.cells[cell ? cell.cellIndex + right : 1];
  event.preventDefault();
  if (!next) return;
  next.tabIndex = -1;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest", inline: "nearest" });
}

const quoted = (word) => (/^[\w./:@=+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** What MLflow's search box finds a trial's run by. */
const tracked = (key) => `tags."gelo.trial" = '${key}'`;

const told = (name, text) => (name === "Its run in MLflow" ? element("a", { href: text }, text) : / by$|file|print/.test(name) ? element("code", {}, text) : text);

/** What is shown of a cell's value; null where it has none. */
function sourceOf(cell) {
  const storage = data.storage ? ` --storage ${quoted(data.storage)}` : "";
  const again = `gelo report ${quoted(data.sweep)}${storage}`;
  const place = cell.tagName === "TH" && cell.parentElement.dataset.i === undefined ? undefined : valueOf(cell);
  const head = cell.closest("table").tHead.rows[0].cells[cell.cellIndex].textContent;
  if (place === undefined) {
    const keys = (cell.parentElement.dataset.k || "").split(" ").filter(Boolean);
    if (!keys.length) return null;
    const files = keys.map((key) => `${data.sweep}/trials/${key}/results/`).join("\n");
    return [`${head}: ${textOf(cell) || "no value"}`, [["Row", textOf(cell.parentElement.cells[0])], ["Made of", files], ["Found in MLflow by", keys.map(tracked).join("\n")], ["Made again by", again]]];
  }
  const value = valueAt(place);
  const interval = value.low ? `, 95 % interval ${value.low} to ${value.high}` : "";
  const encoder = quoted(`${data.sweep}/${value.key}`);
  return [
    `${value.metric}: ${value.value ? value.value + interval : "no value"}`,
    [
      ["Trial", `${value.label} (${value.key})`],
      ["Why", value.value ? "" : value.reason],
      ["Compared", value.counts],
      ["Result file", `${data.sweep}/trials/${value.key}/results/${value.suite}/${value.dataset}.json`],
      ["Protocol", `${value.protocol} (version ${value.version})`],
      ["Data fingerprint", value.data],
      ["Vision fingerprint", value.vision],
      ["Text fingerprint", value.text],
      ["Measured again by", `gelo evaluate ${encoder} --suite ${quoted(value.asked)} --dataset ${quoted(value.dataset)}${storage}`],
      ["Found in MLflow by", tracked(value.key)],
      ["Its run in MLflow", data.pages[value.key] || ""],
      ["Page made again by", again],
    ],
  ];
}

function showSource(cell, event) {
  const source = sourceOf(cell);
  if (source === null) return;
  event.preventDefault();
  hideTip();
  const dialog = document.getElementById("source");
  const [title, facts] = source;
  const known = facts.filter(([, text]) => text);
  document.getElementById("source-title").textContent = title;
  dialog.querySelector("dl").replaceChildren(
    ...known.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, told(name, text))]),
  );
  cell.tabIndex = -1;
  cell.focus({ preventScroll: true }); // where the focus goes back to
  hideTip();
  dialog.showModal();
}
