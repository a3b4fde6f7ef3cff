// State of the page that all modules share, and functions without side effects.

export const state = {
  key: location.hash.slice(1), // part of all addresses
  session: Array.from(crypto.getRandomValues(new Uint8Array(12)), (n) => n.toString(16).padStart(2, "0")).join(""),
  annotator: "",
  project: null, // queue, clips and categories, as the server sent them
  position: -1, // of the frame in the queue
  frame: null, // the frame, as the server sent it
  selected: null, // id of an instance
  tool: "select",
  draft: null, // what is being drawn
  mine: false, // whether this page has the lock of the clip
  holder: "", // who has it
  shown: { masks: true, heatmap: false },
};

const COLOURS = ["#4fc3f7", "#ffb74d", "#aed581", "#f06292", "#ba68c8", "#fff176", "#4db6ac", "#ff8a65"];

export const element = (id) => document.getElementById(id);
export const place = () => state.project.frames[state.position];
export const instances = () => state.frame.state.instances;
export const selected = () => (state.frame && instances().find((each) => each.id === state.selected)) || null;
export const isLive = (each) => each.status !== "rejected";
export const hasGeometry = (each) => Boolean(each.bbox || (each.segmentation && each.segmentation.size)
  || (each.segmentation || []).length);

export function colour(each) {
  const position = instances().indexOf(each);
  return COLOURS[Math.max(0, position) % COLOURS.length];
}

// An id that no instance of the frame has.
export function newId() {
  const taken = new Set(instances().map((each) => each.id));
  let number = 0;
  while (taken.has(`p${number}`)) number++;
  return `p${number}`;
}

// The category of a new instance: the last one that was typed, else the highest tag of the sound.
export const nextCategory = () =>
  state.category || (state.frame.tags[0] && state.frame.tags[0][0]) || state.project.categories[0] || "object";

// The audio-active region that contains a time, or null.
export const regionAt = (time_s) => state.frame.regions.find(([start, end]) => time_s >= start && time_s <= end) || null;
