// Keys: everything that the buttons do, and boxes without a pointer.
import { setFrameStatus, setScenario, setStatus, settled, undo } from "./edit.js";
import { addHidden, step } from "./panel.js";
import { go, next } from "./queue.js";
import { drawHeatmap, drawStage, time, toggle } from "./stage.js";
import { element, selected, state } from "./state.js";
import { setEdge } from "./timeline.js";
import { isPrompt } from "./segment.js";
import { addBox, closePolygon, nudge, select, setTool } from "./tools.js";

export const KEYS = [
  ["Space", "play or stop the clip around the frame"],
  ["Enter", "finish the frame, next open frame (or close the polygon)"],
  ["x", "cannot tell, next open frame"],
  ["n / p", "next / previous frame"],
  ["[ / ]", "previous / next source"],
  ["a / r", "accept / reject the source"],
  ["1 2 3 4", "scenario of the source"],
  ["c", "category"],
  ["v", "add a source that is not visible"],
  ["g / b / m / e / s", "tools: polygon, box, brush, eraser, select"],
  ["w", "tool: segment by clicks or a box (with --segmenter)"],
  ["k", "box in the middle; arrows move it, with Shift they resize it"],
  [", / .", "the source sounds from here / until here"],
  ["h / o", "heatmap / masks on or off"],
  ["- / =", "size of the brush"],
  ["u, Ctrl Z", "undo"],
  ["Escape", "drop the drawing, or select no source"],
  ["?", "this list"],
];

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export async function finish(status) {
  setFrameStatus(status);
  await settled();
  if (state.mine) await next();
}

function toggleShown(name, button) {
  state.shown[name] = !state.shown[name];
  element(button).setAttribute("aria-pressed", state.shown[name]);
  drawHeatmap();
  drawStage();
}

export const toggleHeatmap = () => toggleShown("heatmap", "heat");
export const toggleMasks = () => toggleShown("masks", "masks");

function escape() {
  if (state.draft && !isPrompt()) {
    state.draft = null;
    drawStage();
  } else select(null);
}

export function toggleHelp() {
  const help = element("help");
  help.hidden = !help.hidden;
  element("help-button").setAttribute("aria-expanded", !help.hidden);
}

const isPolygon = () => state.draft && state.draft.kind === "polygon";

const ACTIONS = {
  " ": toggle,
  Enter: () => (isPolygon() ? closePolygon() : finish("done")),
  x: () => finish("cannot_tell"),
  n: () => go(state.position + 1),
  p: () => go(state.position - 1),
  "[": () => step(-1),
  "]": () => step(1),
  a: () => setStatus("accepted"),
  r: () => setStatus("rejected"),
  c: () => { if (selected()) { element("category").focus(); element("category").select(); } },
  v: addHidden,
  g: () => setTool("polygon"),
  b: () => setTool("box"),
  m: () => setTool("brush"),
  e: () => setTool("erase"),
  s: () => setTool("select"),
  w: () => { if (state.project.segmenter) setTool("segment"); },
  k: addBox,
  ",": () => setEdge("start", time()),
  ".": () => setEdge("end", time()),
  h: toggleHeatmap,
  o: toggleMasks,
  "-": () => element("brush").stepDown(2),
  "=": () => element("brush").stepUp(2),
  u: undo,
  Escape: escape,
  "?": toggleHelp,
};
for (const number of [0, 1, 2, 3]) ACTIONS[String(number + 1)] = () => setScenario(number);

function press(event) {
  const field = event.target.closest("input:not([type=range]), select");
  if (field) {
    if (event.key === "Escape" || event.key === "Enter") { // Enter in a field ends the input only
      field.blur();
      event.preventDefault();
    }
    return;
  }
  if (!state.frame || event.altKey || event.metaKey) return;
  if (event.ctrlKey) {
    if (event.key === "z") { event.preventDefault(); undo(); }
    return;
  }
  if (ARROWS[event.key] && state.selected && event.target.type !== "range") {
    event.preventDefault();
    const [dx, dy] = ARROWS[event.key].map((unit) => 4 * unit);
    return nudge(dx, dy, event.shiftKey);
  }
  const action = ACTIONS[event.key];
  // a focused button is pressed by Space and Enter
  if (!action || (["Enter", " "].includes(event.key) && event.target.closest("button"))) return;
  event.preventDefault();
  action();
}

export function addKeyListeners() {
  addEventListener("keydown", press);
  const body = element("help").querySelector("tbody");
  body.replaceChildren(...KEYS.map(([keys, meaning]) => {
    const row = document.createElement("tr"), kbd = document.createElement("kbd");
    kbd.textContent = keys;
    row.insertCell().append(kbd);
    row.insertCell().append(meaning);
    return row;
  }));
}
