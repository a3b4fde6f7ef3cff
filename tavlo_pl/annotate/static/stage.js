// The frame with its masks, handles and heatmap, and the clip that plays over it.
import { corners, maskOf, paint } from "./masks.js";
import { clipAddress, frameAddress } from "./server.js";
import { colour, element, hasGeometry, instances, isLive, place, selected, state } from "./state.js";

const HANDLE_PX = 5;
const AROUND_S = 1;
let painted = new WeakMap(); // instance -> canvas of its mask

export const scale = () => element("overlay").clientWidth / state.frame.width;

export function setSize() {
  if (!state.frame) return;
  const { width, height } = state.frame, cell = element("cell"), stage = element("stage");
  const factor = Math.min(cell.clientWidth / width, cell.clientHeight / height);
  stage.style.width = `${Math.floor(width * factor)}px`;
  stage.style.height = `${Math.floor(height * factor)}px`;
  drawStage();
}

export function showFrame() {
  stop();
  painted = new WeakMap();
  element("image").src = frameAddress(place(), ".jpg");
  const address = clipAddress(place()[0], "/video"), player = element("player");
  if (player.getAttribute("src") !== address) player.src = address;
  drawHeatmap();
  setSize();
}

export function drawStage() {
  const canvas = element("overlay"), ratio = devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  const context = canvas.getContext("2d"), factor = ratio * scale();
  context.scale(factor, factor);
  context.imageSmoothingEnabled = false;
  if (state.shown.masks) {
    for (const each of instances()) if (isLive(each) && each !== selected() && hasGeometry(each)) drawMask(context, each);
  }
  const each = selected();
  if (each && hasGeometry(each)) {
    if (!state.draft || ["polygon", "box", "prompt"].includes(state.draft.kind)) drawMask(context, each);
    if (state.tool === "select" && !state.draft) drawHandles(context, each);
  }
  drawDraft(context);
}

function drawMask(context, each) {
  const { width, height } = state.frame, isSelected = each === selected();
  const known = painted.get(each);
  if (!known || known.isSelected !== isSelected) {
    const canvas = paint(maskOf(each, width, height), width, height, colour(each), isSelected);
    painted.set(each, { canvas, isSelected });
  }
  context.globalAlpha = each.status === "proposed" ? 0.75 : 1;
  context.drawImage(painted.get(each).canvas, 0, 0);
  context.globalAlpha = 1;
}

// The points that can be dragged: [x, y, polygon, position] of polygons, [x, y, -1, corner] of a box.
export function handles(each) {
  const shape = each.segmentation;
  if (shape && shape.size) return [];
  if (shape && shape.length) {
    return shape.flatMap((flat, polygon) =>
      Array.from({ length: flat.length / 2 }, (_, n) => [flat[2 * n], flat[2 * n + 1], polygon, n]));
  }
  if (!each.bbox) return [];
  const flat = corners(each.bbox);
  return [0, 1, 2, 3].map((n) => [flat[2 * n], flat[2 * n + 1], -1, n]);
}

function drawHandles(context, each) {
  const size = HANDLE_PX / scale();
  context.fillStyle = "#fff";
  context.strokeStyle = "#000";
  context.lineWidth = 1 / scale();
  for (const [x, y] of handles(each)) {
    context.fillRect(x - size / 2, y - size / 2, size, size);
    context.strokeRect(x - size / 2, y - size / 2, size, size);
  }
}

function drawDraft(context) {
  const draft = state.draft;
  if (!draft) return;
  context.lineWidth = 2 / scale();
  context.strokeStyle = "#fff";
  if (draft.kind === "brush") {
    const { width, height } = state.frame;
    context.drawImage(paint(draft.mask, width, height, "#ffffff", true), 0, 0);
    return;
  }
  if (draft.kind === "prompt") return drawPrompt(context, draft);
  context.beginPath();
  for (const [x, y] of draft.points) context.lineTo(x, y);
  if (draft.kind !== "polygon") context.closePath();
  context.stroke();
  if (draft.kind === "polygon") {
    context.fillStyle = "#fff";
    for (const [x, y] of draft.points) {
      context.beginPath();
      context.arc(x, y, HANDLE_PX / scale() / 1.5, 0, 2 * Math.PI);
      context.fill();
    }
  }
}

function drawPrompt(context, { clicks, box, shown }) {
  if (shown || box) context.strokeRect(...(shown || box));
  for (const [x, y, isOnObject] of clicks) {
    context.fillStyle = isOnObject ? "#2e7d32" : "#c62828";
    context.beginPath();
    context.arc(x, y, HANDLE_PX / scale(), 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}

export function drawHeatmap() {
  const canvas = element("heatmap"), scores = state.frame.heatmap;
  canvas.hidden = !scores || !state.shown.heatmap;
  element("heat").disabled = !scores;
  if (!scores) return;
  const low = Math.min(...scores.flat()), high = Math.max(...scores.flat());
  canvas.height = scores.length;
  canvas.width = scores[0].length;
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  scores.flat().forEach((score, n) => {
    const level = high > low ? (score - low) / (high - low) : 0;
    image.data.set([255, Math.round(255 * level), 0, Math.round(255 * level)], 4 * n);
  });
  context.putImageData(image, 0, 0);
}

// ---- the clip around the frame ----

export function toggle() {
  if (element("player").hidden) play();
  else stop();
}

function play() {
  const player = element("player"), from = Math.max(0, state.frame.time_s - AROUND_S);
  player.hidden = false;
  player.currentTime = from;
  player.play().catch(() => stop());
  element("play").setAttribute("aria-pressed", "true");
  const follow = () => {
    if (player.hidden || (player.paused && !player.ended)) return;
    if (player.currentTime >= state.frame.time_s + AROUND_S || player.ended) {
      player.currentTime = from;
      player.play().catch(() => stop());
    }
    showTime(player.currentTime);
    requestAnimationFrame(follow);
  };
  requestAnimationFrame(follow);
}

// Shows the frame of the clip at a time.
export function seek(seconds) {
  const player = element("player");
  player.pause();
  player.hidden = false;
  player.currentTime = seconds;
  element("play").setAttribute("aria-pressed", "true");
  showTime(seconds);
}

export function stop() {
  element("player").pause();
  element("player").hidden = true;
  element("play").setAttribute("aria-pressed", "false");
  if (state.frame) showTime(state.frame.time_s);
}

function showTime(seconds) {
  element("playhead").hidden = element("player").hidden;
  element("playhead").style.left = `${(100 * seconds) / state.frame.duration_s}%`;
  element("clock").textContent = `${seconds.toFixed(2)} s of ${state.frame.duration_s.toFixed(2)} s`;
}

// Seconds of the player while it is shown, else those of the frame.
export const time = () => (element("player").hidden ? state.frame.time_s : element("player").currentTime);
