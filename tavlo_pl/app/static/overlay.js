// Has the server write the overlay video, and shows its progress and its link.
import { address, refresh, requestJson } from "./server.js";
import { element, state, threshold } from "./state.js";

export async function makeOverlay() {
  const options = ["box", "spectrogram"].map((name) => `${name}=${element(name).checked}`).join("&");
  state.video = await requestJson(address(`/overlay?threshold=${threshold()}&${options}`), { method: "POST" });
  await followOverlay();
}

export async function followOverlay() {
  const key = state.video.key;
  element("make-overlay").disabled = true;
  element("overlay").hidden = false;
  element("overlay-done").hidden = false;
  element("overlay-link").hidden = true;
  try {
    while (state.video.overlay.state === "running") {
      const { step, done } = state.video.overlay;
      element("overlay-done").value = done;
      element("overlay-note").textContent = `${step} · ${Math.floor(100 * done)} %`;
      if (!(await refresh(key))) return;
    }
    element("overlay-done").hidden = true;
    element("overlay-note").textContent = "";
    if (state.video.overlay.state === "failed") throw new Error(state.video.overlay.error);
    element("overlay-link").href = address("/overlay.mp4");
    element("overlay-link").hidden = false;
    noteThreshold();
  } finally {
    element("make-overlay").disabled = false;
  }
}

// States the threshold of the overlay video where it differs from that of the page.
export function noteThreshold() {
  const overlay = state.video.overlay;
  if (!overlay || overlay.state !== "ready") return;
  const differs = Math.abs(overlay.threshold - threshold()) > 1e-6;
  element("overlay-note").textContent = differs ? `made with the threshold ${overlay.threshold.toFixed(3)}` : "";
}
