// Requests to the server.
import { state } from "./state.js";

const NO_ANSWER = "the server does not answer: is tavlo annotate serve still running?";

export const root = (part) => `/k/${state.key}${part}`;
export const clipAddress = (clip, part) => root(`/clips/${clip}${part}`);
export const frameAddress = ([clip, number], part = "") => clipAddress(clip, `/frames/${number}${part}`);
export const who = () => `session=${state.session}&annotator=${encodeURIComponent(state.annotator)}`;

export async function requestJson(path, options = {}) {
  const answer = await fetch(path, options).catch(() => { throw new Error(NO_ANSWER); });
  if (!answer.ok) {
    const content = await answer.json().catch(() => ({}));
    const reason = answer.status === 404 ? "open the address that tavlo annotate serve printed" : `error ${answer.status}`;
    throw new Error(content.error || reason);
  }
  return answer.json();
}

export const post = (path, value) =>
  requestJson(`${path}?${who()}`, { method: "POST", body: value === undefined ? undefined : JSON.stringify(value) });
