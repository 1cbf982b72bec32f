// Light, dark, or as the system says; remembered where the browser lets a page remember.
"use strict";

const THEME = "gelo-theme";
const root = document.documentElement;
root.classList.add("with-script");

function remembered() {
  try {
    return localStorage.getItem(THEME) || "";
  } catch {
    return ""; // a browser that keeps nothing of a file
  }
}

function wear(theme) {
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  else delete root.dataset.theme;
}

function choose(theme) {
  wear(theme);
  try {
    if (theme) localStorage.setItem(THEME, theme);
    else localStorage.removeItem(THEME);
  } catch {
    // as above: the choice holds until the page is closed
  }
}

wear(remembered());
