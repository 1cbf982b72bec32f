// Tables that are there: sort by a head, filter by words, copy what is shown as tab-separated values.
"use strict";

/** What stands first in a cell, without the change below it; "" where there is no value. */
function textOf(cell) {
  const text = (cell.firstChild ? cell.firstChild.textContent : "").trim();
  return text === "–" ? "" : text;
}

function numberOf(text) {
  const plain = text.replace("−", "-").replace(/^[±+]/, "").replace(/,/g, "");
  return /^-?\d/.test(plain) ? Number(plain) : NaN;
}

/** Numbers by value, then words; what is empty stands last whichever way. */
function ordered(a, b, sign) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const [x, y] = [numberOf(a), numberOf(b)];
  const [xWord, yWord] = [Number.isNaN(x), Number.isNaN(y)];
  if (xWord !== yWord) return xWord - yWord;
  return sign * (xWord ? a.localeCompare(b, "en", { numeric: true }) : x - y);
}

/** Whether every word of `asked` is in the text. */
function holds(text, asked) {
  const low = text.toLowerCase();
  return asked.toLowerCase().split(/\s+/).every((word) => low.includes(word));
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Makes a button of each head; `sort(column, sign)` is called with 1, -1 or 0 for the order of before. */
function sortable(table, sort) {
  const heads = [...table.tHead.rows[0].cells];
  for (const [column, head] of heads.entries()) {
    const button = element("button", { type: "button", class: "sort" }, ...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: "" }[head.getAttribute("aria-sort")] ?? "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      if (next) head.setAttribute("aria-sort", next);
      sort(column, { ascending: 1, descending: -1, "": 0 }[next]);
    });
  }
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { readonly: "", class: "unseen", "aria-label": "copied text" });
    const before = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.focus({ preventScroll: true });
    area.select();
    const done = document.execCommand("copy"); // the one way where a page may not ask for the clipboard
    area.remove();
    if (before) before.focus({ preventScroll: true });
    return done;
  }
}

/** The tools above a table. find(words) filters and says what is shown; rows() gives what is copied, cells as text. */
function tools(table, label, find, rows) {
  const input = element("input", { type: "search", autocomplete: "off", "aria-label": `Filter ${label}`, placeholder: "Filter" });
  const shown = element("output");
  const copy = element("button", { type: "button", "aria-label": `Copy ${label}` }, "Copy");
  input.addEventListener("input", () => (shown.textContent = find(input.value.trim())));
  copy.addEventListener("click", async () => {
    const heads = [...table.tHead.rows[0].cells].map((head) => head.textContent);
    const text = [heads, ...rows()].map((cells) => cells.map((cell) => cell.replace(/\s+/g, " ")).join("\t")).join("\n");
    copy.textContent = (await toClipboard(text)) ? "Copied" : "The browser lets nothing be copied";
    announce(copy.textContent);
    setTimeout(() => (copy.textContent = "Copy"), 2000);
  });
  return { bar: element("div", { class: "tools" }, input, copy, shown), input };
}

function announce(text) {
  document.getElementById("said").textContent = text;
}

/** Sort, filter and copy for the table of a `.sheet`. */
function outfit(sheet) {
  const table = sheet.querySelector("table");
  const body = table.tBodies[0];
  const before = [...body.rows];
  const label = sheet.querySelector(".scroll").getAttribute("aria-label");
  sortable(table, (column, sign) => {
    const rows = before.map((row) => [textOf(row.cells[column]), row]);
    if (sign) rows.sort((a, b) => ordered(a[0], b[0], sign));
    table.classList.toggle("sorted", sign !== 0);
    body.append(...rows.map(([, row]) => row));
  });
  const find = (words) => {
    for (const row of before) row.hidden = words !== "" && !holds(row.textContent, words);
    const left = before.filter((row) => !row.hidden).length;
    return words ? `${left} of ${before.length} rows` : "";
  };
  const rows = () => [...body.rows].filter((row) => !row.hidden).map((row) => [...row.cells].map(textOf));
  if (before.length > 3) sheet.prepend(tools(table, label, find, rows).bar);
}
