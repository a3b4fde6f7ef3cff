// The page of `tavlo app`. The server finds the maps; this draws them over the video, so that a moved threshold shows
// at once. What it draws is what films show (tavlo_pl/viz/overlay.py): scores from the threshold to the video's highest
// become 0..1, are interpolated between the centres of cells, and are both the colour and the opacity.
"use strict";

const POLL_MS = 300;
const WIDEST_PX = 320; // of the picture of scores, which the browser stretches over the video
const MOST_ROWS = 200;
const $ = (id) => document.getElementById(id);
const film = $("film");

let settings = null; // of the server
let video = null; // what the server says of the video on the page
let found = null; // its maps and moments
let upload = null; // a request that sends a video

// ---- asking the server ----

async function ask(path, options = {}) {
  const answer = await fetch(path, options).catch(() => {
    throw new Error("the server does not answer: is tavlo app still running?");
  });
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error || (answer.status === 404 ? "this video is no longer there" : `error ${answer.status}`));
  }
  return answer;
}

const at = (part = "") => `/videos/${video.key}${part}`;
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function send(file) {
  return new Promise((resolve, reject) => {
    upload = new XMLHttpRequest();
    upload.open("POST", `/videos?name=${encodeURIComponent(file.name)}`);
    upload.upload.onprogress = (event) => progress("sending it to tavlo", event.loaded / Math.max(1, event.total));
    upload.onabort = () => resolve(null);
    upload.onerror = () => reject(new Error("the server did not take the video: is tavlo app still running?"));
    upload.onload = () => {
      const told = JSON.parse(upload.responseText || "{}");
      if (upload.status === 200) resolve(told);
      else reject(new Error(told.error || `error ${upload.status}`));
    };
    upload.send(file);
  });
}

// ---- from a dropped file to its result ----

async function take(file) {
  if (file.size > settings.most_bytes) {
    const most = Math.floor(settings.most_bytes / 2 ** 20);
    return problem(`${file.name} is larger than ${most} MiB; start tavlo app with --max_mib.`);
  }
  await remove();
  named(file.name);
  progress("sending it to tavlo", 0);
  show("work");
  try {
    video = await send(file);
    if (video === null) return show("nothing");
    location.hash = video.key;
    await follow();
  } catch (error) {
    problem(error.message);
  }
}

async function follow() {
  const key = video.key;
  named(video.name);
  show("work");
  while (video.state === "running") {
    progress(video.step, video.done, video.speed);
    if (!(await refreshed(key))) return;
  }
  if (video.state === "failed") throw new Error(video.error);
  const [maps, sources] = await Promise.all([ask(at("/maps")), ask(at("/sources.json"))]);
  const view = new DataView(await maps.arrayBuffer());
  const scores = Float32Array.from({ length: view.byteLength / 4 }, (_, n) => view.getFloat32(4 * n, true));
  found = opened(await sources.json(), scores, video.cells);
  begin();
}

// Asks again after a while; false where the video was taken off the page meanwhile.
async function refreshed(key) {
  const gone = () => video === null || video.key !== key;
  await wait(POLL_MS);
  if (gone()) return false;
  try {
    const told = await (await ask(`/videos/${key}`)).json();
    if (!gone()) video = told;
  } catch (error) {
    if (!gone()) throw error;
  }
  return !gone();
}

function opened(sources, scores, cells) {
  let low = Infinity, high = -Infinity;
  for (const score of scores) { low = Math.min(low, score); high = Math.max(high, score); }
  const { steps, width, height, duration_s } = sources;
  const quietest = steps.reduce((least, step) => Math.min(least, step.score), settings.threshold ?? Infinity);
  return { steps, width, height, duration_s, scores, cells, low, high, quietest };
}

function begin() {
  const threshold = $("threshold");
  const first = settings.threshold ?? found.low;
  threshold.min = Math.min(found.low, first).toFixed(3);
  threshold.max = Math.max(found.high, first).toFixed(3);
  threshold.value = first;
  $("reset").hidden = settings.threshold === null;
  $("reset").textContent = `Reset to ${first.toFixed(3)}`;
  shape(found.width / found.height);
  $("seek").max = found.duration_s;
  film.src = at("/view");
  $("npz").href = at("/heatmaps.npz");
  $("drawing").hidden = true;
  show("result");
  changed();
  if (video.film) followFilm().catch((error) => problem(error.message));
}

function shape(ratio) { // of the picture: width by height
  const heat = $("heat"), stage = $("stage");
  heat.width = Math.max(2, Math.round(Math.min(WIDEST_PX, WIDEST_PX * ratio)));
  heat.height = Math.max(2, Math.round(heat.width / ratio));
  stage.style.setProperty("--shape", ratio);
  stage.style.aspectRatio = ratio;
  stage.style.maxWidth = `calc(70vh * ${ratio})`;
}

async function remove() {
  const old = video;
  if (upload && upload.readyState !== XMLHttpRequest.DONE) upload.abort();
  video = found = upload = null;
  film.pause();
  film.removeAttribute("src");
  film.load();
  history.replaceState(null, "", location.pathname);
  problem("");
  if (old) await fetch(`/videos/${old.key}`, { method: "DELETE" }).catch(() => {});
}

// ---- what is shown ----

function show(part) {
  $("work").hidden = part !== "work";
  $("result").hidden = part !== "result";
  $("drop").classList.toggle("small", part !== "nothing");
  $("drop").querySelector("strong").textContent = part === "nothing" ? "Drop a video here" : "Drop another video here";
}

function problem(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
  if (text && found === null) show("nothing");
}

function named(name) {
  for (const place of document.querySelectorAll(".name")) place.textContent = name;
}

function progress(step, done, speed = null) {
  $("done").value = done;
  $("step").textContent = `${step} · ${Math.floor(100 * done)} %${speed ? ` · ${speed} times real time` : ""}`;
}

function clock(seconds) {
  if (seconds < 59.95) return `0:${seconds.toFixed(1).padStart(4, "0")}`;
  const whole = Math.floor(seconds), two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

const threshold = () => Number($("threshold").value);

// ---- the map over the picture ----

// The map at any moment: linear between the two around it.
function mapAt(seconds) {
  const { steps, scores, cells: [count, rows, columns] } = found;
  const size = rows * columns;
  let low = 0, high = count - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle].time_s <= seconds) low = middle; else high = middle;
  }
  const span = steps[high].time_s - steps[low].time_s;
  const share = span > 0 ? Math.min(1, Math.max(0, (seconds - steps[low].time_s) / span)) : 0;
  return Float32Array.from({ length: size }, (_, n) =>
    (1 - share) * scores[low * size + n] + share * scores[high * size + n]);
}

// For each of `pixels`: the two cells whose centres lie around it, and the share of the second.
function around(pixels, cells) {
  return Array.from({ length: pixels }, (_, n) => {
    const place = Math.min(cells - 1, Math.max(0, ((n + 0.5) * cells) / pixels - 0.5));
    const first = Math.min(Math.floor(place), Math.max(0, cells - 2));
    return [first, Math.min(first + 1, cells - 1), place - first];
  });
}

function drawHeat(seconds) {
  const heat = $("heat"), pen = heat.getContext("2d", { willReadFrequently: true }); // it is drawn by the processor
  const [, rows, columns] = found.cells, from = threshold(), span = found.high - from;
  const level = mapAt(seconds).map((score) => (span > 0 ? Math.min(1, Math.max(0, (score - from) / span)) : 0));
  const picture = pen.createImageData(heat.width, heat.height);
  const across = around(heat.width, columns), down = around(heat.height, rows);
  let place = 0;
  for (const [above, below, y] of down) {
    for (const [left, right, x] of across) {
      const upper = (1 - x) * level[above * columns + left] + x * level[above * columns + right];
      const lower = (1 - x) * level[below * columns + left] + x * level[below * columns + right];
      const value = Math.round(255 * ((1 - y) * upper + y * lower));
      const [red, green, blue] = settings.colours[value];
      picture.data[place++] = red;
      picture.data[place++] = green;
      picture.data[place++] = blue;
      picture.data[place++] = value;
    }
  }
  pen.putImageData(picture, 0, 0);
}

// ---- the score over time ----

function drawCurve() {
  const canvas = $("curve"), style = getComputedStyle(document.body);
  const colour = (name) => style.getPropertyValue(name).trim();
  const width = canvas.clientWidth, height = canvas.clientHeight, sharp = window.devicePixelRatio || 1;
  canvas.width = width * sharp;
  canvas.height = height * sharp;
  const pen = canvas.getContext("2d");
  pen.scale(sharp, sharp);
  const high = Number($("threshold").max), low = found.quietest - 0.15 * (high - found.quietest);
  const x = (seconds) => (width * seconds) / Math.max(found.duration_s, 1e-3);
  const y = (score) => height - 4 - (height - 8) * Math.max(0, (score - low) / Math.max(high - low, 1e-6));
  const from = threshold();
  pen.fillStyle = colour("--mark");
  pen.globalAlpha = 0.18;
  for (const span of spans()) pen.fillRect(x(span.start_s), 0, Math.max(1, x(span.end_s) - x(span.start_s)), height);
  pen.globalAlpha = 1;
  pen.strokeStyle = colour("--mark");
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (const step of found.steps) pen.lineTo(x(step.time_s), y(step.score));
  pen.stroke();
  pen.strokeStyle = colour("--dim");
  pen.setLineDash([4, 4]);
  pen.beginPath();
  pen.moveTo(0, y(from));
  pen.lineTo(width, y(from));
  pen.stroke();
}

// Stretches of time in which a source is visible: moments in a row whose highest score reaches the threshold.
function spans() {
  const { steps, duration_s } = found, from = threshold(), all = [];
  let open = null;
  steps.forEach((step, n) => {
    if (step.score < from) { open = null; return; }
    const start_s = n ? (steps[n - 1].time_s + step.time_s) / 2 : 0;
    if (!open) all.push((open = { start_s, best: step }));
    open.end_s = n + 1 < steps.length ? (step.time_s + steps[n + 1].time_s) / 2 : duration_s;
    if (step.score > open.best.score) open.best = step;
  });
  return all;
}

function where([x, y]) {
  const across = ["left", "", "right"][Math.min(2, Math.floor((3 * x) / found.width))];
  const down = ["top", "", "bottom"][Math.min(2, Math.floor((3 * y) / found.height))];
  return [down, across].filter(Boolean).join(" ") || "middle";
}

function listSources() {
  const all = spans(), body = $("sources").tBodies[0];
  body.replaceChildren(...all.slice(0, MOST_ROWS).map((span) => {
    const row = document.createElement("tr");
    const jump = document.createElement("button");
    jump.type = "button";
    jump.textContent = clock(span.start_s);
    const [x, y] = span.best.peak;
    const words = [jump, clock(span.end_s), span.best.score.toFixed(2),
      `${where([x, y])} (${Math.round(x)}, ${Math.round(y)}) at ${clock(span.best.time_s)}`];
    for (const word of words) row.insertCell().append(word);
    row.addEventListener("click", () => { film.currentTime = span.best.time_s; });
    return row;
  }));
  $("sources").hidden = all.length === 0;
  $("more").hidden = all.length <= MOST_ROWS;
  $("more").textContent = `${all.length - MOST_ROWS} more are in the JSON file.`;
  const seen = found.steps.filter((step) => step.score >= threshold()).length / found.steps.length;
  const share = seen === 1 ? "all the time" : `${Math.min(99, Math.max(1, Math.round(100 * seen)))} % of the time`;
  $("verdict").textContent = seen ? `A source is visible ${share}.` : "No visible source: nothing reaches the threshold.";
}

// ---- what moves ----

function changed() { // the threshold
  $("shown").textContent = threshold().toFixed(3);
  $("json").href = at(`/sources.json?threshold=${threshold()}`);
  $("poster").href = at(`/poster.jpg?threshold=${threshold()}`);
  if (video.film && video.film.state === "ready") filmNote();
  listSources();
  drawCurve();
  moved(film.currentTime);
}

function moved(seconds) { // the moment
  if (!found) return;
  drawHeat(seconds);
  $("seek").value = seconds;
  $("cursor").style.left = `${Math.min(100, (100 * seconds) / Math.max(found.duration_s, 1e-3))}%`;
  $("clock").textContent = `${clock(seconds)} / ${clock(found.duration_s)}`;
}

function follows() { // each frame of the video, as it is shown
  const next = (seconds) => {
    moved(seconds);
    if (!film.paused && !film.ended) follows();
  };
  if (film.requestVideoFrameCallback) film.requestVideoFrameCallback((_, frame) => next(frame.mediaTime));
  else requestAnimationFrame(() => next(film.currentTime));
}

async function drawFilm() {
  problem("");
  const wishes = ["box", "spectrogram"].map((name) => `${name}=${$(name).checked}`).join("&");
  video = await (await ask(at(`/film?threshold=${threshold()}&${wishes}`), { method: "POST" })).json();
  await followFilm();
}

async function followFilm() {
  const key = video.key;
  $("draw").disabled = true;
  $("drawing").hidden = false;
  $("drawn").hidden = false;
  $("saved").hidden = true;
  try {
    while (video.film.state === "running") {
      $("drawn").value = video.film.done;
      $("drawnote").textContent = `${video.film.step} · ${Math.floor(100 * video.film.done)} %`;
      if (!(await refreshed(key))) return;
    }
    $("drawn").hidden = true;
    $("drawnote").textContent = "";
    if (video.film.state === "failed") throw new Error(video.film.error);
    $("saved").href = at("/film.mp4");
    $("saved").hidden = false;
    filmNote();
  } finally {
    $("draw").disabled = false;
  }
}

function filmNote() {
  const other = Math.abs(video.film.threshold - threshold()) > 1e-6;
  $("drawnote").textContent = other ? `drawn with the threshold ${video.film.threshold.toFixed(3)}` : "";
}

// ---- begin ----

function listen() {
  const drop = $("drop");
  let depth = 0; // of elements of the page that a dragged file is over
  addEventListener("dragenter", () => { depth++; drop.classList.add("over"); });
  addEventListener("dragleave", () => { if (--depth <= 0) drop.classList.remove("over"); });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  $("file").addEventListener("change", (event) => {
    if (event.target.files.length) take(event.target.files[0]);
    event.target.value = ""; // so that the same file can be chosen again
  });
  for (const id of ["cancel", "remove"]) $(id).addEventListener("click", () => remove().then(() => show("nothing")));
  $("threshold").addEventListener("input", changed);
  $("reset").addEventListener("click", () => { $("threshold").value = settings.threshold; changed(); });
  $("draw").addEventListener("click", () => drawFilm().catch((error) => problem(error.message)));
  const play = () => (film.paused ? film.play().catch((error) => problem(error.message)) : film.pause());
  $("play").addEventListener("click", play);
  $("stage").addEventListener("click", play);
  $("mute").addEventListener("click", () => {
    film.muted = !film.muted;
    $("mute").setAttribute("aria-pressed", film.muted);
    $("mute").textContent = film.muted ? "Unmute" : "Mute";
  });
  $("full").addEventListener("click", () =>
    (document.fullscreenElement ? document.exitFullscreen() : $("stage").requestFullscreen()));
  $("seek").addEventListener("input", (event) => { film.currentTime = Number(event.target.value); });
  film.addEventListener("play", () => { $("play").textContent = "Pause"; follows(); });
  for (const name of ["pause", "ended"]) film.addEventListener(name, () => { $("play").textContent = "Play"; });
  film.addEventListener("loadedmetadata", () => { // its pixels may not be square
    if (film.videoWidth) shape(film.videoWidth / film.videoHeight);
  });
  for (const name of ["seeked", "loadeddata", "pause"]) film.addEventListener(name, () => moved(film.currentTime));
  film.addEventListener("error", () => {
    if (film.getAttribute("src")) problem("This browser cannot play the video; the maps and films can be saved all the same.");
  });
  addEventListener("resize", () => found && drawCurve());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => found && drawCurve());
}

async function start() {
  listen();
  settings = await (await ask("/settings")).json();
  $("note").textContent = settings.note;
  $("note").hidden = !settings.note;
  if (location.hash.length > 1) { // the page was loaded again
    video = { key: location.hash.slice(1) };
    try {
      video = await (await ask(at())).json();
      await follow();
    } catch (error) {
      video = null;
      history.replaceState(null, "", location.pathname);
      problem(error.message);
    }
  }
}

start().catch((error) => problem(error.message));
