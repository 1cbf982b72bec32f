// The long table of all values, from the JSON at the end of the page; as many rows as a reader asks for.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const FIRST = 100;
const MORE = 500;
const said = (place) => data.texts[place];

/** One value with all that is known of it. */
function valueAt(place) {
  const [file, metric, value, low, high, why] = data.values[place];
  const [trial, suite, dataset, protocol, asked, version, counts, print, vision, text] = data.files[file];
  const [key, label] = data.trials[trial];
  return {
    key, label, metric: data.metrics[metric], value, low, high, reason: said(why), suite: said(suite), dataset: said(dataset),
    protocol: said(protocol), asked: said(asked), version, counts: said(counts), data: said(print), vision: said(vision), text: said(text),
  };
}

let byPlace = null;

/** Where the value of a trial's metric stands in `data.values`; both as places. */
function placeOf(trial, metric) {
  if (byPlace === null) {
    byPlace = new Map();
    for (const [place, row] of data.values.entries()) {
      const name = `${data.files[row[0]][0]}/${row[1]}`;
      if (!byPlace.has(name)) byPlace.set(name, place);
    }
  }
  return byPlace.get(`${trial}/${metric}`);
}

const COLUMNS = [
  ["trial", (row) => data.trials[data.files[row[0]][0]][1]],
  ["metric", (row) => data.metrics[row[1]]],
  ["value", (row) => row[2]],
  ["low", (row) => row[3]],
  ["high", (row) => row[4]],
  ["compared", (row) => said(row[5]) || said(data.files[row[0]][6])],
];

/** Builds the table; gives what filters it by words. */
function valuesTable(place) {
  const heads = COLUMNS.map(([name], at) => element("th", { scope: "col", ...(at > 1 && at < 5 ? {} : { class: "words" }) }, name));
  const body = element("tbody");
  const table = element("table", { class: "wide" }, element("thead", {}, element("tr", {}, ...heads)), body);
  const scroll = element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "All values, table" }, table);
  const more = element("button", { type: "button", class: "more" });
  const every = data.values.map((_, at) => at);
  let order = every;
  let found = every;
  let limit = FIRST;

  const cells = (at) => COLUMNS.map(([, of]) => of(data.values[at]));
  const line = (at) => {
    const [trial, metric, value, low, high, compared] = cells(at);
    const row = element("tr", { "data-i": at });
    row.append(element("th", { scope: "row" }, trial), element("td", { class: "words" }, metric), element("td", {}, value || "–"));
    row.append(element("td", {}, low), element("td", {}, high), element("td", { class: "words" }, compared));
    return row;
  };
  const draw = () => {
    body.replaceChildren(...found.slice(0, limit).map(line));
    more.hidden = found.length <= limit;
    more.textContent = `Show ${Math.min(MORE, found.length - limit)} more of ${found.length - limit}`;
  };
  const find = (words) => {
    const path = (row) => `${said(data.files[row[0]][1])}/${said(data.files[row[0]][2])} ${data.trials[data.files[row[0]][0]][0]}`;
    found = words ? order.filter((at) => holds(`${cells(at).join(" ")} ${path(data.values[at])}`, words)) : order;
    limit = FIRST;
    draw();
    return words ? `${found.length} of ${every.length} values` : "";
  };
  const { bar, input } = tools(table, "all values", find, () => found.map(cells));
  sortable(table, (column, sign) => {
    const of = COLUMNS[column][1];
    order = sign ? [...every].sort((a, b) => ordered(of(data.values[a]), of(data.values[b]), sign)) : every;
    find(input.value.trim());
  });
  more.addEventListener("click", () => {
    limit += MORE;
    draw();
  });
  place.append(element("div", { class: "sheet" }, bar, scroll, more));
  draw();
  return (words) => {
    input.value = words;
    input.dispatchEvent(new Event("input"));
    input.focus({ preventScroll: true });
  };
}
