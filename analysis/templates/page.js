// Puts the page together: theme, tables, tips, pictures, print.
"use strict";

/** A legend of the series of a picture; each button leaves its own alone. */
function legend(figure) {
  const groups = [...figure.querySelectorAll("svg [data-series]")];
  const names = [...new Set(groups.map((group) => group.dataset.series))];
  if (names.length < 2) return;
  const buttons = names.map((name) => element("button", { type: "button", "aria-pressed": "false" }, name));
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const alone = button.getAttribute("aria-pressed") === "false";
      for (const other of buttons) other.setAttribute("aria-pressed", String(alone && other === button));
      for (const group of groups) group.classList.toggle("aside", alone && group.dataset.series !== button.textContent);
    });
  }
  const list = element("ul", { class: "legend", "aria-label": "Series: press one to see it alone" });
  list.append(...buttons.map((button) => element("li", {}, button)));
  figure.querySelector(".canvas").before(list);
}

/** Arrow keys step through the marks of a picture, and each is said. */
function marks(canvas) {
  const every = [...canvas.querySelectorAll("svg [data-tip]")];
  let at = -1;
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || !every.length) return;
    event.preventDefault();
    if (at >= 0) every[at].classList.remove("on");
    at = (at + step + every.length) % every.length;
    every[at].classList.add("on");
    showTip(every[at]);
    announce(every[at].dataset.tip);
  });
  canvas.addEventListener("blur", () => {
    if (at >= 0) every[at].classList.remove("on");
    hideTip();
  });
}

/** All that is folded is open on paper, and as it was after. */
function printing() {
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const each of folded) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of folded) each.open = false;
  });
}

function start() {
  const theme = document.getElementById("theme");
  theme.value = remembered();
  theme.parentElement.hidden = false;
  theme.addEventListener("change", () => choose(theme.value));
  for (const sheet of document.querySelectorAll(".sheet")) outfit(sheet);
  const find = valuesTable(document.getElementById("all-values"));
  for (const link of document.querySelectorAll("a[data-find]")) link.addEventListener("click", () => find(link.dataset.find));
  tips();
  document.addEventListener("keydown", walk);
  document.addEventListener("click", (event) => {
    const cell = event.target.closest(".scroll tbody td");
    if (cell && !event.target.closest("a, button")) showSource(cell, event);
  });
  for (const figure of document.querySelectorAll("figure")) {
    legend(figure);
    marks(figure.querySelector(".canvas"));
  }
  printing();
}

start();
