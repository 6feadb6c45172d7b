// The ledger page: the newest checkpoint is asked for every few seconds, its signature checked, and its growth
// proven from the checkpoint that this browser saw last. So every visitor is a small witness: a log that was
// rewritten, or that shows different people different histories, contradicts what their browsers remember.

import { addStep } from "./panel.js";
import { UnsupportedError, checkConsistency, fromHex, openCheckpoint, toHex } from "./proof.js";

const PERIOD_MS = 10_000;
const list = document.querySelector("[data-memory]");
const sizeText = document.querySelector("[data-log-size]");
const rootText = document.querySelector("[data-log-root]");
const freshText = document.querySelector("[data-log-fresh]");

async function read(address) {
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${address} answered ${answer.status}`);
  return answer;
}

/**
 * Hold a checkpoint against the one that is remembered; throws ProofError where they contradict each other.
 * @returns a sentence for the visitor
 */
export async function compare(remembered, checkpoint, loadGrowth) {
  const { size, root } = checkpoint;
  const since = `On ${remembered.seen.slice(0, 10)} this browser saw the log with ${remembered.size} entries.`;
  if (remembered.size > size) {
    return { holds: false, text: `${since} Now it shows only ${size}: it was rolled back, or this is another copy of it.` };
  }
  const path = remembered.size === size ? [] : await loadGrowth(remembered.size, size);
  try {
    await checkConsistency(remembered.size, size, fromHex(remembered.root), root, path);
  } catch (error) {
    return { holds: false, text: `${since} What it shows now has another history: ${error.message}.` };
  }
  const grown = size - remembered.size;
  return { holds: true, text: `${since} ${grown ? `The ${grown} since then only add to those` : "They are the same today"}: checked just now.` };
}

const storageKey = (origin) => `provenote checkpoint ${origin}`;

function recall(origin) {
  try {
    const found = JSON.parse(localStorage.getItem(storageKey(origin)));
    return found && found.size > 0 ? found : null;
  } catch {
    return null; // storage is switched off, or holds something else
  }
}

function remember(vkey, checkpoint) {
  const item = { vkey, size: checkpoint.size, root: toHex(checkpoint.root), seen: new Date().toISOString() };
  try {
    localStorage.setItem(storageKey(checkpoint.origin), JSON.stringify(item));
    return true;
  } catch {
    return false;
  }
}

let shown = null;

async function look() {
  const keys = await (await read("/v1/keys")).json();
  const checkpoint = await openCheckpoint(await (await read("/v1/log/checkpoint")).text(), keys.log_vkey);
  const root = toHex(checkpoint.root);
  if (shown === root) return true;
  const old = recall(checkpoint.origin);
  let lines;
  if (old && old.vkey !== keys.log_vkey) {
    lines = [["bad", `On ${old.seen.slice(0, 10)} this log signed with another key. Ask its operator before relying on it.`]];
  } else if (old) {
    const growth = async (from, to) =>
      (await (await read(`/v1/log/consistency?old_size=${from}&new_size=${to}`)).json()).hashes.map(fromHex);
    const found = await compare(old, checkpoint, growth);
    lines = [[found.holds ? "good" : "bad", found.text]];
  } else {
    lines = [["open", "This browser has not seen this log before. From now on it will notice if the log's past changes."]];
  }
  // What contradicts the memory must not overwrite it: it is the evidence.
  const kept = lines[0][0] === "bad" || remember(keys.log_vkey, checkpoint);
  if (!kept) lines = [["caution", "This browser does not let pages remember anything, so it cannot compare with earlier visits."]];
  lines.unshift(["good", `The log's signature over its ${checkpoint.size} entries is good.`]);
  list.replaceChildren();
  for (const [tone, text] of lines) addStep(list, tone, text);
  sizeText.textContent = checkpoint.size.toLocaleString("en");
  rootText.textContent = root;
  shown = root;
  return true;
}

async function watch() {
  try {
    await look();
    freshText.textContent = `Signed checkpoint, checked at ${new Date().toLocaleTimeString("en-GB")}. Asked again every ten seconds.`;
  } catch (error) {
    freshText.textContent = error instanceof UnsupportedError ? error.message : `Could not be checked just now: ${error.message}.`;
    if (error instanceof UnsupportedError) return;
  }
  setTimeout(watch, PERIOD_MS);
}

if (list) watch();
