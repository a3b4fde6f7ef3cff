// The page of `tavlo annotate serve`: loads the queue, shows its frames and connects the modules.
import { onChange, showProblem, undo } from "./edit.js";
import { addKeyListeners, finish, toggleHeatmap, toggleHelp, toggleMasks } from "./keys.js";
import { addPanelListeners, drawPanel } from "./panel.js";
import { addQueueListeners, drawQueue, go, load, onFrame, renew } from "./queue.js";
import { drawStage, seek, setSize, showFrame, toggle } from "./stage.js";
import { element, place, state } from "./state.js";
import { addTimelineListeners, drawSpans, drawWave, showSound } from "./timeline.js";
import { addToolListeners, onSelect } from "./tools.js";

function draw() {
  drawPanel();
  drawSpans();
  drawStage();
  element("undo").disabled = !state.mine || state.frame.undo === 0;
  const [, number, status] = place();
  element("clip").textContent = state.frame.clip;
  element("place").textContent = `frame ${number}, ${state.frame.time_s.toFixed(2)} s: ${status.replace("_", " ")}`;
}

function show() {
  draw();
  drawQueue();
  showFrame();
  showSound().catch((error) => showProblem(error.message));
}

function setAnnotator(name) {
  state.annotator = name.trim() || state.project.annotator;
  localStorage.setItem("annotator", state.annotator);
  element("annotator").value = state.annotator;
  if (state.position >= 0) renew();
}

function addListeners() {
  const clicks = {
    play: toggle, undo, heat: toggleHeatmap, masks: toggleMasks, "help-button": toggleHelp,
    previous: () => go(state.position - 1), cannot: () => finish("cannot_tell"), done: () => finish("done"),
  };
  for (const [id, action] of Object.entries(clicks)) {
    element(id).addEventListener("click", action);
  }
  addEventListener("click", (event) => { // so that Space and Enter keep their meaning after a click
    const button = event.target.closest("button");
    if (button && event.detail > 0) button.blur();
  });
  for (const id of ["wave", "spectrogram"]) {
    element(id).addEventListener("click", (event) => {
      const share = event.offsetX / event.currentTarget.clientWidth;
      seek(Math.min(1, Math.max(0, share)) * state.frame.duration_s);
    });
  }
  element("annotator").addEventListener("change", (event) => setAnnotator(event.target.value));
  addEventListener("resize", () => { setSize(); drawWave(); });
}

async function start() {
  onChange(draw);
  onSelect(draw);
  onFrame(show);
  await load();
  const fixed = state.project.blind ? state.project.annotator : null; // a second annotator has a folder of its own
  setAnnotator(fixed || localStorage.getItem("annotator") || state.project.annotator);
  element("annotator").disabled = Boolean(fixed);
  document.querySelector("[data-tool=segment]").hidden = !state.project.segmenter;
  element("work").hidden = false;
  addListeners();
  addPanelListeners();
  addToolListeners();
  addTimelineListeners();
  addKeyListeners();
  addQueueListeners();
  const open = state.project.frames.findIndex(([, , status]) => status === "open");
  await go(Math.max(0, open));
  await renew();
}

start().catch((error) => showProblem(error.message));
