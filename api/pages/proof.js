// Checks proofs of the ledger by WebCrypto alone: no library, no network, no trust in whoever sent the data.
//
//   entry      a DSSE envelope around an in-toto statement, as RFC 8785 JSON; signed by Ed25519 (RFC 8032)
//   leaf       SHA-256(0x00 || entry)              node   SHA-256(0x01 || left || right)     (RFC 6962, 2.1)
//   checkpoint the log's origin, size and root, signed as a note (c2sp.org/signed-note, tlog-checkpoint)
//
// A check returns verified data or throws a ProofError; nothing returns "maybe".

export class ProofError extends Error {
  name = "ProofError";
}
export class UnsupportedError extends Error {
  name = "UnsupportedError";
}

const encoder = new TextEncoder();
const MAX_HASHES = 63;

function refuse(message) {
  throw new ProofError(message);
}

// --- bytes -----------------------------------------------------------------------------------------------

export function concat(...parts) {
  const joined = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export const equal = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

export const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function fromHex(text) {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) refuse(`expected hex digits, got ${String(text).slice(0, 40)}`);
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export function toBase64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

// Strict: another spelling of the same bytes is refused.
export function fromBase64(text) {
  let bytes;
  try {
    bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    refuse(`expected base64, got ${String(text).slice(0, 40)}`);
  }
  if (toBase64(bytes) !== text) refuse("expected base64 in its one spelling");
  return bytes;
}

export const toBase64Url = (bytes) =>
  toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

export function fromBase64Url(text) {
  const plain = String(text).replaceAll("-", "+").replaceAll("_", "/");
  const bytes = fromBase64(plain + "=".repeat((4 - (plain.length % 4)) % 4));
  if (toBase64Url(bytes) !== text) refuse("expected base64url in its one spelling");
  return bytes;
}

// RFC 8785 for what the ledger's documents hold: no number but whole ones that JavaScript holds exactly.
export function canonicalize(value) {
  if (Array.isArray(value)) return `[${value.map(canonicalize).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const members = Object.keys(value).sort(); // by UTF-16 code units, as the RFC orders them
    return `{${members.map((name) => `${JSON.stringify(name)}:${canonicalize(value[name])}`).join(",")}}`;
  }
  if (typeof value === "number" && !Number.isSafeInteger(value)) refuse(`expected a whole number, got ${value}`);
  return JSON.stringify(value);
}

// --- hashes and signatures -------------------------------------------------------------------------------

function subtle() {
  const found = globalThis.crypto?.subtle;
  if (!found) {
    throw new UnsupportedError(
      "The browser offers cryptography only to pages loaded over HTTPS, or from this machine itself.",
    );
  }
  return found;
}

export async function sha256(bytes) {
  return new Uint8Array(await subtle().digest("SHA-256", bytes));
}

export const leafHash = (entry) => sha256(concat(Uint8Array.of(0), entry));
export const nodeHash = (left, right) => sha256(concat(Uint8Array.of(1), left, right));

export async function importKey(raw) {
  if (raw.length !== 32) refuse(`expected a key of 32 bytes, got ${raw.length}`);
  try {
    return await subtle().importKey("raw", raw, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    if (error instanceof UnsupportedError) throw error;
    if (error.name === "NotSupportedError" || error.name === "SyntaxError") {
      throw new UnsupportedError("This browser cannot verify Ed25519 signatures: a newer version can.");
    }
    return refuse("the bytes are no Ed25519 key");
  }
}

async function checkSignature(raw, signature, message, what) {
  const key = await importKey(raw);
  if (signature.length !== 64) refuse(`${what}: expected a signature of 64 bytes, got ${signature.length}`);
  if (!(await subtle().verify("Ed25519", key, signature, message))) refuse(`${what}: the signature does not verify`);
}

// --- envelopes -------------------------------------------------------------------------------------------

export const PAYLOAD_TYPE = "application/vnd.in-toto+json";

// DSSE's pre-authentication encoding: what is signed.
export function encodePae(payload, type = PAYLOAD_TYPE) {
  const kind = encoder.encode(type);
  return concat(encoder.encode(`DSSEv1 ${kind.length} ${type} ${payload.length} `), payload);
}

// RFC 7638: a key's name is the hash of its JWK.
export async function nameKey(jwk) {
  if (jwk?.kty !== "OKP" || jwk?.crv !== "Ed25519" || typeof jwk?.x !== "string") refuse("expected an Ed25519 JWK");
  return toBase64Url(await sha256(encoder.encode(canonicalize({ crv: jwk.crv, kty: jwk.kty, x: jwk.x }))));
}

export const encodeEntry = (envelope) => encoder.encode(canonicalize(envelope));

/**
 * Check every signature of an envelope and return its statement.
 * @param envelope object with payload, payloadType, signatures
 * @param keys Map from key id to the 32 bytes of the key
 */
export async function openEnvelope(envelope, keys) {
  const members = Object.keys(envelope ?? {}).sort().join();
  if (members !== "payload,payloadType,signatures") refuse(`envelope: unexpected members ${members}`);
  if (envelope.payloadType !== PAYLOAD_TYPE) refuse(`envelope: unexpected type ${envelope.payloadType}`);
  const signatures = envelope.signatures;
  if (!Array.isArray(signatures) || !signatures.length || signatures.length > 8) refuse("envelope: expected 1 to 8 signatures");
  if (new Set(signatures.map((item) => item.keyid)).size !== signatures.length) refuse("envelope: a key signed twice");
  const payload = fromBase64(envelope.payload);
  const message = encodePae(payload);
  for (const item of signatures) {
    const raw = keys.get(item.keyid);
    if (!raw) refuse(`signed by key ${item.keyid}, which is not among the known keys`);
    await checkSignature(raw, fromBase64(item.sig), message, "entry");
  }
  const text = new TextDecoder("utf-8", { fatal: true }).decode(payload);
  const statement = JSON.parse(text);
  if (canonicalize(statement) !== text) refuse("statement: expected canonical JSON");
  return statement;
}

// --- checkpoints -----------------------------------------------------------------------------------------

// name+hex(key hash)+base64(type || key), with key hash = SHA-256(name || 0x0A || type || key)[:4].
export async function parseVkey(vkey) {
  const [name, hash, ...rest] = String(vkey).split("+");
  const material = fromBase64(rest.join("+"));
  if (material[0] !== 1 || material.length !== 33) refuse("verifier key: expected an Ed25519 key");
  const expected = toHex((await sha256(concat(encoder.encode(`${name}\n`), material))).slice(0, 4));
  if (!name || hash !== expected) refuse(`verifier key: expected the hash ${expected}, got ${hash}`);
  return { name, hash: fromHex(hash), raw: material.slice(1) };
}

/** Check a checkpoint's signature by the log's key; return origin, size and root. */
export async function openCheckpoint(note, vkey) {
  const key = await parseVkey(vkey);
  const end = note.lastIndexOf("\n\n");
  if (end < 0 || !note.endsWith("\n")) refuse("checkpoint: expected a signed note");
  const text = note.slice(0, end + 1);
  let signed = false;
  for (const line of note.slice(end + 2, -1).split("\n")) {
    const [dash, name, blob, ...more] = line.split(" ");
    if (dash !== "—" || more.length || !blob) refuse("checkpoint: a line below the text is no signature");
    const bytes = fromBase64(blob);
    if (name !== key.name || !equal(bytes.slice(0, 4), key.hash)) continue; // a witness, or the second key
    await checkSignature(key.raw, bytes.slice(4), encoder.encode(text), "checkpoint");
    signed = true;
  }
  if (!signed) refuse(`checkpoint: not signed by ${key.name}`);
  const [origin, size, root] = text.split("\n");
  if (origin !== key.name) refuse(`checkpoint: expected the log ${key.name}, got ${origin}`);
  if (!/^(?:0|[1-9]\d*)$/.test(size) || !Number.isSafeInteger(Number(size))) refuse(`checkpoint: no size: ${size}`);
  const hash = fromBase64(root);
  if (hash.length !== 32) refuse("checkpoint: expected a root of 32 bytes");
  return { origin, size: Number(size), root: hash };
}

// --- proofs ----------------------------------------------------------------------------------------------

const isOdd = (number) => number % 2 === 1;
const half = (number) => Math.floor(number / 2); // sizes go beyond 32 bits: no bit operators

/** Follow the path from a leaf to the root (RFC 9162, 2.1.3.2). */
export async function checkInclusion(index, size, leaf, path, root) {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) refuse(`inclusion: no entry ${index} among ${size}`);
  if (path.length > MAX_HASHES || path.some((hash) => hash.length !== 32)) refuse("inclusion: expected hashes of 32 bytes");
  let [position, last, computed] = [index, size - 1, leaf];
  for (const sibling of path) {
    if (last === 0) refuse("inclusion: the path is too long");
    if (isOdd(position) || position === last) {
      computed = await nodeHash(sibling, computed);
      while (position !== 0 && !isOdd(position)) [position, last] = [half(position), half(last)];
    } else {
      computed = await nodeHash(computed, sibling);
    }
    [position, last] = [half(position), half(last)];
  }
  if (last !== 0) refuse("inclusion: the path is too short");
  if (!equal(computed, root)) refuse("inclusion: the path does not lead to the signed root");
}

/** Check that a tree only added to an older one (RFC 9162, 2.1.4.2). */
export async function checkConsistency(oldSize, newSize, oldRoot, newRoot, path) {
  if (!(oldSize > 0 && oldSize <= newSize)) refuse(`growth: expected 0 < ${oldSize} <= ${newSize}`);
  if (oldSize === newSize) {
    if (path.length || !equal(oldRoot, newRoot)) refuse("growth: two roots for one size");
    return;
  }
  if (path.length > 2 * MAX_HASHES || path.some((hash) => hash.length !== 32)) refuse("growth: expected hashes of 32 bytes");
  const hashes = [...path];
  if (Number.isInteger(Math.log2(oldSize))) hashes.unshift(oldRoot);
  if (!hashes.length) refuse("growth: expected a proof");
  let [position, last] = [oldSize - 1, newSize - 1];
  while (isOdd(position)) [position, last] = [half(position), half(last)];
  let [before, after] = [hashes[0], hashes[0]];
  for (const sibling of hashes.slice(1)) {
    if (last === 0) refuse("growth: the proof is too long");
    if (isOdd(position) || position === last) {
      before = await nodeHash(sibling, before);
      after = await nodeHash(sibling, after);
      while (position !== 0 && !isOdd(position)) [position, last] = [half(position), half(last)];
    } else {
      after = await nodeHash(after, sibling);
    }
    [position, last] = [half(position), half(last)];
  }
  if (last !== 0) refuse("growth: the proof is too short");
  if (!equal(before, oldRoot)) refuse("growth: the older root does not come out");
  if (!equal(after, newRoot)) refuse("growth: the newer root does not come out");
}
