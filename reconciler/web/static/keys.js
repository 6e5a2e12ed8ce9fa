// What makes a page quick by keyboard. Each can be used without it, by Tab.
"use strict";

// Whether a key, and not a pointer, did what happens.
let byKey = false;
addEventListener("keydown", () => { byKey = true; }, true);
addEventListener("pointerdown", () => { byKey = false; }, true);

// stopIn remembers where in a block the focus is, for the one that takes its place: at the same link, or what is like it.
const stops = "a[href], button, summary, input, select, textarea, [tabindex]";
function stopIn(now) {
  const at = document.activeElement;
  if (!now.contains(at)) return () => {};
  const name = (e) => e.getAttribute("href") ?? e.cloneNode(false).outerHTML;
  const like = (block) => [...block.querySelectorAll(stops)].filter((e) => name(e) === name(at));
  const rank = like(now).indexOf(at);
  return (next) => {
    const all = at === now ? [next] : like(next);
    if (!all.length && !next.hasAttribute("tabindex")) next.tabIndex = -1; // it is gone
    (all[Math.min(rank, all.length - 1)] ?? all[0] ?? next).focus({ preventScroll: true });
  };
}

// A strip has one place in the order of Tab, however many commits it shows: the one that is told in full, or the newest.
function oneStop(strip, at = strip.querySelector("a[aria-current]")) {
  const all = [...strip.querySelectorAll("a")];
  at ??= all.findLast((a) => a.querySelector(".spot"));
  for (const a of all) a.setAttribute("tabindex", a === at ? 0 : -1);
}
for (const strip of document.querySelectorAll("svg.strip")) oneStop(strip);
const moved = new WeakSet(); // strips whose stop a person chose
addEventListener("focusin", (e) => {
  const link = e.target.closest("svg.strip a");
  if (!link) return;
  oneStop(link.closest("svg"), link);
  moved.add(link.closest("svg"));
});

// sameStop gives the strips of a block those stops that a person chose in the one that it takes the place of.
function sameStop(now, next) {
  const before = now?.querySelectorAll("svg.strip") ?? [];
  next.querySelectorAll("svg.strip").forEach((strip, i) => {
    const chosen = moved.has(before[i]) && before[i].querySelector("a[tabindex='0']")?.getAttribute("href");
    const at = chosen ? [...strip.querySelectorAll("a")].find((a) => a.getAttribute("href") === chosen) : undefined;
    oneStop(strip, at);
    if (at) moved.add(strip);
  });
}

// Arrows go from commit to commit of a strip, Home and End to its ends.
function inStrip(link, key) {
  const all = [...link.closest("svg").querySelectorAll("a")], at = all.indexOf(link);
  return all[{ ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[key]];
}

// And from release to release of the fleet, past what is empty.
function inFleet(link, key) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[key];
  const rows = link.closest("table").rows;
  let cell = link.closest("td");
  for (let y = cell?.parentElement.rowIndex, x = cell?.cellIndex; step && cell;) {
    cell = rows[y += step[0]]?.cells[x += step[1]];
    const next = cell?.querySelector("a[href]");
    if (next) return next;
  }
}

addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.shiftKey) return;
  const link = e.target.closest?.("svg.strip a, table.fleet a");
  const next = link && (link.closest("svg") ? inStrip : inFleet)(link, e.key);
  if (!next) return;
  e.preventDefault();
  next.focus();
});

// A page that comes again, with another filter or span of time, goes on where the keys were.
const places = [".zooms a", ".states a", ".filters select, .filters input, .filters button", ".pages a[rel=prev]", ".pages a[rel=next]"];
addEventListener("pagehide", () => {
  const at = document.activeElement, of = places.find((s) => at?.matches(s));
  if (byKey && of) sessionStorage.setItem("at", JSON.stringify([location.pathname, of, [...document.querySelectorAll(of)].indexOf(at)]));
});
const was = JSON.parse(sessionStorage.getItem("at"));
sessionStorage.removeItem("at");
if (was?.[0] === location.pathname && !location.hash) document.querySelectorAll(was[1])[was[2]]?.focus({ preventScroll: true });
