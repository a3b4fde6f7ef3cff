// Waveform and spectrogram of the clip with the moment of the frame, and a sounding span for each instance.
import { changeInstance } from "./edit.js";
import { clipAddress, requestJson } from "./server.js";
import { colour, element, instances, isLive, place, selected, state } from "./state.js";
import { select } from "./tools.js";

const LEAST_S = 0.05;
let peaks = { clip: -1, values: [] };
let drag = null; // { id, edge, grabbed_s, span }

export async function showSound() {
  const clip = place()[0];
  element("spectrogram").src = clipAddress(clip, "/spectrogram.png");
  element("moment").style.left = share(state.frame.time_s);
  if (peaks.clip !== clip) {
    peaks = { clip, values: [] };
    const values = await requestJson(clipAddress(clip, "/peaks")).catch(() => []);
    if (place()[0] === clip) peaks = { clip, values };
  }
  drawWave();
}

const share = (seconds) => `${(100 * seconds) / state.frame.duration_s}%`;

export function drawWave() {
  if (!state.frame) return;
  const canvas = element("wave"), ratio = devicePixelRatio || 1, style = getComputedStyle(document.body);
  const width = (canvas.width = canvas.clientWidth * ratio), height = (canvas.height = canvas.clientHeight * ratio);
  const context = canvas.getContext("2d");
  context.fillStyle = style.getPropertyValue("--mark").trim();
  context.globalAlpha = 0.15;
  for (const [start, end] of state.frame.regions) {
    const left = (width * start) / state.frame.duration_s;
    context.fillRect(left, 0, (width * (end - start)) / state.frame.duration_s, height);
  }
  context.globalAlpha = 1;
  peaks.values.forEach((peak, n) => {
    const tall = Math.max(1, peak * height);
    context.fillRect((width * n) / peaks.values.length, (height - tall) / 2, width / peaks.values.length, tall);
  });
}

export function drawSpans() {
  element("spans").replaceChildren(...instances().filter(isLive).map((each) => {
    const lane = document.createElement("div");
    lane.className = each === selected() ? "lane selected" : "lane";
    lane.dataset.id = each.id;
    if (each.span_s) lane.append(spanElement(each, each.span_s));
    else lane.title = "Drag to set when this source sounds";
    return lane;
  }));
}

function spanElement(each, [start, end]) {
  const span = document.createElement("div");
  span.className = "span";
  span.style.left = share(start);
  span.style.width = share(end - start);
  span.style.background = colour(each);
  span.append(document.createElement("i"), each.audio_visual_category, document.createElement("i"));
  return span;
}

const secondsAt = (event) => {
  const box = element("spans").getBoundingClientRect();
  const seconds = ((event.clientX - box.left) / box.width) * state.frame.duration_s;
  return Math.min(state.frame.duration_s, Math.max(0, seconds));
};

function press(event) {
  const lane = event.target.closest(".lane");
  if (!lane || event.button !== 0) return;
  event.preventDefault();
  const each = instances().find((other) => other.id === lane.dataset.id), at_s = secondsAt(event);
  const edges = [...lane.querySelectorAll("i")];
  let edge = "both";
  if (!each.span_s || !event.target.closest(".span")) edge = "new";
  else if (event.target === edges[0]) edge = "start";
  else if (event.target === edges[1]) edge = "end";
  drag = { id: each.id, edge, grabbed_s: at_s, span: each.span_s, moved: null };
  element("spans").setPointerCapture(event.pointerId);
}

function spanOf(at_s) {
  const { edge, grabbed_s, span } = drag, length_s = state.frame.duration_s;
  if (edge === "new") return [Math.min(grabbed_s, at_s), Math.max(grabbed_s, at_s, Math.min(grabbed_s, at_s) + LEAST_S)];
  if (edge === "start") return [Math.min(at_s, span[1] - LEAST_S), span[1]];
  if (edge === "end") return [span[0], Math.max(at_s, span[0] + LEAST_S)];
  const shift = Math.min(length_s - span[1], Math.max(-span[0], at_s - grabbed_s));
  return [span[0] + shift, span[1] + shift];
}

function move(event) {
  if (!drag) return;
  drag.moved = spanOf(secondsAt(event));
  const lane = element("spans").querySelector(`.lane[data-id="${CSS.escape(drag.id)}"]`);
  const each = instances().find((other) => other.id === drag.id);
  lane.replaceChildren(spanElement(each, drag.moved));
}

function release() {
  if (!drag) return;
  const { id, moved } = drag;
  drag = null;
  if (!moved) return select(id);
  state.selected = id;
  setSpan(id, moved);
}

const setSpan = (id, span) =>
  changeInstance(id, { span_s: span.map((edge) => Math.round(1000 * Math.max(0, edge)) / 1000) });

// Sets one edge of the selected instance's span to a time.
export function setEdge(edge, at_s) {
  const each = selected();
  if (!each) return;
  const [start, end] = each.span_s || [0, state.frame.duration_s];
  const span = edge === "start" ? [at_s, Math.max(end, at_s + LEAST_S)] : [Math.min(start, at_s - LEAST_S), at_s];
  setSpan(each.id, span);
}

export function addTimelineListeners() {
  const spans = element("spans");
  spans.addEventListener("pointerdown", press);
  spans.addEventListener("pointermove", move);
  spans.addEventListener("pointerup", release);
  spans.addEventListener("pointercancel", () => { drag = null; drawSpans(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawWave);
}
