// The segment tool: clicks and a dragged box from which the server makes a mask.
import { setShape, showProblem } from "./edit.js";
import { frameAddress, post } from "./server.js";
import { drawStage, scale } from "./stage.js";
import { element, place, state } from "./state.js";

const CLICK_PX = 6; // a shorter drag is a click

export const isPrompt = () => Boolean(state.draft && state.draft.kind === "prompt");
const boxOf = ([x0, y0], [x1, y1]) => [Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0)];
const isClick = ([, , across, down]) => Math.hypot(across, down) * scale() < CLICK_PX;

export function pressPrompt(point, isOnObject) {
  if (!isPrompt()) state.draft = { kind: "prompt", clicks: [], box: null };
  Object.assign(state.draft, { start: point, isOnObject });
}

export function movePrompt(point) {
  const { draft } = state;
  if (!draft.start) return;
  const box = boxOf(draft.start, point);
  draft.shown = isClick(box) ? null : box;
  drawStage();
}

export async function releasePrompt(point) {
  const { draft } = state, at = place();
  if (!draft.start) return;
  const box = boxOf(draft.start, point), before = { clicks: draft.clicks, box: draft.box };
  if (isClick(box)) draft.clicks = [...draft.clicks, [...draft.start, draft.isOnObject]];
  else draft.box = box;
  draft.start = draft.shown = null;
  drawStage();
  element("saved").textContent = "segmenting";
  try {
    const shape = await post(frameAddress(at, "/segment"), { clicks: draft.clicks, box: draft.box });
    if (at === place() && state.draft === draft) setShape(shape);
    else element("saved").textContent = "";
  } catch (error) {
    Object.assign(draft, before);
    element("saved").textContent = "";
    showProblem(error.message);
    if (at === place()) drawStage();
  }
}
