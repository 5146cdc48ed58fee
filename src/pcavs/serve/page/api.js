// Calls of the service's API: JSON, uploads with progress, and server-sent events, all with the token if one is needed.

import { t } from "./text.js";
import { askToken, token } from "./token.js";

/** An error of the API; its message is one line that can be shown. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const address = (path) => new URL(path.replace(/^\//, ""), document.baseURI);
const headers = () => (token() ? { Authorization: `Bearer ${token()}` } : {});

/** Calls the API and returns the answer's JSON, or null if it has none. Asks for a token where one is needed. */
export async function call(method, path, body, more = {}) {
  const answer = await request(path, {
    method,
    headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...more },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return answer.status === 204 ? null : answer.json();
}

/** Returns the file at an address of the API. */
export async function file(path) {
  return (await request(path, { method: "GET" })).blob();
}

async function request(path, init) {
  for (;;) {
    let answer;
    try {
      answer = await fetch(address(path), { ...init, headers: { ...init.headers, ...headers() } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, t("error_network"));
    }
    if (answer.ok) return answer;
    if (answer.status !== 401) throw new ApiError(answer.status, await detail(answer));
    await askToken();
  }
}

async function detail(answer) {
  try {
    return (await answer.json()).detail;
  } catch {
    return `${answer.status} ${answer.statusText}`;
  }
}

/** Sends a file; `onprogress` is called with the share that is sent, 0 to 1. */
export async function upload(path, file, onprogress) {
  for (;;) {
    const answer = await send(path, file, onprogress);
    if (answer.status === 201) return JSON.parse(answer.responseText);
    if (answer.status !== 401) throw new ApiError(answer.status, detailOf(answer));
    await askToken();
  }
}

function send(path, file, onprogress) {
  const call = new XMLHttpRequest();
  call.open("POST", address(path));
  for (const [name, value] of Object.entries(headers())) call.setRequestHeader(name, value);
  call.setRequestHeader("Content-Type", "application/octet-stream");
  call.upload.onprogress = (event) => onprogress(event.loaded / Math.max(1, event.total));
  return new Promise((resolve, reject) => {
    call.onload = () => resolve(call);
    call.onerror = () => reject(new ApiError(0, t("error_network")));
    call.send(file);
  });
}

function detailOf(call) {
  try {
    return JSON.parse(call.responseText).detail;
  } catch {
    return `${call.status} ${call.statusText}`;
  }
}

/**
 * Watches a film until it is done, has failed, or is gone; the connection is made again if it breaks.
 * `onevent` is called with the name of the event and the film. An AbortSignal ends it.
 */
export async function watch(id, onevent, signal) {
  for (let failures = 0; !signal.aborted; ) {
    try {
      const answer = await request(`talks/${id}/events`, { method: "GET", headers: {}, signal });
      failures = 0;
      for await (const [name, talk] of events(answer.body)) {
        onevent(name, talk);
        if (name === "gone" || talk.status === "done" || talk.status === "error") return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 404) return onevent("gone", {});
      if (++failures > 30) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => [line.split(":", 1)[0], line.replace(/^\w*: ?/, "")]));
      if (fields.event) yield [fields.event, JSON.parse(fields.data)];
    }
  }
}

/** Returns the address of a film on the host of this page; the service may know itself by another name. */
export function filmAddress(talk) {
  const { pathname, search } = new URL(talk.result_url, document.baseURI);
  return new URL(pathname.slice(pathname.lastIndexOf("/talks/") + 1) + search, document.baseURI).href;
}
