// The queue: which frame is shown, the locks of clips, and frames that are requested ahead.
import { settled, showProblem } from "./edit.js";
import { clipAddress, frameAddress, post, requestJson, root, who } from "./server.js";
import { element, place, state } from "./state.js";

const ROWS = 60; // of the list around the frame; the queue may have thousands
const MARKS = { open: "○", done: "●", cannot_tell: "?" };
let ahead = new Map(); // address -> promise of a frame
let holders = {}; // clip -> [annotator, session]
let show = () => {};

export const onFrame = (callback) => { show = callback; };

// Shows the frame at a position of the queue.
export async function go(position) {
  const { frames } = state.project;
  if (position < 0 || position >= frames.length) return;
  await settled();
  const old = state.position >= 0 ? place()[0] : -1, clip = frames[position][0];
  try {
    const address = frameAddress(frames[position]);
    state.frame = await (ahead.get(address) || requestJson(address));
    state.position = position;
    state.selected = state.draft = null;
    if (old !== clip) take(old, clip);
    else showProblem(state.mine ? "" : taken(state.holder));
    show();
    drawQueue();
    ahead = new Map();
    for (const next of frames.slice(position + 1, position + 3)) request(next);
    if (position > 0) request(frames[position - 1]);
  } catch (error) {
    showProblem(error.message);
  }
}

function request(at) {
  const promise = requestJson(frameAddress(at));
  promise.catch(() => ahead.delete(frameAddress(at)));
  ahead.set(frameAddress(at), promise);
  new Image().src = frameAddress(at, ".jpg");
}

const taken = (annotator) => `${annotator} works on this clip; it is shown only.`;

function setLock(lock) {
  state.mine = lock.mine;
  state.holder = lock.annotator || "";
  showProblem(lock.mine ? "" : taken(lock.annotator));
}

// Takes the lock of a clip. The frame is shown meanwhile; the server saves nothing without the lock.
function take(old, clip) {
  setLock({ mine: true });
  if (old >= 0) release(old);
  post(clipAddress(clip, "/lock")).then(
    (lock) => { if (place()[0] === clip) setLock(lock); },
    (error) => showProblem(error.message),
  );
}

const release = (clip) => fetch(`${clipAddress(clip, "/unlock")}?${who()}`, { method: "POST", keepalive: true })
  .catch(() => {});

// The next frame that is open and in no clip of another annotator; the next frame if there is none.
export function next() {
  const { frames } = state.project, count = frames.length;
  for (let step = 1; step < count; step++) {
    const position = (state.position + step) % count, [clip, , status] = frames[position];
    const holder = holders[clip];
    if (status === "open" && !(holder && holder[1] !== state.session)) return go(position);
  }
  return go(Math.min(count - 1, state.position + 1));
}

export function drawQueue() {
  const { frames, clips } = state.project, first = Math.max(0, state.position - ROWS / 2);
  const finished = frames.filter(([, , status]) => status !== "open").length;
  element("progress").textContent = `${finished} of ${frames.length} frames finished`;
  element("queue").replaceChildren(...frames.slice(first, first + ROWS).map(([clip, number, status], n) => {
    const item = document.createElement("li"), button = document.createElement("button");
    const holder = holders[clip], isTaken = holder && holder[1] !== state.session;
    button.type = "button";
    button.textContent = `${MARKS[status]} ${number} ${isTaken ? `(${holder[0]}) ` : ""}${clips[clip]}`;
    button.title = isTaken ? `${holder[0]} works on this clip` : `${clips[clip]}, frame ${number}: ${status}`;
    button.setAttribute("aria-current", first + n === state.position);
    button.addEventListener("click", () => go(first + n));
    item.append(button);
    return item;
  }));
  const current = element("queue").querySelector('[aria-current="true"]');
  if (current) current.scrollIntoView({ block: "nearest" });
}

export async function load() {
  state.project = await requestJson(root(`/project?order=${element("order").value}`));
  if (state.project.problems.length) showProblem(state.project.problems.join(" "));
}

// Requests the queue in another order and shows the same frame in it.
export async function reorder() {
  const [clip, number] = place();
  await settled();
  await load();
  state.position = state.project.frames.findIndex((each) => each[0] === clip && each[1] === number);
  drawQueue();
}

// Renews the lock of the clip and shows those of others.
export async function renew() {
  try {
    if (state.position >= 0) {
      const was = state.mine, lock = await post(clipAddress(place()[0], "/lock"));
      setLock(lock);
      if (lock.mine && !was) await go(state.position);
    }
    holders = await requestJson(root("/locks"));
    drawQueue();
  } catch (error) {
    showProblem(error.message);
  }
}

export function addQueueListeners() {
  addEventListener("pagehide", () => { if (state.position >= 0) release(place()[0]); });
  element("order").addEventListener("change", reorder);
  setInterval(renew, (1000 * state.project.renewed_s) / 3);
}
