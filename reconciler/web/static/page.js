// What makes a page live. Each page is whole without it.
"use strict";

const registry = document.body.dataset.registry;
const api = registry && `/api/v1/registries/${encodeURIComponent(registry)}`;

// Blocks marked data-live are taken from the page as the server makes it now, where they differ. What has the focus keeps it,
// and what the user opened stays open.
let asking = false, again = false, late = false;
async function refresh() {
  if (asking) { again = true; return; }
  asking = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "Davit-Refresh": "1" } });
    if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The stream tells that davit is not reached.
  }
  asking = false;
  if (again) { again = false; setTimeout(refresh, 500); }
}

// What somebody writes into, has written into, drags over, or has selected to copy, stays until that ends.
function inUse(block) {
  const selected = getSelection();
  return block.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")
    || [...block.querySelectorAll("form input, form textarea")].some((i) => i.value !== i.defaultValue)
    || drag && block.contains(drag.svg)
    || !selected.isCollapsed && selected.containsNode(block, true);
}
function catchUp() {
  if (late) { late = false; setTimeout(refresh); }
}
for (const end of ["focusout", "selectionchange"]) document.addEventListener(end, catchUp);

function replace(page) {
  const news = [];
  for (const next of page.querySelectorAll("[data-live][id]")) {
    const now = document.getElementById(next.id);
    sameStop(now, next);
    if (!now || now.isEqualNode(next)) continue;
    if (inUse(now)) { late = true; continue; }
    const open = [...now.querySelectorAll("details[id][open]")].map((d) => d.id);
    const focus = stopIn(now), before = words(now, "key"), told = words(now, "told");
    const left = scrolled(now).map((e) => e.scrollLeft);
    now.replaceWith(next);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    for (const [key, [text, e]] of words(next, "key")) if (before.get(key)?.[0] !== text) e.classList.add("fresh");
    for (const [key, [text]] of words(next, "told")) if (told.get(key)?.[0] !== text) news.push(`${key} ${text}`);
    scrolled(next).forEach((e, i) => { e.scrollLeft = left[i] ?? 0; });
    focus(next);
  }
  tell(news);
}
const scrolled = (block) => [block, ...block.querySelectorAll(".scroll")];

// The texts of a block's parts by their names, without ages, which are news to nobody.
function words(block, name) {
  return new Map([...block.querySelectorAll(`[data-${name}]`)].map((e) => {
    const text = e.cloneNode(true);
    for (const age of text.querySelectorAll("time.age, [aria-hidden]")) age.remove();
    return [e.dataset[name], [text.textContent.replace(/\s+/g, " ").trim(), e]];
  }));
}

// Who does not see what changes is told, when there is a pause.
function tell(news) {
  const most = 3;
  if (news.length > 0) document.getElementById("news").textContent = news.slice(0, most).join("; ") + (news.length > most ? `; and ${news.length - most} more` : "");
}

// A page of one release, model or training names in data-watches the releases that it is about; changes of others do not concern it.
function concerns(news) {
  const about = document.querySelector("[data-watches]")?.dataset.watches.split(" ");
  return !about || news.releases.length === 0 || about.some((name) => news.releases.includes(name));
}

// A browser asks again by itself where a connection broke, and never where something answered in davit's place: a proxy while
// davit starts anew, or a replica that stands by.
let changes;
function listen() {
  const live = document.getElementById("live");
  live.hidden = false;
  changes = new EventSource(`${api}/changes`);
  changes.onopen = () => { live.className = "live on"; live.textContent = "live"; refresh(); };
  changes.onerror = () => {
    live.className = "live off";
    live.textContent = "not live";
    if (changes.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  };
  changes.addEventListener("change", (e) => { if (concerns(JSON.parse(e.data))) refresh(); });
  changes.addEventListener("runs", () => { if (document.querySelector("[data-runs]")) refresh(); });
}
if (api && document.querySelector("[data-live]")) {
  listen();
  addEventListener("pagehide", () => changes.close());
}

// Nobody tells of pods and of free devices: while somebody looks they are looked at again every so many seconds.
const every = document.querySelector("[data-every]")?.dataset.every;
if (every) setInterval(() => { if (!document.hidden) refresh(); }, every * 1000);

// Ages go on between two refreshes.
function age(since) {
  const s = Math.max(0, (Date.now() - since) / 1000);
  if (s < 60) return `${Math.floor(s)}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)}h`;
  return `${Math.floor(s / 86400)}d`;
}
setInterval(() => {
  for (const t of document.querySelectorAll("time.age")) {
    const text = age(Date.parse(t.dateTime));
    if (t.textContent !== text) t.textContent = text;
  }
}, 1000);

// "/" finds. A filter is heeded when it is chosen with a pointer; keys pass by others on their way, and press Filter.
addEventListener("keydown", (e) => {
  if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || e.target.matches("input, select, textarea")) return;
  e.preventDefault();
  document.getElementById("find")?.select();
});
addEventListener("change", (e) => {
  if (e.target.matches(".filters select, .filters input[type=checkbox]") && !byKey) e.target.form.requestSubmit();
});

// A log goes on below what the server wrote. It scrolls with what comes unless the reader scrolled up, and keeps its last lines.
const mostLines = 5000;
function follow(log) {
  const state = document.getElementById(log.dataset.state);
  let lines = log.childNodes.length, after = log.dataset.after, stream;
  const say = (text) => { if (state && state.textContent !== text) state.textContent = text; };
  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const open = () => {
    stream = new EventSource(log.dataset.log + (after ? `?after=${encodeURIComponent(after)}` : ""));
    stream.onopen = () => say("following");
    stream.addEventListener("lines", (e) => {
      const stay = !atEnd(), more = document.createDocumentFragment();
      const all = JSON.parse(e.data).lines;
      for (const l of all) more.append(document.createTextNode((l.from ?? "") + l.text + "\n"));
      log.append(more);
      for (lines += all.length; lines > mostLines; lines--) log.firstChild.remove();
      if (!stay) log.scrollTop = log.scrollHeight;
      after = e.lastEventId || after;
    });
    stream.addEventListener("end", (e) => { stream.close(); say(JSON.parse(e.data).partly ? "ended; not all of it could be read" : "ended"); });
    stream.onerror = () => {
      say("not connected; it is tried again");
      if (stream.readyState === EventSource.CLOSED) setTimeout(open, 10000);
    };
  };
  log.scrollTop = log.scrollHeight;
  open();
  addEventListener("pagehide", () => stream.close());
}
for (const log of document.querySelectorAll("pre[data-log]")) follow(log);
// What happened last is at the right end of what is wider than the screen.
for (const s of document.querySelectorAll(".strip, .plot")) s.parentElement.scrollLeft = s.parentElement.scrollWidth;

// A strip of time is zoomed by dragging over it; Escape gives up.
let drag = null;
function stripTime(svg, clientX) {
  const at = new DOMPoint(clientX, 0).matrixTransform(svg.getScreenCTM().inverse()).x;
  const { left, right, since, until } = svg.dataset;
  const share = Math.min(1, Math.max(0, (at - left) / (right - left)));
  return { x: +left + share * (right - left), time: +since + share * (until - since) };
}
function endDrag() {
  drag?.box.remove();
  drag = null;
  catchUp();
}
addEventListener("pointerdown", (e) => {
  const svg = e.target.closest?.("svg.strip[data-since]");
  if (!svg || e.button !== 0 || e.pointerType === "touch") return;
  const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  box.setAttribute("class", "zooming");
  box.setAttribute("height", svg.viewBox.baseVal.height);
  drag = { svg, box, from: stripTime(svg, e.clientX), to: null };
  e.preventDefault();
});
addEventListener("pointermove", (e) => {
  if (!drag) return;
  drag.to = stripTime(drag.svg, e.clientX);
  const width = Math.abs(drag.to.x - drag.from.x);
  if (width < 6) { drag.box.remove(); return; }
  drag.box.setAttribute("x", Math.min(drag.from.x, drag.to.x));
  drag.box.setAttribute("width", width);
  drag.svg.append(drag.box);
});
addEventListener("pointerup", () => {
  const d = drag;
  endDrag();
  if (!d?.to || Math.abs(d.to.x - d.from.x) < 6) return;
  const [first, last] = [d.from.time, d.to.time].sort((a, b) => a - b);
  const whole = (ms) => new Date(Math.floor(ms / 1000) * 1000).toISOString().replace(".000", "");
  const to = new URL(location.href);
  for (const gone of ["from", "commit"]) to.searchParams.delete(gone);
  to.searchParams.set("since", whole(first));
  to.searchParams.set("until", whole(last + 1000));
  to.hash = "";
  addEventListener("click", (e) => { e.preventDefault(); e.stopPropagation(); }, { capture: true, once: true });
  location.assign(to);
});
addEventListener("keydown", (e) => { if (e.key === "Escape") endDrag(); });
addEventListener("pointercancel", endDrag);
addEventListener("dragstart", (e) => { if (e.target.closest?.("svg.strip")) e.preventDefault(); }); // a link is no thing to carry away
