// The list of sources, and category, scenario and provenance of the selected one.
import { add, setCategory, setScenario, setStatus } from "./edit.js";
import { colour, element, hasGeometry, instances, selected, state } from "./state.js";
import { select, showTool } from "./tools.js";

export function drawPanel() {
  element("instances").replaceChildren(...instances().map((each) => {
    const button = document.createElement("button"), swatch = document.createElement("span");
    button.type = "button";
    button.className = `source ${each.status}`;
    button.dataset.id = each.id;
    button.setAttribute("role", "option");
    button.setAttribute("aria-selected", each === selected());
    swatch.className = "swatch";
    swatch.style.background = colour(each);
    const name = document.createElement("span"), note = document.createElement("span");
    name.textContent = each.audio_visual_category + (hasGeometry(each) ? "" : " (not visible)");
    note.className = "dim";
    note.textContent = each.status === "accepted" ? each.task : each.status;
    button.append(swatch, name, note);
    button.addEventListener("click", () => select(each.id));
    return button;
  }));
  element("empty").hidden = instances().length > 0;
  drawDetail();
  const { tags } = state.frame;
  element("tags").textContent = tags.length
    ? `Sound: ${tags.map(([name, score]) => `${name} ${score.toFixed(2)}`).join(", ")}` : "";
  showTool();
}

function drawDetail() {
  const each = selected();
  element("detail").hidden = !each;
  if (!each) return;
  if (document.activeElement !== element("category")) element("category").value = each.audio_visual_category;
  element("categories").replaceChildren(...state.project.categories.map((name) => new Option(name, name)));
  for (const button of element("scenarios").children) {
    button.setAttribute("aria-pressed", each.status === "accepted" && button.dataset.task === each.task);
  }
  element("accept").setAttribute("aria-pressed", each.status === "accepted");
  element("reject").setAttribute("aria-pressed", each.status === "rejected");
  const { by, score, edited, confirmed_by, confirmed_at } = each.provenance;
  element("provenance").textContent = [`by ${by}`, score == null ? "" : `score ${score.toFixed(2)}`,
    edited ? "edited" : "", confirmed_by ? `${confirmed_by}, ${(confirmed_at || "").slice(0, 16)}` : ""]
    .filter(Boolean).join(" · ");
}

// Selects the next or previous source.
export function step(by) {
  const all = instances();
  if (!all.length) return;
  const now = all.indexOf(selected());
  select(all[(now < 0 ? (by > 0 ? 0 : all.length - 1) : now + by + all.length) % all.length].id);
}

export const addHidden = () => add({}, state.project.scenarios[3]);

export function addPanelListeners() {
  element("scenarios").replaceChildren(...state.project.scenarios.map((task, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.task = task;
    button.textContent = `${number + 1} ${task}`;
    button.addEventListener("click", () => setScenario(number));
    return button;
  }));
  element("accept").addEventListener("click", () => setStatus("accepted"));
  element("reject").addEventListener("click", () => setStatus("rejected"));
  element("hidden-source").addEventListener("click", addHidden);
  element("category").addEventListener("change", (event) => setCategory(event.target.value));
}
