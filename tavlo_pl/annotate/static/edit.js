// Changes of the frame: each is shown at once and saved by the server, in order.
import { frameAddress, post } from "./server.js";
import { element, instances, newId, nextCategory, place, regionAt, selected, state } from "./state.js";

let saving = Promise.resolve(); // the running and the waiting requests
let waiting = 0;
let draw = () => {};

export const onChange = (callback) => { draw = callback; };
export const settled = () => saving;

export function showProblem(text) {
  element("problem").textContent = text;
  element("problem").hidden = !text;
}

// Changes a copy of the frame's state, shows it and saves it.
export function change(mutate) {
  if (!state.mine) return showProblem(`${state.holder} works on this clip; it is shown only.`);
  const copy = structuredClone(state.frame.state);
  mutate(copy);
  const changed = new Map(copy.instances.map((each) => [each.id, each]));
  const before = instances();
  // unchanged instances stay the same objects, so that their masks are not computed again
  copy.instances = copy.instances.map((each) => before.find(
    (old) => old.id === each.id && JSON.stringify(old) === JSON.stringify(changed.get(each.id))) || each);
  state.frame.state = copy;
  place()[2] = copy.status;
  draw();
  send("", copy);
}

export function undo() {
  if (!state.mine || (state.frame.undo === 0 && waiting === 0)) return;
  state.draft = null;
  send("/undo");
}

function send(part, value) {
  const at = place();
  waiting++;
  element("saved").textContent = "saving";
  saving = saving.then(async () => {
    try {
      const answer = await post(frameAddress(at, part), value);
      waiting--;
      at[2] = answer.state.status;
      if (at === place() && waiting === 0) {
        state.frame = answer;
        draw();
      }
      element("saved").textContent = waiting ? "saving" : "saved";
      showProblem("");
    } catch (error) {
      waiting--;
      element("saved").textContent = "not saved";
      showProblem(error.message);
    }
  });
}

// Sets fields of one instance.
export const changeInstance = (id, fields) =>
  change((copy) => {
    const each = copy.instances.find((other) => other.id === id);
    Object.assign(each, fields);
  });

// Gives a new shape to the selected instance, or makes a new one of it.
export function setShape(shape) {
  const each = selected();
  const cleared = { segmentation: [], bbox: undefined, status: "accepted" };
  if (each) return changeInstance(each.id, { ...cleared, ...shape });
  add(shape);
}

export function add(shape, scenario = state.project.scenarios[0]) {
  const id = newId();
  state.selected = id;
  change((copy) => copy.instances.push({
    id,
    status: "accepted",
    task: scenario,
    audio_visual_category: nextCategory(),
    segmentation: [],
    span_s: regionAt(state.frame.time_s),
    provenance: { by: "person" },
    ...shape,
  }));
}

export function setStatus(status) {
  const each = selected();
  if (each) changeInstance(each.id, { status });
}

export function setScenario(number) {
  const each = selected();
  if (each) changeInstance(each.id, { task: state.project.scenarios[number], status: "accepted" });
}

export function setCategory(text) {
  const each = selected(), name = text.trim();
  if (!each || !name || name === each.audio_visual_category) return;
  state.category = name;
  if (!state.project.categories.includes(name)) state.project.categories.push(name);
  changeInstance(each.id, { audio_visual_category: name });
}

export const setFrameStatus = (status) => change((copy) => { copy.status = status; });
