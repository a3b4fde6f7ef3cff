// The page of `tavlo app`: from a dropped file to its result. The server computes the maps.
import { drawCurve, drawHeatmap, listSources, setShape } from "./drawing.js";
import { followOverlay, makeOverlay, noteThreshold } from "./overlay.js";
import { abortUpload, address, refresh, requestJson, requestScores, send } from "./server.js";
import { clock, element, makeResult, nearestStep, player, state, threshold } from "./state.js";

// ---- from a file to its result ----

async function open(file) {
  if (file.size > state.settings.most_bytes) {
    const mib = Math.floor(state.settings.most_bytes / 2 ** 20);
    return showProblem(`${file.name} is larger than ${mib} MiB; start tavlo app with --max_mib.`);
  }
  await remove();
  showName(file.name);
  showProgress("uploading", 0);
  showPart("work");
  try {
    state.video = await send(file, (done) => showProgress("uploading", done));
    if (state.video === null) return showPart("nothing");
    location.hash = state.video.key;
    await follow();
  } catch (error) {
    showProblem(error.message);
  }
}

async function follow() {
  const key = state.video.key;
  showName(state.video.name);
  showPart("work");
  while (state.video.state === "running") {
    showProgress(state.video.step, state.video.done, state.video.speed);
    if (!(await refresh(key))) return;
  }
  if (state.video.state === "failed") throw new Error(state.video.error);
  const [scores, sources] = await Promise.all([requestScores(), requestJson(address("/sources.json"))]);
  state.result = makeResult(sources, scores, state.video.cells);
  showResult();
}

function showResult() {
  const slider = element("threshold"), { low, high, width, height, duration_s } = state.result;
  const initial = state.settings.threshold ?? low;
  slider.min = Math.min(low, initial).toFixed(3);
  slider.max = Math.max(high, initial).toFixed(3);
  slider.value = initial;
  element("reset").hidden = state.settings.threshold === null;
  element("reset").textContent = `Reset to ${initial.toFixed(3)}`;
  setShape(width / height);
  element("seek").max = duration_s;
  player.src = address("/view");
  element("npz").href = address("/heatmaps.npz");
  element("overlay").hidden = true;
  showPart("result");
  onThreshold();
  if (state.video.overlay) followOverlay().catch((error) => showProblem(error.message));
}

async function remove() {
  const old = state.video;
  abortUpload();
  state.video = state.result = null;
  player.pause();
  player.removeAttribute("src");
  player.load();
  history.replaceState(null, "", location.pathname);
  showProblem("");
  if (old) await fetch(`/videos/${old.key}`, { method: "DELETE" }).catch(() => {});
}

// ---- what the page shows ----

function showPart(part) {
  element("work").hidden = part !== "work";
  element("result").hidden = part !== "result";
  element("drop").classList.toggle("small", part !== "nothing");
  element("drop").querySelector("strong").textContent =
    part === "nothing" ? "Drop a video here" : "Drop another video here";
}

function showProblem(text) {
  element("problem").textContent = text;
  element("problem").hidden = !text;
  if (text && state.result === null) showPart("nothing");
}

function showName(name) {
  for (const place of document.querySelectorAll(".name")) place.textContent = name;
}

function showProgress(step, done, speed = null) {
  element("done").value = done;
  element("step").textContent = `${step} · ${Math.floor(100 * done)} %${speed ? ` · ${speed} times real time` : ""}`;
}

function onThreshold() {
  element("threshold-value").textContent = threshold().toFixed(3);
  element("json").href = address(`/sources.json?threshold=${threshold()}`);
  element("poster").href = address(`/poster.jpg?threshold=${threshold()}`);
  noteThreshold();
  listSources();
  drawCurve();
  onTime(player.currentTime);
}

function onTime(seconds) {
  if (!state.result) return;
  const { duration_s } = state.result;
  drawHeatmap(seconds);
  element("seek").value = seconds;
  showHeard(seconds);
  element("cursor").style.left = `${Math.min(100, (100 * seconds) / Math.max(duration_s, 1e-3))}%`;
  element("clock").textContent = `${clock(seconds)} / ${clock(duration_s)}`;
}

// What is heard at a time, and whether its source is visible; hidden for a model that tells no classes of sounds.
function showHeard(seconds) {
  const step = nearestStep(seconds);
  element("heard").hidden = !step.sounds;
  if (!step.sounds) return;
  const isUnseen = step.score < threshold() && step.sounds[0][0] !== "Silence";
  const names = step.sounds.map(([name, score]) => `${name} ${Math.round(100 * score)} %`).join(", ");
  element("heard").textContent = `Heard now: ${names}${isUnseen ? " · nothing visible matches" : ""}`;
}

// Draws the map of each frame of the playing video.
function followFrames() {
  const next = (seconds) => {
    onTime(seconds);
    if (!player.paused && !player.ended) followFrames();
  };
  if (player.requestVideoFrameCallback) player.requestVideoFrameCallback((_, frame) => next(frame.mediaTime));
  else requestAnimationFrame(() => next(player.currentTime));
}

// ---- events ----

function addFileListeners() {
  const drop = element("drop");
  let depth = 0; // number of nested elements below the dragged file
  addEventListener("dragenter", () => { depth++; drop.classList.add("over"); });
  addEventListener("dragleave", () => { if (--depth <= 0) drop.classList.remove("over"); });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
  });
  element("file").addEventListener("change", (event) => {
    if (event.target.files.length) open(event.target.files[0]);
    event.target.value = ""; // the same file can be chosen again
  });
  for (const id of ["cancel", "remove"]) {
    element(id).addEventListener("click", () => remove().then(() => showPart("nothing")));
  }
}

function addControlListeners() {
  element("threshold").addEventListener("input", onThreshold);
  element("reset").addEventListener("click", () => {
    element("threshold").value = state.settings.threshold;
    onThreshold();
  });
  element("make-overlay").addEventListener("click", () => {
    showProblem("");
    makeOverlay().catch((error) => showProblem(error.message));
  });
  const play = () => (player.paused ? player.play().catch((error) => showProblem(error.message)) : player.pause());
  element("play").addEventListener("click", play);
  element("stage").addEventListener("click", play);
  element("mute").addEventListener("click", () => {
    player.muted = !player.muted;
    element("mute").setAttribute("aria-pressed", player.muted);
    element("mute").textContent = player.muted ? "Unmute" : "Mute";
  });
  element("full").addEventListener("click", () =>
    (document.fullscreenElement ? document.exitFullscreen() : element("stage").requestFullscreen()));
  element("seek").addEventListener("input", (event) => { player.currentTime = Number(event.target.value); });
  addEventListener("resize", () => state.result && drawCurve());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => state.result && drawCurve());
}

function addPlayerListeners() {
  player.addEventListener("play", () => { element("play").textContent = "Pause"; followFrames(); });
  for (const name of ["pause", "ended"]) {
    player.addEventListener(name, () => { element("play").textContent = "Play"; });
  }
  player.addEventListener("loadedmetadata", () => { // the displayed shape, also of videos with non-square pixels
    if (player.videoWidth) setShape(player.videoWidth / player.videoHeight);
  });
  for (const name of ["seeked", "loadeddata", "pause"]) {
    player.addEventListener(name, () => onTime(player.currentTime));
  }
  player.addEventListener("error", () => {
    if (player.getAttribute("src")) showProblem("This browser cannot play the video; the downloads are available.");
  });
}

async function start() {
  addFileListeners();
  addControlListeners();
  addPlayerListeners();
  state.settings = await requestJson("/settings");
  if (location.hash.length > 1) { // the page was reloaded
    state.video = { key: location.hash.slice(1) };
    try {
      state.video = await requestJson(address());
      await follow();
    } catch (error) {
      state.video = null;
      history.replaceState(null, "", location.pathname);
      showProblem(error.message);
    }
  }
}

start().catch((error) => showProblem(error.message));
