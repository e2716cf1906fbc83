// The desk's script: keyboard shortcuts, the veil, lease renewal and prefetching the next item. All forms
// work without it.
"use strict";

const one = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];

document.documentElement.classList.add("js");

// ---------------------------------------------------------------- the picture

const figure = one("#figure");
const picture = one("#picture");
const views = picture && {
  veiled: JSON.parse(picture.dataset.veiled),
  clear: JSON.parse(picture.dataset.clear),
};

const isClear = () => figure.classList.contains("clear");

function show() {
  const variant = isClear() ? "clear" : "veiled";
  picture.src = views[variant][picture.dataset.page][picture.dataset.frame];
  picture.alt = isClear() ? "The uploaded picture" : "The uploaded picture, veiled";
  all("img.thumb").forEach((thumb) => (thumb.src = thumb.dataset[variant]));
  const veil = one("#veil");
  veil.firstElementChild.textContent = veil.dataset[isClear() ? "clearText" : "veiledText"];
  if (isClear()) one("#shown").value = "clear";
  all(".frames .button").forEach((button) => {
    if (button.dataset.frame === picture.dataset.frame) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  });
  const black = one("#black");
  if (black) black.setAttribute("aria-pressed", String(picture.dataset.page === "1"));
  const outline = one(".outline");
  if (outline) outline.classList.toggle("elsewhere", outline.dataset.frame !== picture.dataset.frame);
  if (mapShown >= 0 && String(maps[mapShown].frame) !== picture.dataset.frame) hideMap();
}

function toggleVeil() {
  figure.classList.toggle("clear");
  figure.classList.toggle("veiled");
  show();
}

function goToFrame(frame) {
  const frames = Number(figure.dataset.frames);
  picture.dataset.frame = (frame + frames) % frames;
  show();
}

function toggleBlack() {
  picture.dataset.page = 1 - picture.dataset.page;
  figure.classList.toggle("on-black", picture.dataset.page === "1");
  show();
}

function toggleZoom() {
  const zoomed = figure.classList.toggle("zoomed");
  one("#zoom").setAttribute("aria-pressed", String(zoomed));
  const frame = one("#frame");
  frame.tabIndex = zoomed ? 0 : -1;
  if (zoomed) frame.focus({ preventScroll: true });
}

const CHANGED = 409, BUSY = 503;

// Return why a picture did not load; null if it loads now. If the picture changed, reload the page, which says so.
async function loadProblem(image) {
  const answer = await fetch(image.src, { headers: { Accept: "text/plain" } }).catch(() => null);
  if (answer && answer.ok) return null;
  if (answer && answer.status === CHANGED) location.reload();
  if (answer && answer.status === BUSY) setTimeout(() => (image.src = image.src), 1000 * (answer.headers.get("Retry-After") || 1));
  return answer ? answer.text() : "the desk does not answer";
}

async function showLoadProblem() {
  const problem = await loadProblem(picture);
  if (problem === null) return;
  const gone = one("#gone");
  gone.textContent = "No picture: " + problem;
  gone.hidden = false;
  picture.hidden = true;
}

// ---------------------------------------------------------------- the heat map

const heat = one("#heat");
const maps = heat ? JSON.parse(heat.dataset.maps) : [];
let mapShown = -1;

function sayOfMap(text, hasScale) {
  const legend = one("#heat-legend");
  legend.hidden = false;
  legend.classList.toggle("bare", !hasScale);
  one("#heat-says").textContent = text;
}

function hideMap() {
  mapShown = -1;
  heat.hidden = true;
  figure.classList.remove("mapped");
  one("#heat-legend").hidden = true;
  one("#heat-key").setAttribute("aria-pressed", "false");
}

// Show the map of the next label, and after the last one none.
async function nextMap() {
  const next = mapShown + 1;
  if (next >= maps.length) return hideMap();
  const map = maps[next];
  mapShown = next;
  heat.hidden = true;
  figure.classList.remove("mapped");
  one("#heat-key").setAttribute("aria-pressed", "true");
  picture.dataset.frame = map.frame;
  picture.dataset.page = map.page;
  figure.classList.toggle("on-black", map.page === 1);
  show();
  const label = map.label.replaceAll(/[_-]/g, " ");
  sayOfMap(`${label}: the heat map is being computed. The first one takes some seconds, in which the model is loaded.`, false);
  const answer = await fetch(map.url, { headers: { Accept: "text/plain" } }).catch(() => null);
  if (mapShown !== next) return;
  if (answer && answer.status === CHANGED) return location.reload();
  if (!answer || !answer.ok) return sayOfMap(`${label}, no heat map: ` + (answer ? await answer.text() : "the desk does not answer"), false);
  // From the browser's cache.
  heat.src = map.url;
  heat.alt = `Heat map of ${label}`;
  heat.hidden = false;
  // It tints the part that decided, which for each label may be another.
  figure.classList.add("mapped");
  sayOfMap(`${label}, ${next + 1} of ${maps.length}: ${map.why}, by ${answer.headers.get("X-Heat-Map-Method")}`, true);
}

if (picture) {
  one("#veil").addEventListener("click", (event) => { event.preventDefault(); toggleVeil(); });
  one("#zoom").addEventListener("click", toggleZoom);
  if (heat) one("#heat-key").addEventListener("click", nextMap);
  if (one("#black")) one("#black").addEventListener("click", toggleBlack);
  all(".frames .button").forEach((button) =>
    button.addEventListener("click", (event) => { event.preventDefault(); goToFrame(Number(button.dataset.frame)); }));
  picture.addEventListener("dblclick", toggleZoom);
  picture.addEventListener("error", showLoadProblem);
  picture.addEventListener("load", () => { picture.hidden = false; one("#gone").hidden = true; });
  if (picture.complete && picture.naturalWidth === 0) showLoadProblem();
}

all("img.thumb").forEach((thumb) => {
  thumb.addEventListener("error", () => loadProblem(thumb));
  if (thumb.complete && thumb.naturalWidth === 0) loadProblem(thumb);
});

// ------------------------------------------------------------ the lease, and the next item

const RENEW_MILLISECONDS = 30000;
const verdict = one("#verdict-form");
let ahead = [];

function post(path, fields) {
  const body = new URLSearchParams([["form_token", verdict.elements.form_token.value], ...fields]);
  return fetch(document.body.dataset.root + path, { method: "POST", body, headers: { Accept: "application/json" } });
}

const claimTokens = () => [...verdict.querySelectorAll("input[type=hidden][name=token], input[name=beside]")].map((input) => input.value);
const filterFields = () => [...verdict.querySelectorAll("input[name^=filter-]")].map((input) => [input.name, input.value]);

async function renew() {
  const answer = await post("/renew", claimTokens().map((token) => ["token", token])).catch(() => null);
  if (answer && (answer.status === 409 || answer.status === 401)) {
    const lost = one("#lost");
    lost.textContent = answer.status === 401 ? await answer.text() : (await answer.json()).conflict;
    lost.hidden = false;
  }
  if (ahead.length) post("/renew", ahead.map((token) => ["token", token])).catch(() => null);
}

async function prefetch() {
  await claimNext();
  verdict.dataset.ahead = ahead.length;
}

async function claimNext() {
  const here = claimTokens().map((token) => token.split(".")[0]).join(".");
  const answer = await post("/ahead", [["here", here], ...filterFields()]).catch(() => null);
  if (!answer || !answer.ok) return;
  const next = await answer.json();
  if (!next.href) return;
  ahead = next.tokens;
  all("input.next").forEach((input) => (input.value = next.href));
  const release = one("#release");
  ahead.forEach((token) => {
    const input = Object.assign(document.createElement("input"), { type: "hidden", name: "ahead", value: token });
    release.append(input);
  });
  next.pictures.forEach((address) => (new Image().src = address));
}

if (verdict) {
  setInterval(renew, RENEW_MILLISECONDS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) renew(); });
  if (document.readyState === "complete") prefetch();
  else window.addEventListener("load", prefetch);
  // A second press must not submit the verdict twice.
  verdict.addEventListener("submit", () => setTimeout(() => all(".decide button").forEach((button) => (button.disabled = true)), 0));
}

// ------------------------------------------------------------------ the keys

function tick(number) {
  const boxes = all(".ticks input");
  const box = number === 0 ? boxes[boxes.length - 1] : boxes[number - 1];
  if (box && !(number > 0 && number >= boxes.length)) box.click();
}

function openDetails(id) {
  const details = one("#" + id);
  if (!details) return;
  details.open = true;
  details.querySelector("input[name=reason]").focus();
}

const press = (selector) => () => { const found = one(selector); if (found) found.click(); };
const focusOn = (selector) => () => { const found = one(selector); if (found) found.focus(); };
const ACTIONS = {
  "?": () => { const help = one("#help"); if (help) help.open ? help.close() : help.showModal(); },
  u: press("#undo button"),
  n: press("[data-key=n]"),
};
if (verdict) {
  Object.assign(ACTIONS, {
    a: press("#allow"),
    b: press("#block"),
    r: focusOn("#reason"),
    o: focusOn("#note"),
    s: () => openDetails("skip"),
    e: () => openDetails("escalate"),
    q: press("#release button"),
    t: press("[data-key=t]"),
  });
}
if (picture) {
  Object.assign(ACTIONS, {
    v: toggleVeil,
    z: toggleZoom,
    k: press("#black"),
    h: press("#heat-key"),
    f: () => goToFrame(Number(picture.dataset.frame) + 1),
    F: () => goToFrame(Number(picture.dataset.frame) - 1),
  });
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input:not([type=checkbox]), textarea, select");
  if (event.key === "Escape" && isTyping) {
    event.target.blur();
    all(".aside-actions details").forEach((details) => (details.open = false));
    return;
  }
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const help = one("#help");
  if (help && help.open && event.key !== "?") return;
  if (verdict && /^[0-9]$/.test(event.key)) tick(Number(event.key));
  else if (ACTIONS[event.key]) ACTIONS[event.key]();
  else return;
  event.preventDefault();
});

all("[data-open]").forEach((button) => button.addEventListener("click", () => one("#" + button.dataset.open).showModal()));
