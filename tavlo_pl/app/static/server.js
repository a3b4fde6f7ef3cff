// Requests to the server.
import { state } from "./state.js";

const POLL_MS = 300;
const NO_ANSWER = "the server does not answer: is tavlo app still running?";
let upload = null; // the running upload

// Address of a part of the video on the page.
export const address = (part = "") => `/videos/${state.video.key}${part}`;

export async function request(path, options = {}) {
  const answer = await fetch(path, options).catch(() => { throw new Error(NO_ANSWER); });
  if (!answer.ok) {
    const content = await answer.json().catch(() => ({}));
    throw new Error(content.error || (answer.status === 404 ? "this video no longer exists" : `error ${answer.status}`));
  }
  return answer;
}

export const requestJson = async (path, options) => (await request(path, options)).json();

// Uploads a file; resolves to the server's description of the video, or to null where the upload was aborted.
export function send(file, onProgress) {
  return new Promise((resolve, reject) => {
    upload = new XMLHttpRequest();
    upload.open("POST", `/videos?name=${encodeURIComponent(file.name)}`);
    upload.upload.onprogress = (event) => onProgress(event.loaded / Math.max(1, event.total));
    upload.onabort = () => resolve(null);
    upload.onerror = () => reject(new Error(NO_ANSWER));
    upload.onload = () => {
      const content = JSON.parse(upload.responseText || "{}");
      if (upload.status === 200) resolve(content);
      else reject(new Error(content.error || `error ${upload.status}`));
    };
    upload.send(file);
  });
}

export function abortUpload() {
  if (upload && upload.readyState !== XMLHttpRequest.DONE) upload.abort();
  upload = null;
}

// Waits and requests the description of the video again; false where the video was removed from the page meanwhile.
export async function refresh(key) {
  const removed = () => state.video === null || state.video.key !== key;
  await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  if (removed()) return false;
  try {
    const content = await requestJson(`/videos/${key}`);
    if (!removed()) state.video = content;
  } catch (error) {
    if (!removed()) throw error;
  }
  return !removed();
}

// The raw scores of all maps, float32 in the order (T, h, w).
export async function requestScores() {
  const view = new DataView(await (await request(address("/maps"))).arrayBuffer());
  return Float32Array.from({ length: view.byteLength / 4 }, (_, n) => view.getFloat32(4 * n, true));
}
