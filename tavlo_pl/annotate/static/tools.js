// Drawing with the pointer: select, polygon with movable points, box, brush and eraser.
import { changeInstance, setShape } from "./edit.js";
import { encode, maskOf, stroke } from "./masks.js";
import { isPrompt, movePrompt, pressPrompt, releasePrompt } from "./segment.js";
import { drawStage, handles, scale } from "./stage.js";
import { element, instances, isLive, selected, state } from "./state.js";

const NEAR_PX = 9;
const LEAST_PX = 2; // a smaller box is a click
let drag = null; // a point that is being moved: { polygon, position }
let redraw = () => {};

export const onSelect = (callback) => { redraw = callback; };

export function setTool(tool) {
  state.tool = tool;
  state.draft = null;
  showTool();
  drawStage();
}

export function showTool() {
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", button.dataset.tool === state.tool);
  }
  const each = selected(), what = each ? `shape of ${each.audio_visual_category}` : "new source";
  const hint = state.tool === "segment" ? "click on it, Shift click beside it, or drag a box: " : "";
  element("hint").textContent = state.tool === "select" ? "" : `${hint}${what}${each ? " (Esc: new source)" : ""}`;
}

export function select(id) {
  state.selected = id;
  if (isPrompt()) state.draft = null;
  redraw();
}

function at(event) {
  const box = element("overlay").getBoundingClientRect(), { width, height } = state.frame;
  const x = ((event.clientX - box.left) * width) / box.width, y = ((event.clientY - box.top) * height) / box.height;
  return [Math.min(width, Math.max(0, x)), Math.min(height, Math.max(0, y))].map((number) => Math.round(10 * number) / 10);
}

const isNear = ([x, y], [a, b]) => Math.hypot(x - a, y - b) * scale() < NEAR_PX;

// ---- polygon ----

function addPoint(point) {
  if (!state.draft) state.draft = { kind: "polygon", points: [] };
  const { points } = state.draft;
  if (points.length >= 3 && isNear(point, points[0])) return closePolygon();
  points.push(point);
  drawStage();
}

export function closePolygon() {
  const { points } = state.draft;
  if (points.length < 3) return;
  state.draft = null;
  setShape({ segmentation: [points.flat()] });
}

// ---- moving points ----

function pressSelect(point) {
  const each = selected();
  const hit = each && handles(each).find((handle) => isNear(handle, point));
  if (hit) {
    drag = { polygon: hit[2], position: hit[3] };
    return;
  }
  const [column, row] = point.map(Math.floor), { width, height } = state.frame;
  const found = instances().filter((other) => isLive(other) && maskOf(other, width, height)[row * width + column]);
  const area = (other) => maskOf(other, width, height).reduce((sum, value) => sum + value, 0);
  select(found.length ? found.reduce((best, other) => (area(other) < area(best) ? other : best)).id : null);
}

function moved(each, point) {
  if (drag.polygon >= 0) {
    const polygons = structuredClone(each.segmentation);
    polygons[drag.polygon].splice(2 * drag.position, 2, ...point);
    return { segmentation: polygons, bbox: undefined };
  }
  const [left, top, width, height] = each.bbox, right = left + width, bottom = top + height;
  const opposite = [[right, bottom], [left, bottom], [left, top], [right, top]][drag.position];
  return { bbox: boxOf(point, opposite) };
}

const boxOf = ([x0, y0], [x1, y1]) => [Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0)];

// ---- pointer ----

function press(event) {
  if (!state.frame || event.button !== 0) return;
  const point = at(event);
  element("overlay").setPointerCapture(event.pointerId);
  if (state.tool === "select") pressSelect(point);
  else if (state.tool === "polygon") addPoint(point);
  else if (state.tool === "segment") pressPrompt(point, !event.shiftKey);
  else if (state.tool === "box") state.draft = { kind: "box", start: point, points: [point] };
  else {
    const { width, height } = state.frame, each = selected();
    const mask = each ? maskOf(each, width, height).slice() : new Uint8Array(width * height);
    state.draft = { kind: "brush", mask, last: point };
    paintTo(point);
  }
}

function paintTo(point) {
  const { width, height } = state.frame, { draft } = state;
  const radius = Number(element("brush").value) / 2;
  stroke(draft.mask, width, height, draft.last, point, radius, state.tool === "brush" ? 1 : 0);
  draft.last = point;
  drawStage();
}

function move(event) {
  if (!state.frame) return;
  const point = at(event), { draft } = state;
  if (draft && draft.kind === "box") {
    const [x, y] = draft.start;
    draft.points = [[x, y], [point[0], y], point, [x, point[1]]];
    drawStage();
  } else if (isPrompt()) movePrompt(point);
  else if (draft && draft.kind === "brush") paintTo(point);
  else if (drag && selected()) {
    const flat = moved(selected(), point);
    const points = flat.segmentation ? flat.segmentation[drag.polygon] : null;
    state.draft = { kind: "move", points: points ? pairs(points) : pairs(rectangle(flat.bbox)) };
    drawStage();
  } else if (draft && draft.kind === "move") drawStage();
}

const pairs = (flat) => Array.from({ length: flat.length / 2 }, (_, n) => [flat[2 * n], flat[2 * n + 1]]);
const rectangle = ([left, top, width, height]) =>
  [left, top, left + width, top, left + width, top + height, left, top + height];

function release(event) {
  if (!state.frame) return;
  const point = at(event), { draft } = state;
  if (draft && draft.kind === "box") {
    state.draft = null;
    const bbox = boxOf(draft.start, point);
    if (Math.min(bbox[2], bbox[3]) >= LEAST_PX) setShape({ bbox });
    else drawStage();
  } else if (isPrompt()) releasePrompt(point);
  else if (draft && draft.kind === "brush") {
    state.draft = null;
    const { width, height } = state.frame;
    if (draft.mask.some(Boolean)) setShape({ segmentation: encode(draft.mask, width, height) });
    else drawStage();
  } else if (drag) {
    const isMoved = Boolean(draft), shape = moved(selected(), point);
    drag = state.draft = null;
    if (isMoved && (!shape.bbox || Math.min(shape.bbox[2], shape.bbox[3]) > 0)) {
      changeInstance(state.selected, { ...shape, status: "accepted" });
    }
  }
}

export function addToolListeners() {
  const overlay = element("overlay");
  overlay.addEventListener("pointerdown", press);
  overlay.addEventListener("pointermove", move);
  overlay.addEventListener("pointerup", release);
  overlay.addEventListener("pointercancel", () => { drag = state.draft = null; drawStage(); });
  overlay.addEventListener("dblclick", () => { if (state.draft && state.draft.kind === "polygon") closePolygon(); });
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.addEventListener("click", () => setTool(button.dataset.tool));
  }
}

// A box in the middle of the frame, or the selected one moved or resized: drawing without a pointer.
export function nudge(dx, dy, isResize) {
  const each = selected(), { width, height } = state.frame;
  if (!each || !each.bbox || (each.segmentation && (each.segmentation.size || each.segmentation.length))) return;
  let [left, top, across, down] = each.bbox;
  if (isResize) [across, down] = [Math.max(2, across + dx), Math.max(2, down + dy)];
  else [left, top] = [left + dx, top + dy];
  left = Math.min(width - 2, Math.max(0, left));
  top = Math.min(height - 2, Math.max(0, top));
  changeInstance(each.id, { bbox: [left, top, Math.min(across, width - left), Math.min(down, height - top)] });
}

export function addBox() {
  const { width, height } = state.frame;
  setShape({ bbox: [width / 4, height / 4, width / 2, height / 2] });
}
