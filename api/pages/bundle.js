// Checks a custody bundle (form 2): one asset's whole history under one checkpoint. What each check is, is in
// proof.js; here is in what order they come, and which keys count.

import {
  ProofError,
  canonicalize,
  checkInclusion,
  encodeEntry,
  fromBase64,
  fromBase64Url,
  leafHash,
  nameKey,
  openCheckpoint,
  openEnvelope,
  PAYLOAD_TYPE,
  toBase64,
  toHex,
} from "./proof.js";

const BASE = "https://provenote.example/";
const FORMAT = `${BASE}bundle/v2`;
const ADDING = new Set([`${BASE}key-added/v1`, `${BASE}key-rotated/v1`]);

// The leaf ranges whose hashes lead from a leaf to the root, leaf first (RFC 6962, 2.1.1).
function inclusionRanges(index, size) {
  const ranges = [];
  let [start, stop] = [0, size];
  while (stop - start > 1) {
    let width = 1;
    while (width * 2 < stop - start) width *= 2;
    const split = start + width;
    if (index < split) {
      ranges.push([split, stop]);
      stop = split;
    } else {
      ranges.push([start, split]);
      start = split;
    }
  }
  return ranges.reverse();
}

// The paths of several entries share their upper hashes: each is written once, in the order of its range.
function splitPaths(hashes, indexes, size) {
  const ranges = new Map();
  for (const index of indexes) for (const range of inclusionRanges(index, size)) ranges.set(range.join(), range);
  const ordered = [...ranges.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  if (hashes.length !== 32 * ordered.length) throw new ProofError(`expected ${ordered.length} hashes of paths`);
  const found = new Map(ordered.map((range, at) => [range.join(), hashes.slice(32 * at, 32 * at + 32)]));
  return new Map(indexes.map((i) => [i, inclusionRanges(i, size).map((range) => found.get(range.join()))]));
}

/**
 * Check a bundle; throws at the first thing that does not hold.
 * @param bundle the parsed JSON
 * @param vkey the log's verifier key, from a source that the caller trusts
 * @param report called as each step is passed, with a sentence
 * @returns {Promise<{checkpoint, events: Array, firstKey: string}>}
 */
export async function checkBundle(bundle, vkey, report = () => {}) {
  // 1 form, and that it is of this log
  if (bundle?.format !== FORMAT) throw new ProofError(`expected a bundle of form ${FORMAT}`);
  if (bundle.vkey !== vkey) throw new ProofError("the bundle is of another log than this one");
  // 2 the log's signature over its root
  const checkpoint = await openCheckpoint(bundle.checkpoint, vkey);
  if (bundle.origin !== checkpoint.origin) throw new ProofError("the bundle names another log than its checkpoint");
  report(`The log ${checkpoint.origin} has signed its root over ${checkpoint.size} entries.`);
  // 3 each entry, in the order of the log: its place in the tree, its signatures, its place in its history
  const indexes = bundle.entries.map((entry) => entry.index);
  if (indexes.some((index, at) => at > 0 && index <= indexes[at - 1])) throw new ProofError("entries out of order");
  if (indexes.some((index) => !Number.isSafeInteger(index) || index < 0 || index >= checkpoint.size)) throw new ProofError("an entry beyond the log");
  const paths = splitPaths(fromBase64(bundle.paths), indexes, checkpoint.size);
  const keys = new Map();
  const heads = new Map();
  const events = [];
  let firstKey = null;
  for (const { index, payload, signatures } of bundle.entries) {
    const text = new TextEncoder().encode(canonicalize(payload));
    const envelope = { payload: toBase64(text), payloadType: PAYLOAD_TYPE, signatures };
    const leaf = await leafHash(encodeEntry(envelope));
    await checkInclusion(index, checkpoint.size, leaf, paths.get(index), checkpoint.root);
    const added = ADDING.has(payload.predicateType) ? payload.predicate.key : null;
    if (added) {
      keys.set(await nameKey(added), fromBase64Url(added.x)); // it signs the entry that adds it
      firstKey ??= await nameKey(added);
    }
    const statement = await openEnvelope(envelope, keys);
    const { asset, n, origin, prev } = statement.predicate.ledger;
    const head = heads.get(asset) ?? { n: -1, leaf: "" };
    if (origin !== checkpoint.origin) throw new ProofError(`entry ${index} is signed for another log`);
    // Of the log's own anchors a bundle holds the newest alone; of its asset and of the keys, all.
    if (asset !== "log" && (n !== head.n + 1 || prev !== head.leaf)) {
      throw new ProofError(`entry ${index} does not follow the one before it`);
    }
    heads.set(asset, { n, leaf: toHex(leaf) });
    if (asset === bundle.asset) events.push({ index, statement, leaf });
  }
  if (!events.length) throw new ProofError("the bundle holds no event of its asset");
  report(`${indexes.length} entries stand in the log, each where it should: their paths lead to that root.`);
  report("Every entry is signed by a key that the log itself had added before.");
  report(
    events.length === 1
      ? `The history of ${bundle.asset} has one event, and it is its first.`
      : `The ${events.length} events of ${bundle.asset} follow one another without a gap.`,
  );
  return { checkpoint, events, firstKey };
}
