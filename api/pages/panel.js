// Shows in a page what proof.js and bundle.js find: one line for each step that holds, or the one that does not.

import { checkBundle } from "./bundle.js";
import { ProofError, UnsupportedError, checkInclusion, encodeEntry, fromBase64Url, fromHex, leafHash, nameKey, openCheckpoint, openEnvelope, toHex } from "./proof.js";

const SIGNS = { good: "M7 12.5l3.2 3.2L17 9", bad: "M8 8l8 8M16 8l-8 8", caution: "M12 6.5v7M12 17v.2", open: "M7 12h10" };

function makeSign(tone) {
  const make = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const sign = make("svg", { class: `sign ${tone}`, viewBox: "0 0 24 24", width: 24, height: 24, "aria-hidden": "true" });
  sign.append(make("circle", { cx: 12, cy: 12, r: 11 }), make("path", { d: SIGNS[tone] }));
  return sign;
}

export function addStep(list, tone, text) {
  const item = document.createElement("li");
  item.className = tone;
  const words = document.createElement("span");
  words.textContent = text;
  item.append(makeSign(tone), words);
  list.append(item);
}

class LoadError extends Error {} // ends in a full stop, as its sentence is shown

async function load(address, read = (answer) => answer.json()) {
  try {
    const answer = await fetch(address, { headers: { accept: "application/json, text/plain" } });
    if (answer.ok) return await read(answer);
    throw new LoadError(`${address} answered ${answer.status}.`);
  } catch (error) {
    throw error instanceof LoadError ? error : new LoadError(`${address} cannot be read.`);
  }
}

async function checkTrack(trackId, report) {
  const [keys, bundle] = await Promise.all([load("/v1/keys"), load(`/v1/tracks/${trackId}/bundle`)]);
  const found = await checkBundle(bundle, keys.log_vkey, report);
  if (bundle.asset !== `track:${trackId}`) throw new ProofError("the bundle is of another track");
  if (!keys.issuers.some((issuer) => issuer.key_id === found.firstKey)) {
    throw new ProofError("the log does not begin with a key of this issuer");
  }
}

async function checkEntry(index, report) {
  const [keys, entry] = await Promise.all([load("/v1/keys"), load(`/v1/log/entries/${index}`)]);
  const checkpoint = await openCheckpoint(await load("/v1/log/checkpoint", (answer) => answer.text()), keys.log_vkey);
  report(`The log ${checkpoint.origin} has signed its root over ${checkpoint.size} entries.`);
  const proof = await load(`/v1/log/inclusion?index=${index}&size=${checkpoint.size}`);
  const leaf = await leafHash(encodeEntry(entry.envelope));
  await checkInclusion(index, checkpoint.size, leaf, proof.hashes.map(fromHex), checkpoint.root);
  report(`Entry ${index} has the leaf hash ${toHex(leaf).slice(0, 16)}…, and its path of ${proof.hashes.length} hashes leads to that root.`);
  const known = new Map();
  for (const { jwk } of keys.issuers) known.set(await nameKey(jwk), fromBase64Url(jwk.x));
  const strangers = entry.envelope.signatures.filter((item) => !known.has(item.keyid));
  if (strangers.length) return `It is signed by ${strangers[0].keyid}, a key of another party: its track's bundle proves that key as well.`;
  await openEnvelope(entry.envelope, known);
  report("It is signed by the issuer's key.");
  return null;
}

async function run(section) {
  const list = section.querySelector("[data-proof-steps]");
  const report = (text) => addStep(list, "good", text);
  try {
    const track = section.dataset.proof;
    const open = track ? await checkTrack(track, report) : await checkEntry(Number(section.dataset.proofEntry), report);
    if (open) addStep(list, "caution", open);
    section.dataset.proofState = "holds";
  } catch (error) {
    // Data of another shape than it should have is as good as a proof that fails.
    const open = error instanceof UnsupportedError || error instanceof LoadError;
    section.dataset.proofState = open ? "unchecked" : "broken";
    addStep(
      list,
      open ? "caution" : "bad",
      open
        ? `Not checked here. ${error.message} Download the bundle instead, and check it with the program.`
        : `This does not hold: ${error.message}. Do not rely on it.`,
    );
  }
}

/** Check every proof that a part of the page shows. */
export function attachProofs(root) {
  return Promise.all(Array.from(root.querySelectorAll("[data-proof], [data-proof-entry]"), run));
}
